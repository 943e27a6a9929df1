"""`kubectl warmroot` as a person types it, against the real API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from testbed.controlplane import build
from tests.installation import install
from tests.waiting import until
from warmroot.errors import NotFound
from warmroot.kube.cluster import NAMESPACE, NODE, OS, OSINSTANCE, POD, SECRET, SERVICE_ACCOUNT

pytestmark = pytest.mark.api

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
POOL = {"pool": "plugin-test"}
WAVES = [{"name": "canary", "nodes": 1}, {"name": "rest", "approval": "Required"}]


def os_object(**changes):
    spec = {
        "nodeSelector": {"matchLabels": POOL},
        "release": {"version": "2", "source": "https://releases.example/os", "digest": NEW},
        "rollout": {"waves": WAVES},
    }
    return {
        "apiVersion": OS.api_version,
        "kind": "OS",
        "metadata": {"name": "plugin"},
        "spec": spec | changes,
    }


@pytest.fixture(scope="module")
def fleet(cluster, control_plane):
    """An OS object over two nodes without a kubelet, of which one runs the release; nobody moves anything."""
    install(control_plane)
    history = [
        {"version": "2", "digest": NEW, "started": "2026-11-02T00:00:00Z", "result": "Running"},
        {
            "version": "1",
            "digest": OLD,
            "started": "2026-11-01T00:00:00Z",
            "finished": "2026-11-01T00:10:00Z",
            "result": "Complete",
        },
    ]
    body = cluster.create(OS, os_object())
    body["status"] = {
        "observedGeneration": 1,
        "targetDigest": NEW,
        "phase": "Waiting",
        "ready": "1/2",
        "wave": {"name": "rest", "index": 1, "since": "2026-11-02T00:00:00Z", "approved": False},
        "history": history,
    }
    cluster.replace(OS, body, subresource="status")
    for name, digest in (("plugin-1", NEW), ("plugin-2", OLD)):
        _node(cluster, name, digest)
    yield cluster
    cluster.patch(OS, "plugin", {"metadata": {"finalizers": None}})
    cluster.delete(OS, "plugin")
    for name in ("plugin-1", "plugin-2"):
        cluster.delete(NODE, name)


def _node(cluster, name, digest):
    made = cluster.create(NODE, {"metadata": {"name": name, "labels": POOL}})
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": made["metadata"]["uid"]}
    release = {"version": "2", "digest": NEW, "sources": ["https://releases.example/os"]}
    body = cluster.create(
        OSINSTANCE,
        {
            "apiVersion": OSINSTANCE.api_version,
            "kind": "OSInstance",
            "metadata": {"name": name, "ownerReferences": [owner]},
            "spec": {"os": "plugin", "goal": "Stage", "release": release},
        },
    )
    body["status"] = {
        "observedGeneration": 1,
        "phase": "Confirmed" if digest == NEW else "Staged",
        "heartbeat": "2099-01-01T00:00:00Z",
        "good": "A",
        "booted": {"slot": "A", "bootID": "b", "digest": digest, "at": "2026-11-01T00:00:00Z"},
        "slots": {"A": {"state": "Good", "digest": digest}, "B": {"state": "Verified", "digest": NEW}},
    }
    cluster.replace(OSINSTANCE, body, subresource="status")


@pytest.fixture
def ask(fleet, control_plane):
    def asked(*words, text=None, fails=False):
        """Through kubectl itself, which finds the plugin on the PATH."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = os.environ | {"KUBECONFIG": str(control_plane.kubeconfig), "PATH": path}
        kubectl = build.installed() / "kubectl"
        done = subprocess.run(
            [kubectl, "warmroot", *words], env=env, input=text, capture_output=True, text=True, check=False
        )
        assert (done.returncode != 0) is fails, done.stderr
        return done.stderr if fails else done.stdout

    return asked


def test_status_says_how_far_it_is_and_what_it_waits_for(ask):
    said = ask("status", "plugin")
    assert "OS plugin: release 2, Waiting, 1/2 nodes" in said
    assert "needs: kubectl warmroot approve plugin rest" in said
    (told,) = json.loads(ask("status", "plugin", "-o", "json"))
    assert (told["targetDigest"], told["ready"]) == (NEW, "1/2")


def test_why_names_the_chain_and_the_next_step_of_any_node(ask):
    assert "plugin-1: Current" in ask("why", "plugin-1")
    told = json.loads(ask("why", "plugin-2", "--output", "json"))
    assert (told["os"], told["phase"], told["reason"]) == ("plugin", "Staged", "NotReady")
    assert told["next"].startswith("kubectl describe node plugin-2")
    assert any("OS plugin selects plugin-2" in link for link in told["chain"])
    assert "there is no node nobody" in ask("why", "nobody", fails=True)


def test_a_plan_of_a_file_writes_nothing(ask, fleet):
    before = fleet.get(OS, "plugin")
    proposed = os_object(rollout={"paused": True})
    said = ask("plan", "-f", "-", text=yaml.safe_dump(proposed))
    assert "wave all: up to node 2" in said
    assert "waits: plugin-2: NotReady" in said
    assert fleet.get(OS, "plugin") == before
    assert "is no YAML" in ask("plan", "-f", "-", text="a: [", fails=True)
    assert "has 0 OS objects" in ask("plan", "-f", "-", text="kind: Node", fails=True)
    assert "can't be read" in ask("plan", "-f", "/nowhere.yaml", fails=True)
    assert "no metadata.name" in ask("plan", "-f", "-", text="kind: OS\nmetadata: x", fails=True)
    assert "leave out one" in ask("plan", "plugin", "-f", "-", text="", fails=True)
    wrong = os_object(release={"version": "2"})
    assert "can't be followed" in ask("plan", "-f", "-", text=yaml.safe_dump(wrong), fails=True)


def test_an_approval_is_of_one_wave_with_one_release_and_replaces_those_of_others(ask, fleet):
    fleet.patch(OS, "plugin", {"metadata": {"annotations": {"warmroot.io/approve": f"rest@{OLD}"}}})
    assert "wave rest may begin" in ask("approve", "plugin", "rest")
    notes = fleet.get(OS, "plugin")["metadata"]["annotations"]
    assert notes["warmroot.io/approve"] == f"rest@{NEW}"
    assert "waves that do: rest" in ask("approve", "plugin", "canary", fails=True)


def test_a_pause_is_taken_back(ask, fleet):
    ask("pause", "plugin")
    assert fleet.get(OS, "plugin")["spec"]["rollout"]["paused"] is True
    assert "goes on" in ask("resume", "plugin")
    assert fleet.get(OS, "plugin")["spec"]["rollout"]["paused"] is False


def test_a_rollback_wants_the_release_before_and_no_other(ask, fleet):
    assert "VERSION" in ask("history", "plugin")
    assert "not in the history" in ask("rollback", "plugin", "--to", "9", fails=True)
    assert "wants release 1" in ask("rollback", "plugin")
    release = fleet.get(OS, "plugin")["spec"]["release"]
    assert (release["version"], release["digest"]) == ("1", OLD)
    fleet.patch(OS, "plugin", {"spec": {"release": {"version": "2", "digest": NEW}}})


def test_a_support_bundle_has_what_an_issue_needs_and_no_secret(ask, fleet, tmp_path):
    fleet.create(NAMESPACE, {"metadata": {"name": "bundle-test"}})
    until(lambda: fleet.get(SERVICE_ACCOUNT, "default", namespace="bundle-test"), forgive=(NotFound,))
    where = {"namespace": "bundle-test"}
    fleet.create(SECRET, {"metadata": where | {"name": "signing"}, "stringData": {"key": "hunter2"}})
    container = {"name": "a", "image": "none", "args": ["--token=hunter2"]}
    container["env"] = [{"name": "DB", "value": "hunter2"}]
    fleet.create(POD, {"metadata": where | {"name": "operator"}, "spec": {"containers": [container]}})
    path = tmp_path / "bundle.tar.gz"

    told = json.loads(ask("support-bundle", "-f", str(path), "-n", "bundle-test", "-o", "json"))

    fleet.delete(NAMESPACE, "bundle-test")
    assert told["file"] == str(path)
    with tarfile.open(path) as archive:
        found = {one.name: archive.extractfile(one).read().decode() for one in archive}
    assert "hunter2" not in "".join(found.values())
    oses = json.loads(found["warmroot-support/objects/oses.json"])
    assert [one["metadata"]["name"] for one in oses] == ["plugin"]
    assert "plugin-2: Staged" in found["warmroot-support/why.txt"]
    (seen,) = json.loads(found["warmroot-support/bundle-test/pods.json"])
    assert seen["spec"]["containers"][0]["env"] == [{"name": "DB", "value": "(left out)"}]
    assert json.loads(found["warmroot-support/about.json"])["unread"] == told["unread"]
    assert "is there already" in ask("support-bundle", "-f", str(path), fails=True)


def test_an_object_that_is_not_there_is_named_with_those_that_are(ask):
    said = ask("status", "nothing", fails=True)
    assert "there is no OS object nothing" in said
    assert "plugin" in said


def test_a_shell_completes_verbs_objects_waves_and_nodes(fleet, control_plane):
    def completed(*words):
        program = Path(sys.executable).with_name("kubectl_complete-warmroot")
        env = os.environ | {"KUBECONFIG": str(control_plane.kubeconfig)}
        done = subprocess.run([program, *words], env=env, capture_output=True, text=True, check=True)
        *found, directive = done.stdout.splitlines()
        return [line.partition("\t")[0] for line in found], directive

    assert completed("supp") == (["support-bundle"], ":4")
    assert completed("support-bundle", "") == ([], ":4")
    assert completed("p") == (["pause", "plan"], ":4")
    assert completed("status", "plu") == (["plugin"], ":4")
    assert completed("approve", "plugin", "") == (["canary", "rest"], ":4")
    assert completed("why", "plugin-") == (["plugin-1", "plugin-2"], ":4")
    assert completed("status", "-o", "j") == (["json"], ":4")
    assert completed("plan", "-f", "") == ([], ":0")

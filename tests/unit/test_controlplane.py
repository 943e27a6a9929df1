"""Building, identity and keys of the embedded control plane, without one running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from testbed.controlplane import audit, build, pki, programs
from testbed.controlplane.plane import ControlPlane
from testbed.controlplane.processes import Identity, Program
from testbed.controlplane.programs import Paths, Ports
from testbed.setup.repository import REPOSITORY
from tests.waiting import until
from warmroot import golang
from warmroot.errors import NotInstalled, ProgramDied, UserError
from warmroot.kube import kubeconfig

FILES = {"go.mod": b"module m", "go.sum": b"sum", "main.go": b"package main"}
GO = "go version go1.26.8 linux/amd64"


@pytest.mark.parametrize("changed", ["go.mod", "go.sum", "main.go"])
def test_a_changed_source_is_another_binary(changed):
    assert golang.key(FILES, GO, build.FLAGS) != golang.key(FILES | {changed: b"other"}, GO, build.FLAGS)


def test_another_compiler_or_flag_is_another_binary():
    keys = {
        golang.key(FILES, GO, build.FLAGS),
        golang.key(FILES, GO + "x", build.FLAGS),
        golang.key(FILES, GO, ("-race",)),
    }
    assert len(keys) == 3


def test_the_order_of_files_does_not_change_the_binary():
    assert golang.key(FILES, GO, build.FLAGS) == golang.key(dict(reversed(FILES.items())), GO, build.FLAGS)


@given(st.lists(st.integers(0, 10**6), max_size=8))
def test_the_bar_never_runs_backwards_and_leaves_room_for_linking(sizes):
    order = [f"package-{number}" for number in range(len(sizes))]
    work = build.Workload(dict(zip(order, sizes, strict=True)))
    shown = [work.fraction(set(order[:count])) for count in range(len(order) + 1)]
    assert shown == sorted(shown)
    assert 0 <= shown[0] <= shown[-1] <= 1 - build.LINK_SHARE + 1e-9


def test_a_compile_takes_proxies_from_the_user_and_the_rest_from_us():
    theirs = {"GOPROXY": "https://mirror", "GOFLAGS": "-race", "GOTOOLCHAIN": "auto"}
    env = golang.environment(theirs, Path("/c"), Path("/c/go-build"))
    assert (env["GOPROXY"], env["GOFLAGS"], env["GOTOOLCHAIN"]) == (
        "https://mirror",
        "-buildvcs=false",
        "local",
    )
    assert env["GOMODCACHE"].startswith("/c/")


def test_go_mod_and_the_stamped_version_agree():
    assert f"k8s.io/kubernetes {build.VERSION}\n" in (build.SOURCE / "go.mod").read_text()


def test_a_control_plane_that_is_not_built_says_what_to_run(tmp_path):
    with pytest.raises(NotInstalled, match="make setup"):
        build.installed(tmp_path)


def test_a_client_certificate_names_user_and_groups():
    authority = pki.Authority.new()
    certificate = x509.load_pem_x509_certificate(
        authority.client("system:node:a", ["system:nodes"]).certificate
    )
    assert certificate.subject.rfc4514_string() == "CN=system:node:a,O=system:nodes"
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.credential.certificate))


def test_an_authority_that_was_read_again_issues_on():
    authority = pki.Authority.new()
    again = pki.Authority(authority.credential)
    issued = x509.load_pem_x509_certificate(again.client("a").certificate)
    issued.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.credential.certificate))


def test_a_server_certificate_covers_addresses_and_names():
    server = pki.Authority.new().server("api", ["127.0.0.1", "localhost"])
    names = x509.load_pem_x509_certificate(server.certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert [str(name.value) for name in names.value] == ["127.0.0.1", "localhost"]


def test_a_kubeconfig_of_ours_is_read_by_our_parts(tmp_path):
    authority = pki.Authority.new()
    client = authority.client("a")
    path = tmp_path / "kubeconfig"
    pki.write_private(path, pki.kubeconfig("https://127.0.0.1:1", authority.credential.certificate, client))
    read = kubeconfig.load(path)
    assert (read.server, read.ca, read.client_cert, read.client_key) == (
        "https://127.0.0.1:1",
        authority.credential.certificate,
        client.certificate,
        client.key,
    )


def test_a_private_file_is_for_its_owner_alone_even_over_an_old_one(tmp_path):
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(0o644)
    pki.write_private(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)


def test_every_program_listens_on_loopback_and_writes_below_its_folder():
    paths, ports = Paths(Path("/state")), Ports(api=1, etcd=2, etcd_peer=3)
    commands = [
        programs.etcd(paths, ports),
        programs.api_server(paths, ports),
        programs.controllers(paths, 16.0),
        programs.scheduler(paths),
    ]
    addresses = [word for command in commands for word in command if "address=" in word or "://" in word]
    assert all("127.0.0.1" in word or "kubernetes.default" in word for word in addresses)
    files = [word.partition("=")[2] for command in commands for word in command if "=/" in word]
    assert files
    assert all(word.startswith("/state/") for word in files)


def test_the_api_server_authorizes_nodes_and_roles_and_writes_before_it_answers():
    command = programs.api_server(Paths(Path("/state")), Ports(1, 2, 3))
    assert {
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--audit-log-mode=blocking",
    } <= set(command)


def test_the_audit_policy_ends_with_a_rule_for_everybody():
    rules = yaml.safe_load(programs.audit_policy(bodies=False))["rules"]
    assert rules[-1] == {"level": "Metadata"}
    assert {rule["level"] for rule in rules[:-1]} == {"None"}


def test_a_policy_with_bodies_has_those_of_writes_to_nodes_and_to_our_own_objects():
    without, rules = (yaml.safe_load(programs.audit_policy(bodies=which))["rules"] for which in (False, True))
    (added,) = [rule for rule in rules if rule not in without]
    assert rules == [*without[:-1], added, without[-1]], "what is left out stays out"
    assert (added["level"], added["verbs"]) == ("RequestResponse", ["create", "update", "patch", "delete"])
    assert {one for group in added["resources"] for one in group["resources"]} == {
        f"{kind}{part}" for kind in ("nodes", "oses", "osinstances") for part in ("", "/status")
    }


def body(version, code=200, verb="patch", kind="Node"):
    left = {"kind": kind, "metadata": {"name": "a", "resourceVersion": str(version)} if version else {}}
    return {
        "requestReceivedTimestamp": "2026-01-01T00:00:00.250000Z",
        "stageTimestamp": "2026-01-01T00:00:00.500000Z",
        "verb": verb,
        "user": {"username": "kubelet"},
        "objectRef": {"resource": "nodes", "subresource": "status", "name": "a"},
        "responseStatus": {"code": code},
        "responseObject": left,
    }


def test_changes_come_in_the_order_in_which_they_were_made_whichever_was_answered_first(tmp_path):
    log = tmp_path / "audit.log"
    gone = body(0, verb="delete", kind="Status")
    lines = [body(7), body(5), gone, body(9), body(8, code=409), body(6), body(3, verb="get")]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = audit.changes(log)
    assert [change.version for change in found] == [5, 6, 7, 0, 9]
    assert [change.object is None for change in found] == [False, False, False, True, False]
    (first, *_) = found
    assert (first.user, first.resource, first.name) == ("kubelet", "nodes", "a")
    assert first.done - first.asked == 0.25


def test_an_audit_line_that_is_being_written_is_left_out(tmp_path):
    line = {
        "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z",
        "stage": "ResponseComplete",
        "requestURI": "/apis/warmroot.io/v1alpha1/osinstances/a/status?x=1",
        "verb": "patch",
        "user": {"username": "proxy"},
        "objectRef": {
            "apiGroup": "warmroot.io",
            "resource": "osinstances",
            "subresource": "status",
            "name": "a",
        },
        "responseStatus": {"code": 200},
    }
    log = tmp_path / "audit.log"
    log.write_text(json.dumps(line) + "\n" + json.dumps(line)[:50])
    (entry,) = audit.read(log)
    assert (entry.user, entry.verb, entry.resource, entry.name, entry.code, entry.is_write) == (
        ("proxy", "patch", "osinstances/status", "a", 200, True)
    )


def start(tmp_path, *command, dies_with_us=False):
    return Program.start(
        [command[0], *command[1:]],
        executable=Path("/bin/sh") if command[0] == "sh" else Path(command[0]),
        log=tmp_path / "log",
        pid_file=tmp_path / "pid",
        dies_with_us=dies_with_us,
    )


def test_an_identity_is_of_one_process_not_of_its_number(tmp_path):
    program = start(tmp_path, "sh", "-c", "sleep 60")
    saved = Identity.load(tmp_path / "pid")
    assert saved == program.identity
    reused = Identity(saved.pid, saved.started + 1, saved.boot_id)
    assert (saved.alive, reused.alive) == (True, False)
    Program("stranger", reused, tmp_path / "log").end(patience=0.1)
    assert program.alive
    program.end(patience=5.0)
    assert not saved.alive


@pytest.mark.parametrize("content", ["", "12", "{}", '{"pid": 1}'])
def test_a_damaged_pid_file_names_nobody(tmp_path, content):
    (tmp_path / "pid").write_text(content)
    assert Identity.load(tmp_path / "pid") is None


def test_a_program_that_ignores_the_request_to_end_is_killed(tmp_path):
    program = start(tmp_path, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    until(lambda: "ready" in (tmp_path / "log").read_text())
    program.end(patience=0.2)
    assert not program.alive


def test_a_program_that_died_is_named_with_its_last_lines_and_its_log(tmp_path):
    with pytest.raises(ProgramDied, match=r"(?s)sh ended by itself.*the disk is full.*/log"):
        until(start(tmp_path, "sh", "-c", "echo the disk is full; exit 1").check)


def test_a_program_that_is_not_there_says_what_to_run(tmp_path):
    with pytest.raises(ProgramDied, match="make setup"):
        start(tmp_path, "/no/such/program")


@pytest.mark.parametrize(("dies_with_us", "survives"), [(True, False), (False, True)])
def test_a_program_dies_with_a_killed_parent_only_where_that_was_asked_for(tmp_path, dies_with_us, survives):
    code = f"""
import pathlib, time
from testbed.controlplane.processes import Program
folder = pathlib.Path({str(tmp_path)!r})
Program.start(["sleep", "60"], executable=pathlib.Path("/bin/sleep"), log=folder / "log",
    pid_file=folder / "pid", dies_with_us={dies_with_us})
print("started", flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    with parent:
        assert parent.stdout.readline() == "started\n"
        child = Identity.load(tmp_path / "pid")
        os.kill(parent.pid, signal.SIGKILL)
    if survives:
        assert child.alive
        Program("sleep", child, tmp_path / "log").end(patience=5.0)
    until(lambda: not child.alive)


@pytest.fixture
def broken_binaries(tmp_path, monkeypatch):
    """Programs that write a line into their log and end."""

    def make(line):
        folder = tmp_path / "binaries"
        folder.mkdir()
        for name in build.PROGRAMS:
            script = folder / name
            script.write_text(f"#!/bin/sh\necho started >> {tmp_path}/{name}.starts\necho '{line}'; exit 1\n")
            script.chmod(0o755)
        monkeypatch.setattr(build, "installed", lambda: folder)

    return make


def test_a_start_whose_program_dies_names_it_and_leaves_nothing_running(tmp_path, broken_binaries):
    broken_binaries("the disk is full")
    plane = ControlPlane(tmp_path / "plane")
    with pytest.raises(ProgramDied, match=r"(?s)ended by itself.*the disk is full.*/plane/logs/"):
        plane.start()
    assert [program.pid for program in plane.status().programs] == [None] * 4
    assert (tmp_path / "etcd.starts").read_text().count("started") == 1


def test_a_port_that_another_program_took_is_chosen_anew_a_few_times(tmp_path, broken_binaries):
    broken_binaries("listen tcp 127.0.0.1: bind: address already in use")
    with pytest.raises(ProgramDied, match="address already in use"):
        ControlPlane(tmp_path / "plane").start()
    assert (tmp_path / "etcd.starts").read_text().count("started") == 3


def test_nothing_runs_in_a_folder_where_nothing_was_started(tmp_path):
    plane = ControlPlane(tmp_path / "none")
    status = plane.status()
    assert (status.ready, status.running, status.server) == (False, False, None)
    plane.remove()
    with pytest.raises(UserError, match="no control plane"):
        plane.node_kubeconfig("a")


def test_a_folder_of_somebody_elses_is_neither_used_nor_emptied(tmp_path, broken_binaries):
    broken_binaries("never started")
    theirs = tmp_path / "theirs"
    (theirs / "logs").mkdir(parents=True)
    with pytest.raises(UserError, match="empty folder"):
        ControlPlane(theirs).start()
    ControlPlane(theirs).remove()
    assert list(theirs.iterdir()) == [theirs / "logs"]


def test_removing_leaves_what_came_into_our_folder(tmp_path, broken_binaries):
    broken_binaries("boom")
    folder = tmp_path / "plane"
    with pytest.raises(ProgramDied):
        ControlPlane(folder).start()
    (folder / "notes.txt").write_text("kept")
    ControlPlane(folder).remove()
    assert list(folder.iterdir()) == [folder / "notes.txt"]

"""What Flux and `kubectl wait`'s kin read off our objects, by the library that they use (docs/gitops.md)."""

import json
import subprocess
import uuid
from dataclasses import replace

import pytest
import yaml

from jboost_server.core.control import plan as caches
from jboost_server.core.progress import Stage
from os_operator.core.plan import plan
from testbed.setup.gotool import KSTATUS
from tests import control_worlds, waiting
from tests.unit.operator_worlds import NOW, current, decide, idle, node, os, staged, world
from tests.unit.test_operator_explain import SITUATIONS
from warmroot.api import crdgen
from warmroot.api.os import OSStatus
from warmroot.cache import cache_dir
from warmroot.kube.cluster import CRD, JAVA_CACHE, OS

pytestmark = pytest.mark.kstatus

DONE = {"it runs what is wanted", "somebody changed its settings by hand"}
STALLED = {
    "it did not begin its reboot",
    "it never came back",
    "the release fell back on it",
    "too many failed elsewhere",
    "it refuses the settings",
    "its release is taken back, and its other slot is empty",
    "its settings are taken back, and it keeps none from before",
}
"""Situations in which nothing goes on without a person; in all others, something does or will."""


def judged(*objects):
    """What the library says of each object: status and message."""
    program = KSTATUS.program(cache_dir())
    answer = subprocess.run(
        [program], input=json.dumps(objects), capture_output=True, text=True, check=True, timeout=30
    )
    return [(one["status"], one["message"]) for one in json.loads(answer.stdout)]


def rendered(asked, status, generation=None):
    """An OS object as the API server would hold it."""
    return {
        "apiVersion": OS.api_version,
        "kind": "OS",
        "metadata": {"name": asked.name, "generation": generation or asked.generation},
        "status": status.wire(),
    }


def staged_worlds():
    """Name and rendered object of each situation that a person may meet."""
    for name, (oses, pairs, more) in SITUATIONS.items():
        seen = world(oses, pairs, **more)
        for asked, status in plan(seen, NOW).statuses.items():
            yield name, seen.oses[asked], status


def test_each_situation_is_current_failed_or_in_progress_as_a_person_would_say():
    names, objects = [], []
    for name, asked, status in staged_worlds():
        names.append(name)
        objects.append(rendered(asked, status))
    expected = ["Current" if one in DONE else "Failed" if one in STALLED else "InProgress" for one in names]
    told = judged(*objects)
    assert dict(zip(names, [status for status, _ in told], strict=True)) == dict(
        zip(names, expected, strict=True)
    )
    assert {"Current", "Failed", "InProgress"} == set(expected)
    assert len(names) >= 20


def test_no_status_of_the_spec_before_is_an_answer():
    told = judged(*(rendered(asked, status, asked.generation + 1) for _, asked, status in staged_worlds()))
    assert {status for status, _ in told} == {"InProgress"}


def test_what_failed_says_why():
    refused = SITUATIONS["it refuses the settings"]
    decision = decide(refused[0], *refused[1])
    [(status, message)] = judged(rendered(refused[0], decision.statuses["workers"]))
    assert (status, "correct spec.config" in message) == ("Failed", True)


def test_a_spec_that_can_not_be_followed_fails_and_does_not_keep_a_pipeline_waiting():
    before = OSStatus(observed_generation=1, target_digest="sha256:" + "0" * 64)
    broken = replace(os(status=before), spec=None, generation=2, problem="spec.rollout.windows: no such zone")
    decision = decide(broken, (node(), idle()))
    assert judged(rendered(broken, decision.statuses["workers"])) == [("Failed", broken.problem)]


def test_a_rollout_ends_as_current_when_its_last_node_is_done():
    asked, half = os(), [(node("node-1"), current("node-1")), (node("node-2"), staged("node-2"))]
    first = decide(asked, *half).statuses["workers"]
    known = replace(asked, status=first)
    last = decide(known, half[0], (node("node-2"), current("node-2"))).statuses["workers"]
    assert [status for status, _ in judged(rendered(asked, first), rendered(known, last))] == [
        "InProgress",
        "Current",
    ]


def test_a_java_cache_is_current_when_it_serves_and_failed_when_only_a_person_can_help():
    asked = {
        "serves": [control_worlds.serving()],
        "serves one key, and another did harm": [
            control_worlds.serving(),
            control_worlds.key("2" * 64, Stage.WITHDRAWN),
        ],
        "learns": [control_worlds.key()],
        "is not seen yet": [],
        "did harm": [control_worlds.key(stage=Stage.WITHDRAWN)],
        "is no faster": [control_worlds.key(stage=Stage.REFUSED)],
    }
    objects = [
        {
            "apiVersion": JAVA_CACHE.api_version,
            "kind": "JavaCache",
            "metadata": {"name": "orders", "namespace": "shop", "generation": 1},
            "status": caches.plan(control_worlds.world(*keys), NOW, 4).statuses[control_worlds.NAME].wire(),
        }
        for keys in asked.values()
    ]
    told = [status for status, _ in judged(*objects)]
    assert dict(zip(asked, told, strict=True)) == {
        "serves": "Current",
        "serves one key, and another did harm": "Current",
        "learns": "InProgress",
        "is not seen yet": "InProgress",
        "did harm": "Failed",
        "is no faster": "Failed",
    }


@pytest.mark.api
def test_an_object_that_the_operator_has_not_seen_yet_is_not_taken_for_done(cluster):
    """The library takes an object without conditions for current; the API server's default says otherwise."""
    document = yaml.safe_load(crdgen.render()["warmroot.io_oses.yaml"])
    cluster.apply(CRD, document, manager="test", force=True)
    waiting.until(lambda: established(cluster.get(CRD, document["metadata"]["name"])))
    name = f"unseen-{uuid.uuid4().hex[:6]}"
    spec = {
        "release": {"version": "1", "source": "https://releases.example/os"},
        "nodeSelector": {"matchLabels": {"pool": name}},
    }
    body = {"apiVersion": OS.api_version, "kind": "OS", "metadata": {"name": name}, "spec": spec}
    made = cluster.create(OS, body)
    cluster.delete(OS, name)
    assert made["status"]["observedGeneration"] == -1
    assert [status for status, _ in judged(made)] == ["InProgress"]


def established(crd):
    conditions = crd.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

"""The operator's own process against the real API server, with tiny proxies and kubelets."""

from __future__ import annotations

import signal
import time

import pytest

from os_operator.core.world import AVOIDED, CLOSED, NOT_CURRENT
from testbed.controlplane import audit
from tests.api.operator_bed import (
    NEW,
    USER,
    apply,
    complete,
    now,
    only,
    pod_on,
    status,
    until,
)
from warmroot.kube.cluster import (
    LEASE,
    NODE,
    OSINSTANCE,
    PDB,
    POD,
    Kind,
)

pytestmark = pytest.mark.api

SYSTEM = "warmroot-system"
HUNG = 5.0
"""Seconds that kopf gives tasks which it does not end itself; with one of them no end takes less."""


def test_three_nodes_are_moved_and_an_idle_operator_then_asks_for_nothing(
    kinds, operator, fleet, control_plane
):
    pool, workers = fleet(2)
    theirs = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
    fleet(1, taints=[theirs, {"key": NOT_CURRENT, "effect": CLOSED}])
    name = apply(kinds, pool)
    seen = []

    def over():
        for worker in workers:
            taints = kinds.get(NODE, worker.name_)["spec"].get("taints") or ()
            found = [one["effect"] for one in taints if one["key"] == NOT_CURRENT]
            seen.extend((worker.name_, effect) for effect in found)
        return complete(kinds, name)

    until(over, 90, lambda: f"{status(kinds, name)}\n{operator.said()}")
    assert [worker.reboots for worker in workers] == [1, 1, 1]
    assert all(worker.good == "B" for worker in workers)
    assert (f"{pool}-1", AVOIDED) in seen, "while the one before it was drained"
    assert (f"{pool}-2", CLOSED) in seen
    until(
        lambda: only(theirs, kinds.get(NODE, workers[2].name_)), what="it is opened, and keeps its own taint"
    )
    nodes = [kinds.get(NODE, worker.name_) for worker in workers]
    assert not any(NOT_CURRENT in str(node["spec"]) for node in nodes)
    told = operator.metrics()
    assert f'warmroot_os_nodes{{os="{name}",state="updated"}} 3.0' in told
    assert f'warmroot_node_phase_seconds_count{{os="{name}",phase="Rebooting"}} 3.0' in told
    assert 'warmroot_api_requests_total{resource="osinstances",verb="create"} 3.0' in told
    assert not any(node["spec"].get("unschedulable") for node in nodes)
    assert not any("warmroot.io/cordon" in node["metadata"].get("annotations", {}) for node in nodes)

    entries = [one for one in audit.read(control_plane.audit_log) if one.user == USER]
    writes = [one for one in entries if one.is_write and one.resource != "leases"]
    per_node = len(writes) / len(workers)
    assert per_node <= 12, [(one.verb, one.resource, one.name) for one in writes]

    def asked(since):
        mine = [one for one in audit.read(control_plane.audit_log) if one.user == USER and one.at > since]
        return [(one.verb, one.resource) for one in mine if one.verb != "watch"]

    def renewals(since):
        return sum(verb in ("patch", "update") and resource == "leases" for verb, resource in asked(since))

    until(lambda: all(resource == "leases" for _verb, resource in asked(now(-2))))  # the last events
    since = now()
    until(lambda: renewals(since) >= 3)
    assert {resource for _verb, resource in asked(since)} == {"leases"}


def test_a_blocked_eviction_names_its_budget_and_goes_on_when_it_is_lifted(kinds, operator, fleet, namespace):
    pool, workers = fleet(1)
    pod_on(kinds, namespace, workers[0].name_, "web-1")
    kinds.create(
        PDB,
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        },
    )
    until(lambda: kinds.get(PDB, "web", namespace=namespace).get("status", {}).get("observedGeneration"))
    name = apply(kinds, pool)

    def blocked():
        rows = status(kinds, name).get("waiting", [])
        return next((row for row in rows if row["reason"] == "DrainBlocked"), None)

    row = until(blocked, 60, lambda: f"{status(kinds, name)}\n{operator.said()}")
    assert f"PodDisruptionBudget {namespace}/web" in row["message"]
    assert f"{namespace}/web-1" in row["message"]
    assert row["since"] and row["deadline"]
    assert workers[0].reboots == 0
    kinds.delete(PDB, "web", namespace=namespace)
    until(lambda: complete(kinds, name), 90, lambda: f"{status(kinds, name)}\n{operator.said()}")


def test_a_node_on_trial_waits_for_its_checks_and_a_restart_forgets_what_they_said(
    kinds, operator, fleet, namespace
):
    pool, workers = fleet(1)
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace, "name": "state"}
    checks = [
        {"name": "volumes", "interval": "1s", "object": wanted | {"cel": "object.data.phase == 'Ready'"}},
        {"name": "web", "interval": "1s", "pods": {"namespace": namespace, "selector": {}, "onNode": False}},
    ]
    name = apply(kinds, pool, health={"readySeconds": 1, "timeout": "2m", "checks": checks})

    def failing(check, reason):
        def told():
            rows = status(kinds, name).get("waiting", [])
            return next((row for row in rows if row.get("check") == {"name": check, "reason": reason}), None)

        return until(told, 90, lambda: f"{status(kinds, name)}\n{operator.said()}")

    row = failing("volumes", "NoObject")
    assert (row["phase"], row["reason"]) == ("Trial", "CheckFailed")
    assert row["message"] == (
        f"check volumes: NoObject, there is no ConfigMap state in {namespace}; also web"
    )
    config_map = Kind("", "v1", "configmaps", "ConfigMap")
    kinds.create(
        config_map, {"metadata": {"name": "state", "namespace": namespace}, "data": {"phase": "Ready"}}
    )
    failing("web", "NoPods")
    operator.end(signal.SIGKILL)
    operator.start()
    pod_on(kinds, namespace, "elsewhere", "web-1")
    until(lambda: complete(kinds, name), 90, lambda: f"{status(kinds, name)}\n{operator.said()}")
    assert workers[0].good == "B"
    assert workers[0].reboots == 1
    kinds.delete(POD, "web-1", namespace=namespace, grace=0)


def test_a_kill_in_the_middle_changes_nothing_in_the_outcome(kinds, operator, fleet):
    pool, workers = fleet(2)
    name = apply(kinds, pool)
    for _ in range(4):
        before = sum(worker.reboots for worker in workers)
        time.sleep(1.5)  # anywhere in the rollout
        operator.end(signal.SIGKILL)
        operator.start()
        assert sum(worker.reboots for worker in workers) - before <= 1
    until(lambda: complete(kinds, name), 90, lambda: f"{status(kinds, name)}\n{operator.said()}")
    assert [worker.reboots for worker in workers] == [1, 1]


def test_a_fallback_is_barred_counted_and_the_node_serves_on(kinds, operator, fleet):
    pool, workers = fleet(2, falls_back=True)
    name = apply(kinds, pool)
    until(
        lambda: (
            status(kinds, name).get("phase") == "Halted"
            and not any(kinds.get(NODE, one.name_)["spec"].get("unschedulable") for one in workers)
        ),
        90,
        lambda: f"{status(kinds, name)}\n{operator.said()}",
    )
    failed = status(kinds, name)["failed"]
    assert [entry["reason"] for entry in failed] == ["FellBack"]
    assert kinds.get(OSINSTANCE, failed[0]["node"])["spec"]["barred"] == [NEW]
    assert sum(worker.reboots for worker in workers) == 1


def test_sigterm_gives_the_lease_back_and_ends_cleanly_without_a_wait(kinds, operator):
    def lease():
        return kinds.get(LEASE, "warmroot-operator", namespace=SYSTEM)["spec"]

    begun = now()
    until(lambda: lease()["holderIdentity"] == "test" and lease()["renewTime"] > begun, what=operator.said)
    asked = time.monotonic()
    assert operator.end(signal.SIGTERM) == 0
    assert time.monotonic() - asked < HUNG, operator.said()
    assert not lease().get("holderIdentity")

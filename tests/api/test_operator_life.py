"""What happens to a rollout when operators die, freeze and lose sight of the API server."""

from __future__ import annotations

import contextlib
import signal
import time
from urllib.parse import urlsplit

import pytest

from testbed.controlplane import audit
from tests.api.gate import Gate
from tests.api.operator_bed import Operator, apply, complete, now, status, until
from warmroot.kube.cluster import LEASE, NODE

pytestmark = pytest.mark.api

SYSTEM, NAME, SECONDS = "warmroot-system", "warmroot-operator", 5.0
OURS = ("nodes", "osinstances", "oses", "oses/status", "pods/eviction")
SOON = 20.0
"""Seconds: the Lease, two looks at it, and as much again for a machine on which much else runs."""
AWAY = 15.0
"""Seconds without the API server: three Leases, and what it takes until a watch pauses for its longest."""


def holder(cluster) -> str:
    return cluster.get(LEASE, NAME, namespace=SYSTEM)["spec"].get("holderIdentity") or ""


def user(identity: str) -> str:
    return f"operator-{identity}"


def writes(control_plane, identity: str, since: str = "") -> list[audit.Entry]:
    """What one operator was allowed to change of what a rollout is made of, from `since` on."""
    return [
        one
        for one in audit.read(control_plane.audit_log)
        if one.user == user(identity) and one.is_write and one.resource in OURS
        and one.code < 300 and one.at > since
    ]  # fmt: skip


@pytest.fixture
def replicas(kinds, control_plane, tmp_path):
    """Two operators with names of their own, in the Lease and in the audit log; the first one leads."""
    with contextlib.ExitStack() as ends:
        made = []
        for identity in ("first", "second"):
            path = tmp_path / f"{identity}.kubeconfig"
            control_plane.issue_kubeconfig(user(identity), ["system:masters"], path)
            operator = Operator(path, tmp_path / f"{identity}.log", identity)
            made.append(operator)
            operator.start()
            ends.callback(end, operator)
            if identity == "first":
                until(lambda: holder(kinds) == "first", what=operator.said)
        yield made


def end(operator: Operator) -> None:
    if operator.process.poll() is None:
        operator.process.send_signal(signal.SIGCONT)
        operator.end(signal.SIGTERM)


def in_the_middle(cluster, name: str, workers) -> None:
    until(lambda: any(worker.reboots for worker in workers), 90, lambda: str(status(cluster, name)))


def test_a_replica_that_waits_goes_on_where_a_killed_one_stopped_within_the_leases_time(
    kinds, replicas, fleet, control_plane
):
    first, second = replicas
    pool, workers = fleet(3)
    name = apply(kinds, pool)
    in_the_middle(kinds, name, workers)
    first.end(signal.SIGKILL)
    killed, killed_at = time.monotonic(), now()
    until(lambda: holder(kinds) == "second", what=second.said)
    # It looks at the Lease every `every` seconds, and waits for its length from the look that saw it renewed.
    assert time.monotonic() - killed < SOON, second.said()
    until(lambda: complete(kinds, name), 90, lambda: f"{status(kinds, name)}\n{second.said()}")
    assert [worker.reboots for worker in workers] == [1, 1, 1]
    assert writes(control_plane, "second", killed_at)


def test_an_operator_that_was_frozen_while_another_took_over_changes_nothing(
    kinds, replicas, fleet, control_plane
):
    first, second = replicas
    pool, workers = fleet(4)
    name = apply(kinds, pool)
    in_the_middle(kinds, name, workers)
    first.process.send_signal(signal.SIGSTOP)
    until(lambda: holder(kinds) == "second", what=second.said)
    over = now()
    until(lambda: writes(control_plane, "second", over), what=second.said)
    first.process.send_signal(signal.SIGCONT)
    until(lambda: "the Lease is lost" in first.log.read_text(), what=first.said)
    until(lambda: complete(kinds, name), 120, lambda: f"{status(kinds, name)}\n{second.said()}")
    assert holder(kinds) == "second"
    assert writes(control_plane, "first", over) == []
    assert [worker.reboots for worker in workers] == [1, 1, 1, 1]


@pytest.fixture
def gated(kinds, control_plane, tmp_path):
    """An operator, and the gate through which it reaches the API server."""
    server = urlsplit(control_plane.server)
    gate = Gate((server.hostname, server.port))
    path = control_plane.issue_kubeconfig(user("gated"), ["system:masters"], tmp_path / "gated.kubeconfig")
    path.write_text(path.read_text().replace(f":{server.port}", f":{gate.port}"))
    operator = Operator(path, tmp_path / "gated.log", "gated")
    operator.start()
    yield operator, gate
    end(operator)
    gate.shut()


def test_an_api_server_that_is_away_in_the_middle_costs_nothing_but_its_time(
    kinds, gated, fleet, control_plane
):
    operator, gate = gated
    pool, workers = fleet(3)
    name = apply(kinds, pool)
    in_the_middle(kinds, name, workers)
    gate.shut()
    time.sleep(AWAY)  # there is nothing to wait for: nothing may happen
    assert operator.process.poll() is None, operator.said()
    cordoned = [one for one in workers if kinds.get(NODE, one.name_)["spec"].get("unschedulable")]
    assert len(cordoned) <= 1
    back, since = time.monotonic(), now()
    gate.open()
    until(lambda: writes(control_plane, "gated", since), 30, operator.said)
    assert time.monotonic() - back < SOON, operator.said()
    until(lambda: complete(kinds, name), 90, lambda: f"{status(kinds, name)}\n{operator.said()}")
    assert [worker.reboots for worker in workers] == [1, 1, 1]
    orders = [one for one in writes(control_plane, "gated") if one.resource == "osinstances"]
    for worker in workers:
        # Made, then ordered to stage, activate and confirm: nothing is ordered twice.
        mine = [one.verb for one in orders if one.name == worker.name_]
        assert mine == ["create", "patch", "patch", "patch"]

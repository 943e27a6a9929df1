"""Settings that prove bad are taken back: the operator's process, the real API server, tiny proxies."""

from __future__ import annotations

import pytest

from tests.api.operator_bed import OLD, Worker, apply, complete, status, until
from warmroot import nodeconfig
from warmroot.kube.cluster import NODE, OS, OSINSTANCE

pytestmark = pytest.mark.api


def settings(swappiness: str):
    return {"sysctl": {"vm.swappiness": swappiness}}


def revision(swappiness: str) -> str:
    return nodeconfig.revision(nodeconfig.encode(settings(swappiness)))


GOOD, BAD, BETTER = "1", "2", "3"


class Configured(Worker):
    """A worker whose proxy takes settings, and keeps the last ones with which it was left in peace."""

    def __init__(self, cluster, name: str, pool: str, ill_with: str = "") -> None:
        self.in_force = self.settled = self.former = ""
        self.texts: list[str | None] = []
        self.ill_with = ill_with
        super().__init__(cluster, name, pool)

    def told(self):
        slot = {"former": {"configRevision": self.former} if self.former else None}
        slots = {self.booted: {"state": "Good", "digest": OLD, **slot}}
        return super().told() | {"slots": slots, "configRevision": self.in_force or None}

    def obey(self, instance) -> None:
        generation, spec = instance["metadata"]["generation"], instance["spec"]
        if generation == self.observed:
            return
        self.observed = generation
        wanted = spec.get("configRevision", "")
        if spec["goal"] == "None":
            self.settled = self.in_force
        elif self.in_force != wanted:
            self.texts.append(spec.get("config"))
            assert spec.get("config") or wanted == self.former
            if self.in_force == self.settled and wanted != self.former:
                self.former = self.in_force
            self.in_force = wanted
        self.report("Confirmed")
        self.kubelet("False" if self.ill_with and self.in_force == revision(self.ill_with) else "True")


@pytest.fixture
def workers(fleet):
    for number in range(3):
        pool, made = fleet(1, kind=Configured, ill_with=BAD if number == 1 else "")
    return pool, made


def wants(cluster, name: str, swappiness: str) -> None:
    cluster.patch(OS, name, {"spec": {"config": settings(swappiness)}})


def test_settings_with_which_a_node_is_not_ready_are_taken_back_and_never_tried_there_again(
    kinds, operator, workers
):
    pool, made = workers
    health = {"readySeconds": 1, "timeout": "4s"}
    name = apply(kinds, pool, OLD, settings(GOOD), health=health, failure={"action": "Rollback"})
    said = lambda: f"{status(kinds, name)}\n{operator.said()}"  # noqa: E731
    until(lambda: complete(kinds, name), 60, said)

    wants(kinds, name, BAD)

    def taken_back():
        told = status(kinds, name)
        history = told.get("history") or [{}]
        return told["phase"] == "Halted" and history[0].get("result") == "RolledBack" and told

    told = until(taken_back, 90, said)
    assert [worker.in_force for worker in made] == [revision(GOOD)] * 3
    [entry] = told["failed"]
    assert (entry["node"], entry["part"], entry["reason"]) == (made[1].name_, "Settings", "Unhealthy")
    assert entry["configRevision"] == told["history"][0]["configRevision"] == revision(BAD)
    assert (
        revision(BAD)[:19] in next(one for one in told["conditions"] if one["type"] == "Stalled")["message"]
    )
    texts = [worker.texts for worker in made]
    good, bad = (nodeconfig.encode(settings(one)) for one in (GOOD, BAD))
    assert texts == [[good, bad, None], [good, bad, None], [good]], "a return is ordered by revision alone"
    assert sum(worker.reboots for worker in made) == 0
    assert not any(kinds.get(NODE, worker.name_)["spec"].get("unschedulable") for worker in made)
    until(lambda: all(kinds.get(OSINSTANCE, one.name_)["spec"]["goal"] == "None" for one in made), 30, said)

    wants(kinds, name, BETTER)
    until(lambda: complete(kinds, name), 60, said)
    assert [worker.in_force for worker in made] == [revision(BETTER)] * 3
    assert status(kinds, name).get("failed", []) == []

"""What may happen to a rollout over a swarm, drawn from a seed: people, machines, deaths of the operator."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random

from testbed.swarm.bed import WORKLOAD, Swarm, os_object
from testbed.swarm.machine import Fate, Machine, digest
from tests import waiting
from warmroot.errors import AlreadyExists, ClusterError, Conflict, NotFound
from warmroot.kube.cluster import NODE, OS, PDB

log = logging.getLogger(__name__)
Deed = Callable[[], None]
LASTING = {"Barred", "FellBack", "Unhealthy", "NeverCameBack", "ActivationFailed"}
"""Reasons for which a node stays where it is until a person comes."""
FATES = [Fate.PANICS, Fate.PANICS, Fate.NEVER_READY, Fate.SLOW]


class Chaos:
    """One rollout of the OS object `workers`, and a story that is told to it."""

    def __init__(self, swarm: Swarm, seed: int, version: int, rollout: dict, labels: dict) -> None:
        self.swarm, self.seed, self.random = swarm, seed, Random(seed)
        self.version, self.rollout, self.labels = version, rollout, labels
        self.happened: Counter[str] = Counter()
        self.kills = 0
        self.machines = [one for one in swarm.fleet.machines.values() if self._mine(one)]
        self._story: list[tuple[float, str, Deed]] = []

    def _mine(self, machine: Machine) -> bool:
        node = self.swarm.records.node(machine.name)
        return all(node["metadata"]["labels"].get(key) == value for key, value in self.labels.items())

    @property
    def name(self) -> str:
        return "workers"

    @property
    def story(self) -> str:
        """What happens when, in seconds."""
        return ", ".join(f"{what} +{moment:.0f}" for moment, what, _ in self._in_order())

    def _in_order(self) -> list[tuple[float, str, Deed]]:
        return sorted(self._story, key=lambda one: one[0])

    # -- what may happen -----------------------------------------------------------------------------------

    def draw(self, seconds: float, deeds: dict[str, int]) -> None:
        """So many of each deed, at any time within the first `seconds` of the rollout."""
        for what, number in deeds.items():
            for _ in range(number):
                self.at(self.random.uniform(1, seconds), what)

    def at(self, moment: float, what: str) -> None:
        """`what` is the name of a deed."""
        self._story.append((moment, what, getattr(self, f"_{what}")))

    def doom(self, number: int, version: int) -> None:
        """A release that does not come up on some machines."""
        for machine in self.random.sample(self.machines, number):
            machine.fate[digest(version)] = self.random.choice(FATES)

    def apply(self) -> None:
        """The person applies the OS object."""
        body = os_object(self.name, self.version, self.rollout, self.labels)
        try:
            self.swarm.admin.create(OS, body)
        except AlreadyExists:
            waiting.until(lambda: self._replace(body["spec"]), forgive=(Conflict,))

    def _replace(self, spec: dict) -> dict:
        return self.swarm.admin.replace(OS, self.swarm.admin.get(OS, self.name) | {"spec": spec})

    def tell(self) -> None:
        """Applies, and lets happen what was drawn, each thing at its moment."""
        log.warning("seed %s: %s", self.seed, self.story)
        self.apply()
        began = time.monotonic()
        for moment, what, deed in self._in_order():
            self.swarm.wait(lambda moment=moment: time.monotonic() - began >= moment, what, moment + 60)
            self.happened[what] += 1
            deed()

    def _later(self, span: tuple[float, float], deed: Deed) -> None:
        self.swarm.time.after(self.random.uniform(*span), deed)

    def _edit(self, patch: dict) -> None:
        with suppress(NotFound):
            self.swarm.admin.patch(OS, self.name, patch)

    def _machine(self) -> Machine:
        return self.random.choice(self.machines)

    def _kill(self) -> None:
        self.kills += self.swarm.operator.kill()

    def _silence(self) -> None:
        machine = self._machine()

        def back() -> None:
            machine.silent = False
            machine.obey()
            machine.report()

        self.swarm.time.after(0, lambda: setattr(machine, "silent", True))
        self._later((3, 10), back)

    def _crash(self) -> None:
        self.swarm.time.after(0, self._machine().crash)

    def _cordon(self) -> None:
        """As `kubectl cordon`, which writes nothing where the node is cordoned; lifted later, or not."""
        name = self._machine().name
        if not self.swarm.admin.get(NODE, name)["spec"].get("unschedulable"):
            self._schedulable(name, False)
        if self.random.random() < 0.5:
            self._later((3, 10), lambda: self._schedulable(name, True))

    def _uncordon(self) -> None:
        """Of a node on its way, if there is one."""
        self._schedulable(self._on_its_way(), True)

    def _recordon(self) -> None:
        name = self._on_its_way()
        self._schedulable(name, True)
        self._schedulable(name, False)

    def _on_its_way(self) -> str:
        nodes = [self.swarm.records.node(machine.name) for machine in self.machines]
        moving = [one for one in nodes if one and one["spec"].get("unschedulable")]
        return self.random.choice(moving or nodes)["metadata"]["name"]

    def _schedulable(self, name: str, yes: bool) -> None:
        with suppress(ClusterError):
            self.swarm.admin.patch(NODE, name, {"spec": {"unschedulable": None if yes else True}})

    def _block(self) -> None:
        self._spare(0)
        self._later((4, 8), lambda: self._spare(self.swarm.spec.spare))

    def _spare(self, pods: int | str) -> None:
        self.swarm.admin.patch(PDB, WORKLOAD, {"spec": {"maxUnavailable": pods}}, namespace=WORKLOAD)

    def _pause(self) -> None:
        self._edit({"spec": {"rollout": {"paused": True}}})
        self._later((4, 8), lambda: self._edit({"spec": {"rollout": {"paused": False}}}))

    def _budget(self) -> None:
        self._edit({"spec": {"rollout": {"maxUnavailable": self.random.choice([20, "8%", "25%", 35])}}})

    def _retarget(self) -> None:
        self.version += 1
        release = {"version": str(self.version), "digest": digest(self.version)}
        self._edit({"spec": {"release": release}})

    def _approve(self) -> None:
        note = {"warmroot.io/approve": f"rest@{digest(self.version)}"}
        self._edit({"metadata": {"annotations": note}})

    def _recreate(self) -> None:
        """The OS object is deleted, and applied again when it is gone."""
        with suppress(NotFound):
            self.swarm.admin.delete(OS, self.name)
        self.swarm.wait(self._gone, "the deleted OS object is gone", 90)
        self.apply()
        self._approve()

    def _gone(self) -> bool:
        try:
            self.swarm.admin.get(OS, self.name)
        except NotFound:
            return True
        return False

    # -- the end -------------------------------------------------------------------------------------------

    def left(self) -> list[str]:
        """Machines that do not run the target, and nothing names them; empty where the rollout has ended."""
        os = self.swarm.admin.get(OS, self.name)
        status = os.get("status") or {}
        counts = status.get("counts") or {}
        if status.get("observedGeneration") != os["metadata"]["generation"] or counts.get("inProgress"):
            return ["the rollout runs"]
        rows = [row for row in status.get("waiting") or () if row["reason"] in LASTING]
        named = {row["node"] for row in [*(status.get("failed") or ()), *rows]}
        wanted = os["spec"]["release"]["digest"]
        return [
            machine.name
            for machine in self.machines
            if (machine.running != wanted or machine.on_trial) and machine.name not in named
        ]

    def wait_for_end(self, seconds: float) -> None:
        self.swarm.wait(lambda: not self.left(), f"the end of the rollout of {self.version}", seconds)

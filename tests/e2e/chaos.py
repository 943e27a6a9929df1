"""What may happen to rollouts over a swarm, drawn from a seed: people, machines, deaths of the operator."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from testbed.swarm.bed import WORKLOAD, Swarm, os_object
from testbed.swarm.machine import Fate, Machine, digest
from tests import waiting
from warmroot.errors import AlreadyExists, ClusterError, Conflict, NotFound
from warmroot.kube.cluster import NODE, OS, PDB, Object

log = logging.getLogger(__name__)
LASTING = {"Barred", "FellBack", "Unhealthy", "NeverCameBack", "ActivationFailed"}
"""Reasons for which a node stays where it is until a person comes."""
FATES = [Fate.PANICS, Fate.PANICS, Fate.NEVER_READY, Fate.SLOW]


@dataclass
class Rollout:
    """An OS object as a person wants it: of the machines with these labels."""

    swarm: Swarm
    name: str
    version: int
    asked: Object
    labels: Mapping[str, str]

    def __post_init__(self) -> None:
        self.machines = [one for one in self.swarm.fleet.machines.values() if self._mine(one)]

    def _mine(self, machine: Machine) -> bool:
        node = self.swarm.records.node(machine.name)
        return all(node["metadata"]["labels"].get(key) == value for key, value in self.labels.items())

    def doom(self, random: Random, number: int, version: int) -> None:
        """A release that does not come up on some machines."""
        for machine in random.sample(self.machines, number):
            machine.fate[digest(version)] = random.choice(FATES)

    def apply(self) -> None:
        """As `kubectl apply`."""
        body = os_object(self.name, self.version, self.asked, self.labels)
        try:
            self.swarm.admin.create(OS, body)
        except AlreadyExists:
            waiting.until(lambda: self._replace(body["spec"]), forgive=(Conflict,))

    def _replace(self, spec: Object) -> Object:
        return self.swarm.admin.replace(OS, self.swarm.admin.get(OS, self.name) | {"spec": spec})

    def edit(self, patch: Object) -> None:
        """Merges into the object, if it is there."""
        with suppress(NotFound):
            self.swarm.admin.patch(OS, self.name, patch)

    def approve(self) -> None:
        """The wave `rest`, for the release that is wanted now."""
        note = {"warmroot.io/approve": f"rest@{digest(self.version)}"}
        self.edit({"metadata": {"annotations": note}})

    def is_gone(self) -> bool:
        """Whether there is no such object."""
        try:
            self.swarm.admin.get(OS, self.name)
        except NotFound:
            return True
        return False

    def left(self) -> list[str]:
        """Machines that do not run the target, and nothing names them; empty where the rollout has ended."""
        os = self.swarm.admin.get(OS, self.name)
        status = os.get("status") or {}
        counts = status.get("counts") or {}
        if status.get("observedGeneration") != os["metadata"]["generation"] or counts.get("inProgress"):
            return [f"the rollout of {self.name} runs"]
        rows = [row for row in status.get("waiting") or () if row["reason"] in LASTING]
        named = {row["node"] for row in [*(status.get("failed") or ()), *rows]}
        wanted = os["spec"]["release"]["digest"]
        return [
            machine.name
            for machine in self.machines
            if (machine.running != wanted or machine.on_trial) and machine.name not in named
        ]


class Chaos:
    """Rollouts, and the story that is told to them. What people edit is the first one's object."""

    def __init__(self, seed: int, rollouts: Sequence[Rollout]) -> None:
        self.seed, self.random = seed, Random(seed)
        self.rollouts, self.first, self.swarm = rollouts, rollouts[0], rollouts[0].swarm
        self.machines = [machine for rollout in rollouts for machine in rollout.machines]
        self.kills = 0
        self._story: list[tuple[float, str, Callable[[], None]]] = []

    def draw(self, seconds: float, deeds: Mapping[str, int]) -> None:
        """So many of each deed, at any time within the first `seconds`."""
        for what, number in deeds.items():
            for _ in range(number):
                self.at(self.random.uniform(1, seconds), what)

    def at(self, moment: float, what: str) -> None:
        """`what` is the name of a deed."""
        self._story.append((moment, what, getattr(self, f"_{what}")))

    def tell(self) -> None:
        """Applies, and lets happen what was drawn, each thing at its moment."""
        story = sorted(self._story, key=lambda one: one[0])
        log.warning("seed %s: %s", self.seed, ", ".join(f"{what} +{moment:.0f}" for moment, what, _ in story))
        for rollout in self.rollouts:
            rollout.apply()
        began = time.monotonic()
        for moment, what, deed in story:
            self.swarm.wait(lambda moment=moment: time.monotonic() - began >= moment, what, moment + 60)
            deed()

    def wait_for_end(self, seconds: float) -> None:
        """Until every machine runs the target, or something names it.

        Raises:
            AssertionError: they do not within `seconds`; it names a few.
        """
        end = time.monotonic() + seconds
        while left := [one for rollout in self.rollouts for one in rollout.left()]:
            self.swarm.check()
            assert time.monotonic() < end, f"seed {self.seed}: after {seconds:g} s not at its end: {left[:5]}"
            time.sleep(1)

    def _later(self, span: tuple[float, float], deed: Callable[[], None]) -> None:
        self.swarm.time.after(self.random.uniform(*span), deed)

    def _machine(self) -> Machine:
        return self.random.choice(self.machines)

    # -- deeds: the operator and machines --------------------------------------------------------------------

    def _kill(self) -> None:
        self.kills += self.swarm.operator.kill()

    def _silence(self) -> None:
        """A machine whose proxy is cut off for a while."""
        machine = self._machine()

        def back() -> None:
            machine.silent = False
            machine.obey()
            machine.report()

        self.swarm.time.after(0, lambda: setattr(machine, "silent", True))
        self._later((3, 10), back)

    def _crash(self) -> None:
        self.swarm.time.after(0, self._machine().crash)

    # -- deeds: people and their nodes -----------------------------------------------------------------------

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
        """No pod may be disrupted for a while."""
        self._spare(0)
        self._later((4, 8), lambda: self._spare(self.swarm.spec.spare))

    def _spare(self, pods: int | str) -> None:
        self.swarm.admin.patch(PDB, WORKLOAD, {"spec": {"maxUnavailable": pods}}, namespace=WORKLOAD)

    # -- deeds: people and their OS object -------------------------------------------------------------------

    def _pause(self) -> None:
        self.first.edit({"spec": {"rollout": {"paused": True}}})
        self._later((4, 8), lambda: self.first.edit({"spec": {"rollout": {"paused": False}}}))

    def _budget(self) -> None:
        nodes = self.random.choice([20, "8%", "25%", 35])
        self.first.edit({"spec": {"rollout": {"maxUnavailable": nodes}}})

    def _retarget(self) -> None:
        self.first.version += 1
        release = {"version": str(self.first.version), "digest": digest(self.first.version)}
        self.first.edit({"spec": {"release": release}})

    def _approve(self) -> None:
        self.first.approve()

    def _recreate(self) -> None:
        """The OS object is deleted, and applied again when it is gone."""
        with suppress(NotFound):
            self.swarm.admin.delete(OS, self.first.name)
        self.swarm.wait(self.first.is_gone, "the deleted OS object is gone", 90)
        self.first.apply()
        self.first.approve()

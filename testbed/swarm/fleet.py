"""All machines, and what they saw of an operator that is wrong."""

from __future__ import annotations

from random import Random

from testbed.swarm.machine import Machine
from testbed.swarm.ports import Object, Records, Time, Times

BUSY = ("Staging", "Activating", "Trial")
"""Phases in which a proxy gives a heartbeat each minute."""


class Fleet:
    """Machines by name. `breaches`: orders that no machine may be given (R3), as they were given."""

    def __init__(self, time: Time, random: Random, records: Records, times: Times | None = None) -> None:
        self.time, self.random, self.records = time, random, records
        self.times = times or Times()
        self.machines: dict[str, Machine] = {}
        self.written: list[tuple[str, str]] = []
        self.breaches: list[str] = []
        self.forgiven_at = 0.0
        self.beats = 0

    def begin(self) -> None:
        """Heartbeats from now on."""
        self.time.after(self.times.heartbeat, self._beat)

    def heard(self, instance: Object) -> None:
        """An OSInstance has changed: its proxy sees it in a moment."""
        machine = self.machines.get(instance["metadata"]["name"])
        if machine is not None and instance["metadata"]["generation"] != machine.observed:
            self.time.after(self.random.uniform(*self.times.heed), machine.obey)

    def _beat(self) -> None:
        self.beats += 1
        for machine in self.machines.values():
            if self.beats % 4 == 0 or machine.phase in BUSY:
                machine.report()
        self.time.after(self.times.heartbeat, self._beat)

    def wrote(self, machine: Machine, wanted: str) -> None:
        """A proxy begins to write a release: never one that fell back there (R3)."""
        self.written.append((machine.name, wanted))
        self._never_again(machine, wanted, "writes")

    def activated(self, machine: Machine, wanted: str) -> None:
        """A proxy is about to try a release: never one that fell back there (R3)."""
        self._never_again(machine, wanted, "activates")

    def _never_again(self, machine: Machine, wanted: str, does: str) -> None:
        fell = machine.fell_back.get(wanted)
        if fell is not None and fell > self.forgiven_at:
            self.breaches.append(f"R3: {machine.name} {does} {wanted[:15]} again")

"""Many machines under one roof: built, switched on and off together, reached by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from testbed.kubelet.simulated import NodeSpec, Pace, SimulatedKubelet
from testbed.machine.console import Console
from testbed.machine.machine import Machine, Paths, Power, Timing, proxy_command
from testbed.machine.proxy import ProxyProcess
from warmroot.errors import StepFailed

Install = Callable[[Paths], None]
"""Writes a new machine's disk file, and what an installer leaves on its data partition."""


@dataclass(frozen=True)
class FleetSpec:
    """What a fleet is made of. `kubeconfig` gives a node's own credential by name."""

    directory: Path
    names: Sequence[str]
    kubeconfig: Callable[[str], Path]
    proxy: Sequence[str]
    labels: dict[str, str] = field(default_factory=dict)
    taints: Sequence[dict[str, str]] = ()
    timing: Timing = field(default_factory=Timing)
    pace: Pace = field(default_factory=Pace)
    seed: int = 0


class Fleet:
    """Machines with simulated kubelets. Ends them all when the block that holds it ends."""

    def __init__(self, spec: FleetSpec, install: Install) -> None:
        self.spec = spec
        self.machines = {name: _build(spec, number, install) for number, name in enumerate(spec.names)}

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.power_off()

    def __iter__(self) -> Iterator[Machine]:
        return iter(self.machines.values())

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    def power_on(self) -> None:
        """Switches all machines on."""
        for machine in self:
            machine.power_on()

    def power_off(self) -> None:
        """Pulls all plugs."""
        for machine in self:
            machine.power_off()

    def wait_until_up(self, seconds: float) -> None:
        """Waits until every machine runs a system.

        Raises:
            StepFailed: one did not within `seconds`; names its console log.
        """
        end = time.monotonic() + seconds
        for machine in self:
            while machine.power is not Power.UP:
                if time.monotonic() > end:
                    raise StepFailed(
                        f"{machine.name} is {machine.power} after {seconds:g} s",
                        hint=f"read {machine.paths.console}",
                    )
                time.sleep(0.05)


def _build(spec: FleetSpec, number: int, install: Install) -> Machine:
    name = spec.names[number]
    paths = Paths(spec.directory / name)
    for directory in (paths.directory, paths.data, paths.proc, paths.root):
        directory.mkdir(parents=True, exist_ok=True)
    install(paths)
    command = proxy_command(spec.proxy, name, paths)
    proxy = ProxyProcess(command, paths.proxy_log, Console(paths.console))
    node = NodeSpec(
        name=name,
        kubeconfig=spec.kubeconfig(name),
        directory=paths.directory,
        address=f"10.77.{number // 250}.{number % 250 + 1}",
        labels=spec.labels,
        taints=spec.taints,
        pace=spec.pace,
    )
    presence = SimulatedKubelet(node, proxy)
    return Machine(name, paths.directory, presence, proxy, spec.timing, seed=spec.seed + number)

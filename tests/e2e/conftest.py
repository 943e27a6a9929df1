"""One bed for the whole session: bringing it up costs more than most rollouts."""

from __future__ import annotations

import pytest
from rich.console import Console

from testbed.demo.bed import Bed, BedSpec
from testbed.demo.objects import Run
from testbed.demo.reporter import Reporter
from testbed.kubelet.simulated import Pace
from testbed.machine.machine import Timing
from tests.e2e.driver import Driver

MACHINES = 4


@pytest.fixture(scope="session")
def bed(tmp_path_factory):
    """Control plane, operator and machines on release 1."""
    spec = BedSpec(
        directory=tmp_path_factory.mktemp("bed"),
        run=Run("e2e", MACHINES),
        timing=Timing(boot_guard=120),
        pace=Pace(node_ready=0.3, pod_start=0.3, pod_stop=0.3),
    )
    with Bed(spec, Reporter(Console(stderr=True, width=200))) as running:
        yield running


@pytest.fixture(scope="session")
def _driver(bed):
    return Driver(bed, bed.shelf.made["1"])


@pytest.fixture
def driver(_driver):
    """The bed at rest: every machine in service."""
    _driver.rest()
    return _driver

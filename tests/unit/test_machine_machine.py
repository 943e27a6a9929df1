"""A machine really ends its proxy, boots from its bytes again, and stays dark when nothing runs."""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path

import pytest

from testbed.kubelet.presence import HostFacts
from testbed.machine.console import Console
from testbed.machine.faults import Fault
from testbed.machine.machine import Machine, Paths, Power, Timing, proxy_command
from testbed.machine.proxy import ProxyProcess
from tests import waiting
from tests.unit.machine_images import MISSING, make_disk_at
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.errors import UserError

until = partial(waiting.until, seconds=10)

pytestmark = pytest.mark.erofs
if MISSING:
    pytest.skip(f"{', '.join(MISSING)} not installed; `make setup` brings them", allow_module_level=True)

FAST = Timing(firmware=0, panic=0, watchdog=0, boot_guard=60, slow=0.1)
STAND_IN = ("sh", "-c", "exec sleep 60", "proxy")


class ListeningPresence:
    """Notes what the machine tells the cluster, and starts the proxy's pod at once."""

    def __init__(self, proxy: ProxyProcess) -> None:
        self.proxy = proxy
        self.starts: list[tuple[HostFacts, bool]] = []
        self.up = threading.Event()

    def start(self, facts: HostFacts, *, ready: bool = True) -> None:
        self.starts.append((facts, ready))
        self.proxy.start({}, Path("kubeconfig"))
        self.up.set()

    def stop(self) -> None:
        self.up.clear()

    def set_ready(self, ready: bool) -> None:
        raise NotImplementedError


@pytest.fixture
def make_machine(tmp_path):
    made = []

    def make(record: BootRecord, timing: Timing = FAST, **slots: str) -> Machine:
        paths = Paths(tmp_path)
        make_disk_at(paths.disk, record, **slots)
        console = Console(paths.console)
        proxy = ProxyProcess(proxy_command(STAND_IN, "n1", paths), paths.proxy_log, console)
        machine = Machine("n1", tmp_path, ListeningPresence(proxy), proxy, timing)
        made.append(machine)
        return machine

    yield make
    for machine in made:
        machine.power_off()


GOOD_A = BootRecord(1, Slot.A)
TRIAL_OF_B = BootRecord(7, Slot.A, Slot.B, 3)


def booted(machine: Machine) -> list[Slot]:
    return [boot.running.slot for boot in machine.history.boots]


def test_a_reboot_that_the_proxy_asks_for_ends_it_and_gives_a_new_boot_id(make_machine):
    machine = make_machine(GOOD_A)
    machine.power_on()
    until(lambda: machine.proxy.pid is not None)
    first = machine.proxy.pid
    machine.paths.reboot_file.touch()
    until(lambda: len(machine.history.boots) == 2 and machine.proxy.pid is not None)
    assert machine.proxy.pid != first
    assert machine.history.reboots_ordered == 1
    assert len({facts.boot_id for facts, _ in machine.presence.starts}) == 2
    assert not machine.paths.reboot_file.exists()


def test_pulling_the_plug_ends_the_proxy_and_says_nothing_to_the_cluster(make_machine):
    machine = make_machine(GOOD_A)
    machine.power_on()
    until(lambda: machine.proxy.pid is not None)
    machine.power_off()
    assert (machine.power, machine.proxy.pid, machine.presence.up.is_set()) == (Power.OFF, None, False)


def test_a_release_whose_kernel_panics_ends_on_the_good_slot_by_itself(make_machine):
    machine = make_machine(TRIAL_OF_B, b="panic")
    machine.power_on()
    until(lambda: machine.power is Power.UP)
    assert booted(machine) == [Slot.A]
    assert len(machine.history.resets) == 3


def test_rot_after_verification_ends_on_the_good_slot_by_itself(make_machine):
    machine = make_machine(TRIAL_OF_B)
    machine.faults.add(Fault.ROT)
    machine.power_on()
    until(lambda: machine.power is Power.UP)
    assert booted(machine) == [Slot.A]
    said = {reset.why for reset in machine.history.resets}
    assert len(machine.history.resets) == 3
    assert len(said) == 1 and "corrupted" in said.pop()


def test_the_boot_guard_reboots_a_trial_until_the_good_slot_runs(make_machine):
    machine = make_machine(TRIAL_OF_B, Timing(firmware=0, panic=0, watchdog=0, boot_guard=0.1))
    machine.power_on()
    until(lambda: booted(machine)[-1:] == [Slot.A])
    assert booted(machine) == [Slot.B, Slot.B, Slot.B, Slot.A]
    assert machine.history.guard_bites == 3


def test_the_boot_guard_leaves_a_confirmed_system_alone(make_machine):
    machine = make_machine(GOOD_A, Timing(firmware=0, boot_guard=0.05))
    machine.power_on()
    until(lambda: machine.power is Power.UP)
    time.sleep(0.2)
    assert (booted(machine), machine.history.guard_bites) == ([Slot.A], 0)


def test_a_release_that_never_gets_ready_is_told_to_the_cluster_as_it_is(make_machine):
    machine = make_machine(TRIAL_OF_B, b="not-ready")
    machine.power_on()
    until(machine.presence.up.is_set)
    assert [ready for _, ready in machine.presence.starts] == [False]


def test_a_machine_that_never_comes_back_stays_dark(make_machine):
    machine = make_machine(TRIAL_OF_B)
    machine.faults.add(Fault.NEVER_COMES_BACK)
    machine.power_on()
    until(lambda: machine.power is Power.DARK)
    assert booted(machine) == []


def test_a_slow_machine_comes_up_on_its_trial_only_later(make_machine):
    machine = make_machine(TRIAL_OF_B, Timing(firmware=0, panic=0, watchdog=0, boot_guard=60, slow=0.5))
    machine.faults.add(Fault.SLOW)
    began = time.monotonic()
    machine.power_on()
    until(lambda: machine.power is Power.UP)
    assert (booted(machine), time.monotonic() - began >= 0.5) == ([Slot.B], True)


def test_with_nothing_bootable_a_machine_stays_dark(make_machine):
    machine = make_machine(TRIAL_OF_B, a="panic", b="panic")
    machine.power_on()
    until(lambda: machine.power is Power.DARK)
    assert [reset.slot for reset in machine.history.resets] == [Slot.B] * 3 + [Slot.A] * 3


def test_a_machine_without_a_proxy_command_is_refused(tmp_path):
    with pytest.raises(UserError, match="no proxy command"):
        proxy_command((), "n1", Paths(tmp_path))

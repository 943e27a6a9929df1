"""A node in memory for the slot engine: a disk that loses what was not flushed, firmware, and an operator.

The real agent and the real staging run on it. `Node` asserts I1-I6 at the moment in which a byte moves, so a
test needs only to make things happen.
"""

import hashlib
import json
import random
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

from os_proxy.agent import Agent, Ports
from os_proxy.backends import configuring
from os_proxy.backends.bootstate import GrubBootState
from os_proxy.backends.device import Window
from os_proxy.backends.staging import Surroundings
from os_proxy.core import configuration
from os_proxy.core.orders import Config, Goal, Orders, RebootOrder, Release
from os_proxy.core.seen import Booted
from os_proxy.ports import SlotDevices
from tests.proxy_ports import SimClock, SimFiles, SimInstance, SimSource
from warmroot import nodeconfig
from warmroot.disk import arguments
from warmroot.disk.bootrecord import SECTOR, BootRecord, Slot, choose, decode, newest
from warmroot.disk.layout import ARGUMENT_OFFSETS, BLOCK, COPY_OFFSETS
from warmroot.errors import ConfigRefused, ReadOnlyDisk
from warmroot.nodeconfig import NONE
from warmroot.release.manifest import Boot, Manifest, Root, Skew, digest
from warmroot.release.source import Mirrors
from warmroot.release.verity import build, tree_size

BOOTSTATE_SIZE = 8 * BLOCK
ROOT_BLOCKS = 4
ROOT_SIZE = ROOT_BLOCKS * BLOCK + tree_size(ROOT_BLOCKS)
BOOT_SIZE = BLOCK
SLOT_SIZE = ROOT_SIZE + BOOT_SIZE
DISK_SIZE = BOOTSTATE_SIZE + 2 * SLOT_SIZE
READERS = ("systemd-sysctl.service", "containerd.service", "kubelet.service", "chrony.service")
UNKNOWN = b"unknownField"
DEADLY = "deadly=1"
"""A kernel argument with which no release comes up."""
START = {Slot.A: BOOTSTATE_SIZE, Slot.B: BOOTSTATE_SIZE + SLOT_SIZE}


class PowerCut(BaseException):
    """The node lost power: no code of its own runs any more."""


@dataclass(frozen=True)
class Image:
    """A release as bytes. `healthy` says whether its kernel comes up."""

    manifest: Manifest
    root: bytes
    boot: bytes
    healthy: bool = True

    @cached_property
    def digest(self):
        return digest(self.manifest.encode())

    @property
    def release(self):
        return Release(self.manifest.version, self.digest, ("sim://releases",))


def arguments_of(config):
    """The revision of the kernel arguments in these settings, as an operator orders them."""
    words = json.loads(config).get("kernelArguments", ()) if config else ()
    return nodeconfig.arguments_revision(words)


def make_image(seq, *, blocks=ROOT_BLOCKS, healthy=True, shared=1, boot_size=700, **changes):
    """Release `seq`; its first `shared` blocks are the same in all releases."""
    data = b"".join(
        random.Random(number if number < shared else 1000 * seq + number).randbytes(BLOCK)
        for number in range(blocks)
    )
    boot = random.Random(-seq).randbytes(boot_size)
    tree = build([data], data_blocks=blocks, salt=b"salt")
    manifest = Manifest(
        product="warmroot",
        arch="amd64",
        version=f"{seq}.0",
        release_seq=seq,
        min_seq=0,
        root=Root(len(data) + tree_size(blocks), blocks, b"salt", tree.root_hash),
        boot=Boot(len(boot), hashlib.sha256(boot).digest()),
        kernel="6.12",
        kubelet="1.36.2",
        kubernetes=Skew("1.36", "1.39"),
        config_schema=1,
    )
    return Image(replace(manifest, **changes), data + tree.encode(), boot, healthy)


class SimDisk:
    """A device that keeps only what was flushed or written through; and the partitions on it.

    `spend` is called before each change with its kind and may raise PowerCut; `guard` sees every write.
    """

    size = DISK_SIZE

    def __init__(self, image=None, *, spend=lambda kind: None, guard=lambda offset, data: None):
        self.durable = bytearray(image or bytes(DISK_SIZE))
        self.current = bytearray(self.durable)
        self.pending = []
        self.read_only = False
        self.spend, self.guard = spend, guard
        self.bootstate = Window(self, 0, BOOTSTATE_SIZE)

    def read(self, offset, length):
        return bytes(self.current[offset : offset + length])

    def write(self, offset, data):
        self._refuse()
        self.spend("write")
        self.guard(offset, bytes(data))
        self.current[offset : offset + len(data)] = data
        self.pending.append((offset, bytes(data)))

    def write_through(self, offset, sector):
        self._refuse()
        self.guard(offset, sector)
        self.spend(("sector", offset, bytes(sector)))
        self.current[offset : offset + SECTOR] = sector
        self.durable[offset : offset + SECTOR] = sector

    def flush(self):
        self._refuse()
        self.spend("flush")
        self.durable[:] = self.current
        self.pending.clear()

    def slot(self, slot):
        return SlotDevices(
            Window(self, START[slot], ROOT_SIZE), Window(self, START[slot] + ROOT_SIZE, BOOT_SIZE)
        )

    @contextmanager
    def exclusive(self, slot):
        yield self.slot(slot)

    def _refuse(self):
        if self.read_only:
            raise ReadOnlyDisk("the simulated disk is read-only")

    def copies(self):
        return tuple(self.read(offset, SECTOR) for offset in COPY_OFFSETS)

    def sectors(self):
        """What is not durable yet, sector by sector, in the order of writing."""
        return [
            (offset + at, data[at : at + SECTOR])
            for offset, data in self.pending
            for at in range(0, len(data), SECTOR)
        ]

    def crashed(self, kept):
        """The bytes after a power cut that kept these of `sectors()`."""
        image = bytearray(self.durable)
        for offset, sector in kept:
            image[offset : offset + len(sector)] = sector
        return bytes(image)

    def install(self, slot, image, *, good=None):
        """Puts a release into a slot from outside, as an installer does."""
        start = START[slot]
        self.current[start : start + len(image.root)] = image.root
        self.current[start + ROOT_SIZE : start + ROOT_SIZE + len(image.boot)] = image.boot
        if good:
            for offset in COPY_OFFSETS:
                self.current[offset : offset + SECTOR] = BootRecord(1, good).encode()
        self.durable[:] = self.current


@dataclass
class World:
    """One node with its firmware; everything that survives a power cut is in `disk.durable` and `files`."""

    images: list
    disk: SimDisk = None
    files: SimFiles = None
    clock: SimClock = field(default_factory=SimClock)
    spend: object = lambda kind: None

    def __post_init__(self):
        self.by_root = {image.manifest.root.root_hash: image for image in self.images}
        self.by_digest = {image.digest: image for image in self.images}
        self.source = SimSource(self.images)
        self.sources = [self.source]
        self.instance = SimInstance()
        self.boots = 0
        self.orders_made = 0
        self.reboot_wanted = False
        self.tried = []
        self.rotten = self.signed = False
        self.added, self.edits = "", {}
        self.etc, self.in_force, self.took_notice = {}, NONE, {}
        if self.disk is None:
            self.disk = SimDisk()
            self.disk.install(Slot.A, self.images[0], good=Slot.A)
        self.files = self.files or SimFiles()
        self._attach()

    def _attach(self):
        self.disk.spend = self.files.spend = self._spend
        self.disk.guard = self.guard

    def _spend(self, kind):
        self.spend(kind)  # a test may put another one in place at any time

    # -- the running system ---------------------------------------------------------------------------

    def start_agent(self):
        surroundings = Surroundings(
            disk=self.disk,
            boot_state=GrubBootState(self.disk.bootstate),
            files=self.files,
            clock=self.clock,
            wait=lambda seconds: None,
            open_sources=lambda urls: Mirrors(self.sources),
        )
        ports = Ports(surroundings, HostOf(self), self, self.instance, in_flight=1, jitter=lambda: 0.0)
        self.agent = Agent(ports, version="0")

    def manifest(self, release):
        return self.by_digest[release.digest].manifest.encode()

    def reboot(self, reason):
        self.reboot_wanted = True

    def settle(self, turns=60):
        """Lets the agent work, and the host reboot when asked, until nothing is left to do."""
        for _ in range(turns):
            pause = self.agent.turn()
            if self.reboot_wanted:
                self.boot(self.disk.durable)
            elif pause > 0:
                return
        raise AssertionError("the agent does not come to rest")

    # -- firmware ---------------------------------------------------------------------------------------

    def boot(self, image=None):
        """Power on: the firmware chooses from the bytes until a slot comes up. Never neither."""
        self.disk = SimDisk(image if image is not None else self.disk.durable)
        self._attach()
        self.reboot_wanted = False
        for _ in range(6):
            choice = choose(*self.disk.copies())
            for offset, sector in zip(COPY_OFFSETS, choice.copies, strict=True):
                self.disk.current[offset : offset + SECTOR] = sector
                self.disk.durable[offset : offset + SECTOR] = sector
            trial = choice.record is not None and choice.slot is choice.record.next
            found, added = self.content(choice.slot), self.added_to(choice.slot)
            if trial:
                name = nodeconfig.target(found.digest, arguments.in_force(added)) if found else None
                self.tried.append(name)
            if found and found.healthy and DEADLY not in added:
                self.boots += 1
                self.booted_slot, self.running, self.added = choice.slot, found, added
                self.bring_settings()
                self.took_notice = {unit: files_of(unit, self.etc) for unit in READERS}
                self.start_agent()
                return
            assert trial, f"neither: the firmware must boot slot {choice.slot}, which holds nothing whole"
        raise AssertionError("the tries of a trial never end")

    def booted_now(self):
        root = self.running.manifest.root
        return Booted(
            self.booted_slot,
            root.root_hash,
            f"boot-{self.boots}",
            root.data_size,
            self.in_force,
            arguments.in_force(self.added),
            self.signed,
        )

    def added_to(self, slot, image=None):
        """What the boot loader puts on a slot's command line besides its release's."""
        data = self.disk.current if image is None else image
        return arguments.words(bytes(data[ARGUMENT_OFFSETS[slot] :][:SECTOR]))

    # -- settings ---------------------------------------------------------------------------------------

    def bring_settings(self):
        """As warmroot-config.service does."""
        text = configuring.text_of(self.files, self.booted_slot)
        self.etc = configuration.render(nodeconfig.parse(text), {})
        self.in_force = nodeconfig.revision(text)

    def configure(self, change):
        """A unit takes notice when it restarts, and a kubelet refuses what it does not know."""
        self._spend("settings")
        self.bring_settings()
        for unit in change.restart:
            self._spend("restart")
            if any(UNKNOWN in file.data for file in files_of(unit, self.etc).values()):
                raise ConfigRefused(f"{unit} does not start with them")
            self.took_notice[unit] = files_of(unit, self.etc)

    def by_hand(self):
        """What lies in /etc: what was put there, and what a person did to it since."""
        return {path: file for path, file in (self.etc | self.edits).items() if file is not None}

    def all_took_notice(self):
        return self.took_notice == {unit: files_of(unit, self.etc) for unit in READERS}

    def content(self, slot, image=None):
        """The release that a slot holds wholly, every byte of it; None if it holds none."""
        data = self.disk.current if image is None else image
        start = START[slot]
        for release in self.images:
            root = data[start : start + len(release.root)]
            boot = data[start + ROOT_SIZE : start + ROOT_SIZE + len(release.boot)]
            if root == release.root and boot == release.boot:
                return release
        return None

    # -- the invariants, at the moment of each write --------------------------------------------------------

    def guard(self, offset, data):
        places = {place: slot for slot, place in ARGUMENT_OFFSETS.items()}
        if offset in places:
            self.guard_arguments(places[offset], data)
        elif offset < BOOTSTATE_SIZE:
            self.guard_record(offset, data)
        else:
            self.guard_slot(offset, data)

    def guard_record(self, offset, data):
        assert offset in COPY_OFFSETS and len(data) == SECTOR, "I4: one sector, at a copy's place"
        record, before = decode(data), newest(*self.disk.copies())[1]
        mine, other = (self.durable_copy(at) for at in sorted(COPY_OFFSETS, key=lambda at: at != offset))
        second = other == data
        assert second or before is None or record.gen > before.gen, "I4: gen must rise"
        assert decode(other) or not decode(mine), "the only whole copy is never at stake"
        if not second and before and decode(mine) == decode(other):
            assert offset == COPY_OFFSETS[0], "I4: copy 1 before copy 2"
        if before and record.good is not before.good:
            assert record.good is self.booted_slot, "I1: only what runs becomes good"
            assert self.content(record.good), "I1: only what is verified becomes good"
            assert self.added == self.added_to(record.good), "I1: with what it was started with"
        if record.next:
            assert self.rotten or self.content(record.next), "only what was verified is tried"
            assert not self.disk.pending, "only what is durable is tried"

    def guard_arguments(self, slot, data):
        assert len(data) == SECTOR, "one sector"
        assert slot is not self.booted_slot, "I2: what runs is started as it was"
        for sector in self.disk.copies():
            record = decode(sector)
            assert record and record.good is not slot, "I2: no copy may call a slot good whose start changes"
            assert record.next is None, "I3: no copy may try anything while a slot's start changes"

    def durable_copy(self, offset):
        return bytes(self.disk.durable[offset : offset + SECTOR])

    def guard_slot(self, offset, data):
        slot = Slot.A if offset < START[Slot.B] else Slot.B
        assert slot is not self.booted_slot, "I2: the booted slot is never written"
        for sector in self.disk.copies():
            record = decode(sector)
            assert record and record.good is not slot, "I2: no copy may call a written slot good"
            assert record.next is None, "I3: no copy may try anything while a slot is written"
        self.guard_bytes(offset - START[slot], data)

    def guard_bytes(self, at, data):
        for image in self.images:
            whole = image.root.ljust(ROOT_SIZE, b"\0") + image.boot.ljust(BOOT_SIZE, b"\0")
            if whole[at : at + len(data)] == data:
                return
        raise AssertionError("I6: bytes of no release reached a slot")

    # -- the operator -------------------------------------------------------------------------------------

    def order(self, goal, image=None, *, barred=(), deadline=600.0, bandwidth=None, config="", kept=None):
        """`kept`: settings that the slot has already, by their revision alone."""
        self.orders_made += 1
        needs_reboot = goal in (Goal.ACTIVATE, Goal.ROLLBACK)
        self.instance.wanted = Orders(
            generation=self.orders_made,
            goal=goal,
            os="workers",
            release=replace(image.release, arguments=arguments_of(config)) if image else None,
            barred=frozenset(barred),
            bandwidth=bandwidth,
            config=Config(kept, "") if kept is not None else Config(nodeconfig.revision(config), config),
            reboot=RebootOrder(f"order-{self.orders_made}", self.clock.time + deadline)
            if needs_reboot
            else None,
        )

    @property
    def phase(self):
        return self.instance.state.get("phase")

    @property
    def error(self):
        return self.instance.state.get("lastError", {}).get("reason")

    @property
    def record(self):
        return newest(*self.disk.copies())[1]


class HostOf:
    """The Host port of a world: `booted` is a fact there and a method here."""

    def __init__(self, world):
        self._world = world

    def booted(self):
        return self._world.booted_now()

    def containerd(self):
        return {}

    def lying(self, paths):
        return {path: self._world.by_hand().get(path) for path in paths}

    def configure(self, change):
        self._world.configure(change)

    def reboot(self, reason):
        self._world.reboot(reason)


def files_of(unit, files):
    return {path: file for path, file in files.items() if unit in file.restart}


def new_world(*images, **changes):
    """A node that runs the first release from slot A."""
    world = World(list(images), **changes)
    world.boot()
    return world


MOST_STEPS = 40


def cut_off_at_each_step(ordered):
    """What an order leaves behind if it is cut off at its first step, at its second, and so on, until it gets
    through. `ordered` makes a world in which the order is given and nothing is done about it.
    """
    for steps in range(MOST_STEPS):
        world = ordered()
        left = iter(range(steps))

        def spend(kind, left=left):
            if next(left, None) is None:
                raise PowerCut

        world.spend = spend
        try:
            world.settle()
        except PowerCut:
            world.spend = lambda kind: None
            yield world
        else:
            return
    raise AssertionError(f"it does not get through in {MOST_STEPS} steps")

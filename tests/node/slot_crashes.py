"""Every crash state of a scripted life of a node: each prefix of its writes, and what a disk may have kept.

A disk keeps what was flushed, and of what was not any subset of its 512-byte sectors. The life covers an
update that is confirmed, one that falls back, a rollback, one that goes back to the release before, and
kernel arguments that are tried, confirmed, given up and taken away. Each distinct state boots old or new,
never neither, and the agent brings it to the end that the orders say.
"""

import random
from dataclasses import dataclass

from os_proxy.core.orders import Goal
from os_proxy.core.receipts import SlotContent, receipt
from tests.proxy_ports import SimFiles
from tests.proxy_world import DEADLY, SimDisk, World, arguments_of, make_image, new_world
from warmroot import nodeconfig
from warmroot.disk.bootrecord import SECTOR, Slot

ONE, TWO, THREE = make_image(1), make_image(2), make_image(3)
BAD = make_image(4, healthy=False)
IMAGES = [ONE, TWO, BAD, THREE]
WORDS = nodeconfig.encode({"kernelArguments": ["mitigations=auto"], "sysctl": {"vm.swappiness": "1"}})
FATAL = nodeconfig.encode({"kernelArguments": [DEADLY]})
SCRIPT = (
    (Goal.STAGE, TWO),
    (Goal.ACTIVATE, TWO),
    (Goal.CONFIRM, TWO),
    (Goal.STAGE, BAD),
    (Goal.ACTIVATE, BAD),
    (Goal.STAGE, THREE),
    (Goal.ACTIVATE, THREE),
    (Goal.ROLLBACK, THREE),
    (Goal.STAGE, ONE),
    (Goal.ACTIVATE, ONE),
    (Goal.CONFIRM, ONE),
    (Goal.STAGE, ONE, WORDS),
    (Goal.ACTIVATE, ONE, WORDS),
    (Goal.CONFIRM, ONE, WORDS),
    (Goal.STAGE, ONE, FATAL),
    (Goal.ACTIVATE, ONE, FATAL),
    (Goal.STAGE, ONE),
    (Goal.ACTIVATE, ONE),
)
TORN_AT = range(1, SECTOR, 7)
"""Bytes of a torn boot record sector that are new: more than a disk may do, but the record stands it."""
ENDS = {
    Goal.STAGE: {"Staged"},
    Goal.ACTIVATE: {"Trial", "FellBack"},
    Goal.CONFIRM: {"Confirmed"},
    Goal.ROLLBACK: {"FellBack"},
}
"""Where each order ends. A trial that a power cut ended is a try less, three of them are a fallback."""


@dataclass(frozen=True)
class State:
    """What is left after the power went: bytes, files, and what was ordered.

    The disk is kept as what the states of one power cut share, and the sectors that this one has on top.
    """

    durable: bytes
    kept: tuple
    files: dict
    orders: object
    boots: int

    @property
    def disk(self):
        image = bytearray(self.durable)
        for offset, sector in self.kept:
            image[offset : offset + len(sector)] = sector
        return bytes(image)

    @property
    def fingerprint(self):
        return hash(self.disk), hash(frozenset(self.files.items())), self.orders.generation


def states(*, subsets=240, again=25):
    """All crash states, once each: of the script, and of the recovery of every `again`th of those."""
    seen = set()

    def fresh(found):
        for state in found:
            fingerprint = state.fingerprint
            if fingerprint not in seen:
                seen.add(fingerprint)
                yield state

    first = []
    for state in fresh(_of_the_script(subsets)):
        first.append(state)
        yield state
    for state in first[::again]:
        yield from fresh(_of_the_recovery(state, subsets // 10))


def _of_the_script(subsets):
    world, found = new_world(*IMAGES), []
    chance = random.Random(7)
    world.spend = lambda kind: found.extend(_after_cut(world, kind, chance, subsets))
    for goal, image, *config in SCRIPT:
        world.order(goal, image, config="".join(config))
        world.settle()
        yield from found
        found.clear()


def _of_the_recovery(state, subsets):
    found = []
    chance = random.Random(11)
    world = _power_on(state)
    world.spend = lambda kind: found.extend(_after_cut(world, kind, chance, subsets))
    world.settle()
    return found


def _after_cut(world, kind, chance, subsets):
    """The states in which the power goes just before, or in the middle of, this change."""
    durable, sectors = bytes(world.disk.durable), world.disk.sectors()
    files = dict(world.files.content)

    def state(kept):
        return State(durable, tuple(kept), files, world.instance.wanted, world.boots)

    for kept in _kept(sectors, chance, subsets):
        yield state(kept)
    if isinstance(kind, tuple):
        _, offset, sector = kind
        old = durable[offset : offset + SECTOR]
        for at in TORN_AT:
            yield state([(offset, sector[:at] + old[at:])])


def _kept(sectors, chance, subsets):
    """Subsets of the unflushed sectors: all where they are few, else the telling ones and a sample."""
    count = len(sectors)
    if 2**count <= subsets:
        for mask in range(2**count):
            yield [sector for number, sector in enumerate(sectors) if mask >> number & 1]
        return
    for at in range(count + 1):
        yield sectors[:at]
        yield sectors[at:]
    for at in range(count):
        yield [sectors[at]]
        yield sectors[:at] + sectors[at + 1 :]
    for _ in range(subsets):
        yield [sector for sector in sectors if chance.random() < 0.5]


def check(state):
    """The state boots what is whole, and what a receipt vouches for is there."""
    world = World(IMAGES, disk=SimDisk(state.disk), files=SimFiles(state.files))
    _assert_receipts_hold(world)
    world.boot(state.disk)
    assert world.running in (ONE, TWO, THREE)
    assert world.content(world.record.good), "I1: good is whole"


def survive(state):
    """`check`, and then the agent brings the node to the end that its orders say, whatever was lost."""
    check(state)
    world = _power_on(state)
    world.settle()
    assert world.phase in ENDS[state.orders.goal], (world.phase, world.error, state.orders.goal)
    assert world.disk.copies()[0] == world.disk.copies()[1]
    for given_up in (BAD.digest, nodeconfig.target(ONE.digest, arguments_of(FATAL))):
        assert world.tried.count(given_up) <= 3, "I7: it is not tried again by itself"


def _power_on(state):
    world = World(IMAGES, disk=SimDisk(state.disk), files=SimFiles(state.files))
    world.boots = 1000 + state.boots  # boot ids that the life before never had
    world.instance.wanted = state.orders
    world.boot(state.disk)
    return world


def _assert_receipts_hold(world):
    for slot in Slot:
        found = receipt(world.files.read(f"receipts/{slot}.json"))
        if found and found.content is SlotContent.VERIFIED:
            held = world.content(slot, world.disk.durable)
            assert held and held.digest == found.digest, "I6: a receipt vouches for what is not there"

"""A node under any order of orders, kills, power cuts, lies and losses keeps I1-I7 and stays bootable.

`World` asserts I1-I4 and I6 at each write and "never neither" at each boot (I5: the firmware of the test sees
nothing but the disk); the rules here bring the chaos.
"""

import random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from os_proxy.core.orders import Goal
from os_proxy.core.seen import Situation
from tests.examples import examples
from tests.proxy_world import DEADLY, PowerCut, make_image, new_world
from warmroot import nodeconfig
from warmroot.disk.arguments import DAMAGED
from warmroot.disk.bootrecord import Slot, decode
from warmroot.disk.layout import ARGUMENT_OFFSETS, BLOCK, COPY_OFFSETS
from warmroot.errors import NetworkError

IMAGES = [make_image(1), make_image(2), make_image(3), make_image(4, healthy=False)]
ONE, TWO, THREE, BAD = IMAGES
CONFIGS = [
    "",
    nodeconfig.encode({"sysctl": {"net.core.somaxconn": "4096"}}),
    nodeconfig.encode({"sysctl": {"vm.swappiness": "1"}, "kubelet": {"maxPods": 200}}),
    nodeconfig.encode({"kubelet": {"unknownField": True}, "containerd": {"oom_score": -999}}),
    nodeconfig.encode(
        {"files": [{"path": "/etc/chrony/chrony.conf", "content": "x", "restart": ["chrony.service"]}]}
    ),
    nodeconfig.encode({"kernelArguments": ["mitigations=auto"]}),
    nodeconfig.encode({"kernelArguments": ["mitigations=auto", "quiet"], "kubelet": {"maxPods": 200}}),
    nodeconfig.encode({"kernelArguments": [DEADLY]}),
]
settings_of_a_node = st.sampled_from(CONFIGS)
releases = st.sampled_from(IMAGES)


class SlotEngine(RuleBasedStateMachine):
    @initialize()
    def a_node(self):
        self.world = new_world(*IMAGES)
        self.barred = set()
        self.gave_up = set()
        self.settings_lost = False
        self.world.order(Goal.NONE)

    # -- orders -----------------------------------------------------------------------------------------

    @rule(goal=st.sampled_from(list(Goal)), image=releases, config=settings_of_a_node)
    def order(self, goal, image, config=""):
        self.world.order(goal, image, barred=self.barred, config=config)

    @rule(config=settings_of_a_node)
    def the_operator_changes_the_settings_of_what_runs(self, config):
        self.world.order(Goal.CONFIGURE, self.world.running, barred=self.barred, config=config)
        self.work()

    @rule()
    def the_release_falls_back_and_the_operator_bars_it(self):
        self.barred |= self.gave_up
        self.world.order(Goal.NONE, None, barred=self.barred)

    @rule()
    def a_person_lifts_all_bars(self):
        self.work()  # the proxy must have seen the bar: only then is lifting it news
        if self.world.files.full or self.world.disk.read_only:
            return
        self.barred.clear()
        self.world.order(Goal.NONE, None)
        self.gave_up -= self.lifted()

    def lifted(self):
        notes = self.world.agent.look(None).fallbacks.notes
        return {note.digest for note in notes if note.state == "acknowledged"}

    @rule(
        image=releases,
        config=settings_of_a_node,
        last=st.sampled_from([Goal.ACTIVATE, Goal.CONFIRM, Goal.ROLLBACK]),
    )
    def the_operator_goes_through_an_update(self, image, config, last):
        for goal in (Goal.STAGE, Goal.ACTIVATE, last):
            self.order(goal, image, config)
            self.work()

    @rule(config=settings_of_a_node, last=st.sampled_from([Goal.CONFIRM, Goal.ROLLBACK]))
    def the_operator_brings_what_runs_to_other_kernel_arguments(self, config, last):
        self.the_operator_goes_through_an_update(self.world.running, config, last)

    # -- work -------------------------------------------------------------------------------------------

    @rule()
    def work(self):
        self.attempt(self.world.settle)
        self.settings_are_the_slots_own()

    @rule(turns=st.integers(1, 6))
    def work_a_little(self, turns):
        self.attempt(lambda: [self.turn() for _ in range(turns)])

    def turn(self):
        self.world.agent.turn()
        if self.world.reboot_wanted:
            self.world.boot(self.world.disk.durable)

    def attempt(self, work):
        before, boots = len(self.world.tried), self.world.boots
        work()
        self.settings_lost = self.settings_lost and self.world.boots == boots
        self.judge_tries(before)

    @rule(changes=st.integers(0, 40), seed=st.integers(0, 2**16))
    def the_power_goes_in_the_middle_of_work(self, changes, seed):
        world, chance, left = self.world, random.Random(seed), changes

        def spend(kind):
            nonlocal left
            left -= 1
            if left < 0:
                raise PowerCut

        world.spend = spend
        before = len(world.tried)
        try:
            world.settle()
        except PowerCut:
            pass
        finally:
            world.spend = lambda kind: None
        kept = [sector for sector in world.disk.sectors() if chance.random() < 0.5]
        world.boot(world.disk.crashed(kept))
        self.judge_tries(before)

    @rule()
    def the_proxy_is_killed_and_started(self):
        self.world.start_agent()

    @rule(seconds=st.sampled_from([1, 30, 700]))
    def time_passes(self, seconds):
        self.world.clock.time += seconds

    @rule()
    def somebody_reboots_the_node(self):
        before = len(self.world.tried)
        self.world.boot(self.world.disk.crashed(self.world.disk.sectors()))
        self.judge_tries(before)

    # -- faults -----------------------------------------------------------------------------------------

    @rule(lie=st.sampled_from(["honest", "zeros", "short", "flip", "silence"]))
    def the_source_changes_its_mind(self, lie):
        self.world.source.bend = LIES[lie]

    @rule(read_only=st.booleans())
    def the_disk_refuses_writes(self, read_only):
        self.world.disk.read_only = read_only

    @rule(full=st.booleans())
    def the_data_partition_fills_up(self, full):
        self.world.files.full = full

    @rule()
    def the_data_partition_is_lost(self):
        self.world.files.content.clear()
        self.settings_lost = True  # they are in force until a boot, or until they are ordered again
        self.gave_up.clear()  # the node can't know any more; the operator's bars remain

    @precondition(lambda self: self.both_copies_whole())
    @rule(copy=st.sampled_from(COPY_OFFSETS), at=st.integers(0, 120), bit=st.integers(0, 7))
    def a_bit_of_one_copy_rots(self, copy, at, bit):
        for image in (self.world.disk.current, self.world.disk.durable):
            image[copy + at] ^= 1 << bit

    @rule(slot=st.sampled_from(Slot), at=st.integers(25, 120), bit=st.integers(0, 7))
    def a_bit_of_kernel_arguments_rots(self, slot, at, bit):
        for image in (self.world.disk.current, self.world.disk.durable):
            image[ARGUMENT_OFFSETS[slot] + at] ^= 1 << bit

    @precondition(lambda self: self.situation() is Situation.SETTLED)
    @rule(at=st.integers(0, 4 * BLOCK - 1), bit=st.integers(0, 7))
    def a_bit_of_the_inactive_slot_rots(self, at, bit):
        device = self.world.disk.slot(self.world.booted_slot.other).root
        start, self.world.rotten = device._start, True
        for image in (self.world.disk.current, self.world.disk.durable):
            image[start + at] ^= 1 << bit

    def both_copies_whole(self):
        first, second = (decode(copy) for copy in self.world.disk.copies())
        return first is not None and first == second

    def situation(self):
        return self.world.agent.look(None).situation(None)

    # -- what must hold ---------------------------------------------------------------------------------

    def judge_tries(self, before):
        """I7: what the firmware gave up is not tried again until a person cleared it."""
        for digest in self.world.tried[before:]:
            if digest and digest.endswith(DAMAGED):
                continue  # nobody ordered that: its kernel arguments rotted
            assert digest not in self.gave_up, "I7: tried again by itself"
        record = self.world.record
        tried = self.world.tried[before:]
        if tried and record and self.world.booted_slot is record.good and tried[-1]:
            self.gave_up.add(tried[-1])

    @invariant()
    def good_is_whole_and_bootable(self):
        record = self.world.record
        if record is not None:
            found = self.world.content(record.good, self.world.disk.durable)
            assert found and found.healthy, "I1"
            assert DEADLY not in self.world.added_to(record.good, self.world.disk.durable), "I1"

    def settings_are_the_slots_own(self):
        """Whatever was cut off: at rest, what runs has its slot's settings and everybody took notice."""
        world, seen = self.world, self.world.agent.look(None)
        if world.files.full or world.agent.failing or self.settings_lost:
            return
        if seen.situation(None) is not Situation.SETTLED:
            return
        assert not seen.config_cut_off
        assert world.in_force == seen.config_of(world.booted_slot)
        assert world.all_took_notice()


def _flip(path, start, data):
    return bytes([data[0] ^ 1]) + data[1:] if data else data


def _silence(path, start, data):
    raise NetworkError("nothing came")


LIES = {
    "honest": lambda path, start, data: data,
    "zeros": lambda path, start, data: bytes(len(data)),
    "short": lambda path, start, data: data[: len(data) // 2],
    "flip": _flip,
    "silence": _silence,
}

TestSlotEngine = SlotEngine.TestCase
# An example is 40 steps on a disk: 40 of them are worth the 100 of others.
TestSlotEngine.settings = settings(
    max_examples=examples(40).max_examples,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

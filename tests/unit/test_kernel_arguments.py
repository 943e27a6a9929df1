"""Further kernel arguments: tried, confirmed and given up together with the release that they go with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from os_proxy.core.orders import Goal
from tests.proxy_world import DEADLY, ROOT_SIZE, START, PowerCut, make_image, new_world
from warmroot import nodeconfig
from warmroot.disk import arguments
from warmroot.disk.bootrecord import SECTOR, Slot
from warmroot.disk.layout import ARGUMENT_OFFSETS

ONE, TWO = make_image(1), make_image(2)
WORDS = ("mitigations=auto", "isolcpus=2-31")
WANTED = nodeconfig.encode({"kernelArguments": list(WORDS)})
OTHER = nodeconfig.encode({"kernelArguments": ["audit=0"], "sysctl": {"vm.swappiness": "1"}})
BAD = nodeconfig.encode({"kernelArguments": [DEADLY]})
REVISION = nodeconfig.arguments_revision(WORDS)
word = st.from_regex(r"[a-z][a-z0-9_.]{0,12}(=[a-z0-9,:/-]{0,12})?", fullmatch=True)


@pytest.fixture
def world():
    return new_world(ONE, TWO)


def ordered(world, goal, image, config):
    world.order(goal, image, config=config)
    world.settle()
    return world


def moved(world, image, config):
    return ordered(ordered(world, Goal.STAGE, image, config), Goal.ACTIVATE, image, config)


def confirmed(world, image, config):
    return ordered(moved(world, image, config), Goal.CONFIRM, image, config)


# -- on a node ----------------------------------------------------------------------------------------------


def test_what_runs_is_tried_with_other_arguments_from_the_other_slot(world):
    moved(world, ONE, WANTED)
    booted = world.instance.state["booted"]
    assert (world.phase, world.booted_slot, world.record.good) == ("Trial", Slot.B, Slot.A)
    assert (booted["digest"], booted["argumentsRevision"]) == (ONE.digest, REVISION)
    assert world.added == f"wr.args={REVISION} {' '.join(WORDS)}"


def test_nothing_is_fetched_for_arguments_alone(world):
    moved(world, ONE, WANTED)
    assert (world.phase, world.content(Slot.B), world.source.served) == ("Trial", ONE, [])


def test_a_boot_partition_that_rotted_under_what_runs_is_not_copied(world):
    at = START[Slot.A] + ROOT_SIZE
    for image in (world.disk.current, world.disk.durable):
        image[at] ^= 1
    ordered(world, Goal.STAGE, ONE, WANTED)
    assert (world.phase, world.content(Slot.B)) == ("Staged", ONE)
    assert [path for path, _, _ in world.source.served] == [ONE.manifest.boot.path]


def test_confirmed_arguments_stay_and_the_slot_before_keeps_its_own(world):
    confirmed(world, ONE, WANTED)
    world.boot()
    world.settle()
    assert (world.phase, world.booted_slot, world.record.good) == ("Confirmed", Slot.B, Slot.B)
    assert world.added_to(Slot.A) == ""
    assert world.instance.state["slots"]["B"]["argumentsRevision"] == REVISION


def test_a_release_without_further_arguments_says_nothing_of_them(world):
    confirmed(world, TWO, "")
    status = world.instance.state
    assert "argumentsRevision" not in status["booted"] | status["slots"]["A"] | status["slots"]["B"]


def test_arguments_with_which_nothing_comes_up_are_given_up_and_the_release_is_not(world):
    moved(world, ONE, BAD)
    message = world.instance.state["lastError"]["message"]
    assert (world.phase, world.booted_slot, world.added) == ("FellBack", Slot.A, "")
    assert nodeconfig.target(ONE.digest, arguments.revision(arguments.encode([DEADLY]))) in message
    tried = len(world.tried)
    ordered(world, Goal.STAGE, ONE, BAD)
    assert (world.phase, len(world.tried)) == ("FellBack", tried)
    confirmed(world, ONE, WANTED)
    assert (world.phase, world.running) == ("Confirmed", ONE)


def test_barred_arguments_are_refused_and_the_release_with_others_is_not(world):
    barred = nodeconfig.target(TWO.digest, REVISION)
    world.order(Goal.STAGE, TWO, config=WANTED, barred=[barred])
    world.settle()
    assert (world.phase, world.error) == ("Failed", "Barred")
    world.order(Goal.STAGE, TWO, config=OTHER, barred=[barred])
    world.settle()
    assert world.phase == "Staged"


def test_arguments_that_are_taken_away_are_gone_with_a_boot_and_nothing_is_written_for_it(world):
    confirmed(confirmed(world, ONE, WANTED), ONE, OTHER)
    spent = []
    world.spend = spent.append
    confirmed(world, ONE, "")
    assert (world.phase, world.added, world.booted_slot) == ("Confirmed", "", Slot.B)
    assert "write" not in spent, "slot B still held the release"


def test_a_rollback_of_a_trial_takes_its_arguments_along(world):
    moved(world, ONE, WANTED)
    ordered(world, Goal.ROLLBACK, ONE, WANTED)
    assert (world.phase, world.booted_slot, world.added) == ("FellBack", Slot.A, "")


def test_settings_with_the_same_arguments_need_no_boot(world):
    confirmed(world, ONE, WANTED)
    boots = world.boots
    more = nodeconfig.encode({"kernelArguments": list(WORDS), "sysctl": {"vm.swappiness": "1"}})
    ordered(world, Goal.CONFIGURE, ONE, more)
    assert (world.phase, world.boots, world.in_force) == ("Confirmed", boots, nodeconfig.revision(more))


def test_a_change_of_arguments_without_a_boot_is_refused(world):
    ordered(world, Goal.CONFIGURE, ONE, WANTED)
    assert (world.phase, world.error, world.in_force) == ("Failed", "ConfigRefused", "")


def test_a_boot_loader_that_adds_none_is_not_confirmed(world):
    """One that was installed before there were such arguments, or a sector that rotted."""
    ordered(world, Goal.STAGE, ONE, WANTED)
    world.order(Goal.ACTIVATE, ONE, config=WANTED)
    world.added_to = lambda slot, image=None: ""
    world.settle()
    ordered(world, Goal.CONFIRM, ONE, WANTED)
    assert (world.phase, world.error, world.record.good) == ("Failed", "ConfigRefused", Slot.A)
    assert "/proc/cmdline" in world.instance.state["lastError"]["message"]


def test_under_secure_boot_arguments_are_refused_before_anything_is_written(world):
    world.signed = True
    ordered(world, Goal.STAGE, TWO, WANTED)
    assert (world.phase, world.error) == ("Failed", "ConfigRefused")
    assert world.content(Slot.B) is None
    ordered(world, Goal.STAGE, TWO, nodeconfig.encode({"sysctl": {"vm.swappiness": "1"}}))
    assert world.phase == "Staged"


def test_orders_that_name_other_arguments_than_their_settings_are_refused(world):
    world.order(Goal.STAGE, TWO, config=WANTED)
    wanted = world.instance.wanted
    object.__setattr__(wanted.release, "arguments", "f" * 16)
    world.settle()
    assert (world.phase, world.error) == ("Failed", "ConfigRefused")


def test_arguments_of_the_good_slot_that_rot_are_told_and_brought_back_by_the_same_way(world):
    confirmed(world, ONE, WANTED)
    for image in (world.disk.current, world.disk.durable):
        image[ARGUMENT_OFFSETS[Slot.B] + 60] ^= 1
    world.boot()
    world.settle()
    assert world.instance.state["booted"]["argumentsRevision"] == arguments.DAMAGED
    confirmed(world, ONE, WANTED)
    assert world.instance.state["booted"]["argumentsRevision"] == REVISION


@pytest.mark.parametrize("changes", range(40))
def test_a_power_cut_anywhere_on_the_way_ends_with_the_arguments_that_are_wanted(world, changes):
    left = changes

    def spend(kind):
        nonlocal left
        left -= 1
        if left < 0:
            raise PowerCut

    for goal in (Goal.STAGE, Goal.ACTIVATE, Goal.CONFIRM):
        world.order(goal, ONE, config=WANTED)
        world.spend = spend
        try:
            world.settle()
        except PowerCut:
            world.spend = lambda kind: None
            world.boot()
            world.settle()
    assert (world.phase, world.record.good, world.added) == ("Confirmed", Slot.B, world.added_to(Slot.B))
    assert world.instance.state["booted"]["argumentsRevision"] == REVISION


# -- the sector ---------------------------------------------------------------------------------------------


@given(st.lists(word, min_size=1, max_size=20))
def test_what_is_written_is_what_a_start_has(words):
    sector = arguments.encode(words)
    assert len(sector) == SECTOR
    assert arguments.words(sector) == f"wr.args={nodeconfig.arguments_revision(words)} {' '.join(words)}"
    line = f"BOOT_IMAGE=x quiet {arguments.words(sector)}\n"
    assert arguments.in_force(line) == nodeconfig.arguments_revision(words)


def test_no_arguments_add_no_word():
    assert arguments.words(arguments.encode([])) == ""
    assert arguments.in_force("quiet wr.slot=A") == nodeconfig.NONE


@given(st.lists(word, max_size=8), st.lists(word, max_size=8), st.integers(0, SECTOR))
def test_a_sector_that_was_torn_is_one_of_both_or_known_to_be_damaged(old, new, at):
    torn = arguments.encode(new)[:at] + arguments.encode(old)[at:]
    revisions = {nodeconfig.arguments_revision(words) for words in (old, new)}
    assert arguments.revision(torn) in revisions | {nodeconfig.NONE, arguments.DAMAGED}


@given(st.lists(word, min_size=1, max_size=8), st.integers(0, SECTOR * 8 - 1))
def test_one_bit_that_rots_never_passes_for_what_was_wanted(words, bit):
    sector = bytearray(arguments.encode(words))
    sector[bit // 8] ^= 1 << bit % 8
    found = arguments.words(bytes(sector))
    unchanged = found == arguments.words(arguments.encode(words))
    assert unchanged or arguments.in_force(found) in (nodeconfig.NONE, arguments.DAMAGED)


def test_the_most_that_settings_may_say_fits():
    words = ["a" * 63] * 6
    nodeconfig.parse(nodeconfig.encode({"kernelArguments": words}))
    assert len(" ".join(words)) > nodeconfig.MAX_ARGUMENTS - 8
    assert arguments.words(arguments.encode(words)).endswith(" ".join(words))
    assert len(arguments.encode(["a" * nodeconfig.MAX_ARGUMENTS])) == SECTOR

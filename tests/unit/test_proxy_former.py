"""A node keeps the last settings with which it was left in peace, and returns to them without their text."""

import pytest

from os_proxy.backends import configuring
from os_proxy.core.orders import Goal
from tests.proxy_world import cut_off_at_each_step, new_world
from tests.unit.test_proxy_configuration import BAD, GOOD, ONE, OTHER, TWO, ordered, state, to_two
from warmroot import nodeconfig
from warmroot.disk.bootrecord import Slot


def in_peace(world):
    """The operator wants nothing more of the node."""
    world.order(Goal.NONE)
    world.settle()
    return world


def back_to(world, text):
    """An order that names settings without their text."""
    world.order(Goal.CONFIGURE, ONE, kept=nodeconfig.revision(text))
    world.settle()
    return world


def kept(world):
    """What the node says that it can return to."""
    former = world.instance.state["slots"]["A"].get("former")
    return None if former is None else former.get("configRevision", "")


def settled(*texts):
    world = new_world(ONE)
    for text in texts:
        in_peace(ordered(world, text))
    return world


def test_a_node_returns_to_the_settings_before_by_their_revision_alone():
    world = ordered(settled(GOOD), OTHER)
    assert kept(world) == nodeconfig.revision(GOOD)
    back_to(world, GOOD)
    assert state(world) == ("Confirmed", nodeconfig.revision(GOOD), "Reboot", None)
    assert (world.all_took_notice(), configuring.text_of(world.files, Slot.A)) == (True, GOOD)


def test_a_node_says_so_where_it_had_the_images_settings_before():
    assert kept(ordered(new_world(ONE), GOOD)) == ""


@pytest.mark.parametrize("between", [OTHER, BAD], ids=["never in peace", "refused"])
def test_settings_with_which_a_node_was_not_left_in_peace_are_none_to_return_to(between):
    world = ordered(ordered(settled(GOOD), between), "")
    assert kept(world) == nodeconfig.revision(GOOD)


def test_settings_that_were_returned_to_are_the_ones_to_return_to_again():
    """And not those that were left for them, though the node was in peace with those for a while."""
    world = back_to(settled(GOOD, OTHER), GOOD)
    assert kept(world) is None, "it has them"
    assert kept(ordered(world, "")) == nodeconfig.revision(GOOD)


def test_settings_that_are_not_kept_are_refused_where_they_come_without_their_text():
    world = back_to(settled(GOOD, OTHER), "none of those")
    assert (world.phase, world.error, world.in_force) == (
        "Failed",
        "ConfigRefused",
        nodeconfig.revision(OTHER),
    )


def test_what_is_kept_survives_a_boot_and_a_proxy_that_starts_anew():
    world = ordered(settled(GOOD), OTHER)
    world.boot()
    world.settle()
    assert kept(world) == nodeconfig.revision(GOOD)
    assert back_to(world, GOOD).in_force == nodeconfig.revision(GOOD)


def test_a_node_that_was_left_in_peace_notes_it_once():
    world, spent = ordered(new_world(ONE), GOOD), []
    world.spend = spent.append
    in_peace(world)
    assert len(spent) == 1
    in_peace(world)
    assert len(spent) == 1


@pytest.mark.parametrize("reboots", [True, False], ids=["power cut", "proxy killed"])
def test_cut_off_at_any_step_of_a_return_the_node_has_one_of_both_wholly_and_gets_there(reboots):
    def returning():
        world = ordered(settled(GOOD), OTHER)
        world.order(Goal.CONFIGURE, ONE, kept=nodeconfig.revision(GOOD))
        return world

    cuts = 0
    for world in cut_off_at_each_step(returning):
        cuts += 1
        world.boot() if reboots else world.start_agent()
        assert world.in_force in {nodeconfig.revision(one) for one in (GOOD, OTHER)}
        world.settle()
        assert world.in_force == nodeconfig.revision(GOOD)
        assert world.all_took_notice()
    assert cuts > 3


def test_a_slot_that_is_confirmed_anew_keeps_nothing_of_an_earlier_time():
    """Settings that come with a release go back with it, also where the slot had them before."""
    world = in_peace(ordered(in_peace(ordered(new_world(ONE, TWO), GOOD)), OTHER))
    assert kept(world) == nodeconfig.revision(GOOD)
    in_peace(to_two(world, OTHER))
    for goal in (Goal.STAGE, Goal.ACTIVATE, Goal.CONFIRM):
        world.order(goal, ONE, config=OTHER)
        world.settle()
    assert (world.booted_slot, kept(world)) == (Slot.A, None)
    assert state(world) == ("Confirmed", nodeconfig.revision(OTHER), "None", None)

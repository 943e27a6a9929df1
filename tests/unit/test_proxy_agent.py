"""A node's whole life on a simulated disk: stage, activate, trial, confirm, fallback, rollback, refusals."""

import pytest

from os_proxy.core.orders import Goal
from tests.proxy_ports import SimSource
from tests.proxy_world import START, make_image, new_world
from warmroot.disk.bootrecord import Slot
from warmroot.disk.layout import COPY_OFFSETS
from warmroot.errors import NetworkError, UserError

ONE, TWO, THREE = make_image(1), make_image(2), make_image(3)
BAD = make_image(4, healthy=False)


@pytest.fixture
def world():
    return new_world(ONE, TWO, THREE, BAD)


def moved(world, image):
    """Stages and activates a release; what runs afterwards is the firmware's choice."""
    world.order(Goal.STAGE, image)
    world.settle()
    world.order(Goal.ACTIVATE, image)
    world.settle()
    return world


def confirmed(world, image):
    moved(world, image).order(Goal.CONFIRM, image)
    world.settle()
    return world


def test_a_release_is_staged_while_the_node_runs_the_old_one(world):
    world.order(Goal.STAGE, TWO)
    world.settle()
    assert (world.phase, world.content(Slot.B), world.running) == ("Staged", TWO, ONE)
    assert world.instance.state["slots"]["B"]["state"] == "Verified"


def test_an_activated_release_runs_on_trial_and_is_not_good_yet(world):
    moved(world, TWO)
    assert (world.phase, world.running, world.record.good) == ("Trial", TWO, Slot.A)


def test_a_confirmed_release_is_good_and_raises_the_floor(world):
    confirmed(world, TWO)
    assert (world.phase, world.record.good, world.record.next) == ("Confirmed", Slot.B, None)
    assert b'"release_seq": 2' in world.files.read("floor.json")


def test_an_order_reboots_the_node_once(world):
    confirmed(world, TWO)
    boots = world.boots
    world.start_agent()
    world.settle()
    assert world.boots == boots


def test_a_release_that_never_comes_up_falls_back_and_is_told(world):
    moved(world, BAD)
    assert (world.phase, world.error, world.running) == ("FellBack", "FellBack", ONE)
    assert (world.record.next, world.tried) == (None, [BAD.digest] * 3)


def test_a_release_that_fell_back_is_not_tried_again_by_itself(world):
    moved(world, BAD)
    moved(world, BAD)
    assert (world.phase, world.tried) == ("FellBack", [BAD.digest] * 3)


def test_a_release_that_fell_back_may_be_tried_again_once_its_bar_was_seen_and_lifted(world):
    moved(world, BAD)
    world.order(Goal.NONE, BAD, barred=[BAD.digest])
    world.settle()
    moved(world, BAD)
    assert world.tried == [BAD.digest] * 6


def test_another_release_may_follow_a_fallback(world):
    moved(world, BAD)
    confirmed(world, TWO)
    assert (world.phase, world.running) == ("Confirmed", TWO)


def test_a_fallback_is_remembered_through_the_fallback_of_another_release(world):
    moved(world, BAD)
    moved(world, TWO).order(Goal.ROLLBACK, TWO)
    world.settle()
    moved(world, BAD)
    assert (world.phase, world.tried.count(BAD.digest)) == ("FellBack", 3)


def test_a_rollback_returns_to_the_good_slot_and_says_so(world):
    moved(world, TWO).order(Goal.ROLLBACK, TWO)
    world.settle()
    assert (world.phase, world.error, world.running) == ("FellBack", "RolledBack", ONE)


def test_the_release_before_may_come_back_though_it_is_older(world):
    confirmed(world, TWO)
    confirmed(world, ONE)
    assert (world.phase, world.running) == ("Confirmed", ONE)


def test_a_confirmed_release_may_come_back_after_its_slot_was_overwritten(world):
    confirmed(world, TWO)
    world.order(Goal.STAGE, THREE)
    world.settle()
    world.order(Goal.STAGE, ONE)
    world.settle()
    assert (world.phase, world.content(Slot.A)) == ("Staged", ONE)


def test_an_older_release_that_never_ran_here_is_refused():
    old, new = make_image(5), make_image(9)
    world = new_world(new, old)
    world.order(Goal.NONE, new)
    world.files.content["manifests/" + new.digest[7:] + ".json"] = new.manifest.encode()
    world.settle()
    world.order(Goal.STAGE, old)
    world.settle()
    assert (world.phase, world.error, world.content(Slot.B)) == ("Failed", "Replayed", None)


def test_a_barred_release_is_never_written(world):
    world.order(Goal.STAGE, TWO, barred=[TWO.digest])
    world.settle()
    assert (world.phase, world.error, world.content(Slot.B)) == ("Failed", "Barred", None)


def test_an_order_past_its_deadline_is_void(world):
    world.order(Goal.STAGE, TWO)
    world.settle()
    world.order(Goal.ACTIVATE, TWO, deadline=-1.0)
    world.settle()
    assert (world.phase, world.error, world.running, world.record.next) == (
        "Failed",
        "OrderExpired",
        ONE,
        None,
    )


def test_a_trial_of_another_release_than_the_ordered_one_is_not_confirmed(world):
    moved(world, TWO).order(Goal.CONFIRM, THREE)
    world.settle()
    assert (world.phase, world.error, world.record.good) == ("Failed", "WrongRelease", Slot.A)


def test_nothing_is_confirmed_where_nothing_is_on_trial(world):
    world.order(Goal.CONFIRM, TWO)
    world.settle()
    assert (world.phase, world.error) == ("Failed", "NotOnTrial")


def test_a_changed_mind_disarms_before_the_reboot(world):
    world.order(Goal.STAGE, TWO)
    world.settle()
    world.order(Goal.ACTIVATE, TWO)
    while not world.reboot_wanted:
        world.agent.turn()
    world.order(Goal.NONE, TWO)
    world.reboot_wanted = False
    world.settle()
    assert (world.record.next, world.running) == (None, ONE)


def test_a_lost_boot_record_is_repaired_from_what_booted_and_told(world):
    for offset in COPY_OFFSETS:
        world.disk.current[offset : offset + 512] = world.disk.durable[offset : offset + 512] = bytes(512)
    world.order(Goal.NONE)
    world.settle()
    assert (world.record.good, world.record.next, world.error) == (Slot.A, None, "BootRecordLost")


def test_one_lost_copy_is_repaired_before_a_slot_is_written(world):
    for image in (world.disk.current, world.disk.durable):
        image[COPY_OFFSETS[1] : COPY_OFFSETS[1] + 512] = bytes(512)
    world.order(Goal.STAGE, TWO)
    world.settle()
    assert (world.phase, world.disk.copies()[0]) == ("Staged", world.disk.copies()[1])


def test_losing_the_data_partition_costs_a_download_and_nothing_else(world):
    confirmed(world, TWO)
    world.files.content.clear()
    world.order(Goal.STAGE, TWO)
    world.settle()
    assert (world.phase, world.instance.state["booted"]["digest"]) == ("Confirmed", TWO.digest)


def test_a_trial_can_be_confirmed_though_the_data_partition_was_lost(world):
    moved(world, TWO)
    world.files.content.clear()
    world.order(Goal.CONFIRM, TWO)
    world.settle()
    assert (world.phase, world.record.good) == ("Confirmed", Slot.B)


def test_an_unreachable_source_is_tried_again_later(world):
    def refuse(path, start, data):
        raise NetworkError("nothing came")

    world.source.bend = refuse
    world.order(Goal.STAGE, TWO)
    world.settle()
    assert (world.phase, world.error) == ("Failed", "NetworkError")
    assert world.instance.state["lastError"]["retryAt"]
    world.source.bend = lambda path, start, data: data
    world.clock.time += 600
    world.settle()
    assert (world.phase, world.error) == ("Staged", None)


def test_a_lying_source_is_not_asked_again_until_the_orders_change(world):
    world.source.bend = lambda path, start, data: bytes(len(data))
    world.order(Goal.STAGE, TWO)
    world.settle()
    world.clock.time += 86400
    served = len(world.source.served)
    world.settle()
    assert (world.phase, world.error, len(world.source.served)) == ("Failed", "Tampered", served)
    assert "retryAt" not in world.instance.state["lastError"]


def test_a_truncating_source_is_tried_again_and_leaves_the_slot_unfit(world):
    world.source.bend = lambda path, start, data: data[: len(data) - 5000] if "root" in path else data
    world.order(Goal.STAGE, TWO)
    world.settle()
    assert (world.phase, world.error) == ("Failed", "Truncated")
    assert "retryAt" in world.instance.state["lastError"]
    assert world.instance.state["slots"]["B"] == {"state": "Empty"}


def test_a_source_that_lies_late_leaves_a_slot_that_is_being_written(world):
    world.source.bend = lambda path, start, data: bytes(len(data)) if start < 4096 * 4 else data
    world.order(Goal.STAGE, TWO)
    world.settle()
    assert (world.error, world.instance.state["slots"]["B"]["state"]) == ("Tampered", "Writing")
    world.order(Goal.ACTIVATE, TWO)
    world.settle()
    assert (world.running, world.record.next) == (ONE, None)


def test_what_one_mirror_got_wrong_the_next_makes_right(world):
    bad = SimSource(world.images)
    bad.bend = lambda path, start, data: bytes(len(data))
    world.sources = [bad, world.source]
    world.start_agent()
    world.order(Goal.STAGE, TWO)
    world.settle()
    assert (world.phase, world.content(Slot.B)) == ("Staged", TWO)


def test_only_what_is_missing_is_fetched(world):
    world.order(Goal.STAGE, TWO)
    world.settle()
    staging = world.instance.state["staging"]
    assert staging["bytesReused"] == 4096, "all releases share their first block"
    assert staging["bytesDone"] == staging["bytesTotal"]


def test_newer_orders_end_a_staging_that_is_under_way(world):
    def overtake(path, start, data):
        world.order(Goal.STAGE, THREE)
        world.source.bend = lambda path, start, data: data
        return data

    world.source.bend = overtake
    world.order(Goal.STAGE, TWO)
    world.settle()
    assert (world.phase, world.content(Slot.B)) == ("Staged", THREE)


def test_a_release_that_does_not_fit_is_refused_before_anything_is_written():
    large = make_image(2, blocks=6)
    world = new_world(ONE, large)
    before = bytes(world.disk.current[START[Slot.B] :])
    world.order(Goal.STAGE, large)
    world.settle()
    assert (world.phase, world.error) == ("Failed", "SlotTooSmall")
    assert bytes(world.disk.current[START[Slot.B] :]) == before


def test_a_full_data_partition_stops_staging_before_anything_is_written(world):
    world.order(Goal.NONE, TWO)
    world.settle()
    world.files.content["manifests/" + TWO.digest[7:] + ".json"] = TWO.manifest.encode()
    world.files.full = True
    before = bytes(world.disk.current)
    world.order(Goal.STAGE, TWO)
    world.settle()
    assert (world.phase, world.error, bytes(world.disk.current)) == ("Failed", "DiskFull", before)


def test_a_read_only_disk_leaves_the_node_as_it_was(world):
    world.disk.read_only = True
    world.order(Goal.STAGE, TWO)
    world.settle()
    assert (world.phase, world.error, world.running) == ("Failed", "ReadOnlyDisk", ONE)


def test_orders_that_cannot_be_read_are_refused_whole(world):
    world.instance.wanted = UserError("spec.colour is unknown")
    world.settle()
    assert (world.phase, world.error) == ("Failed", "UserError")


def test_an_unchanged_node_writes_no_status(world):
    confirmed(world, TWO)
    written = len(world.instance.patches)
    world.settle()
    world.settle()
    assert len(world.instance.patches) == written


def test_a_quiet_node_still_beats(world):
    confirmed(world, TWO)
    written = len(world.instance.patches)
    world.clock.time += 300
    world.settle()
    assert world.instance.patches[written:] == [{"heartbeat": "1970-01-12T13:51:40Z"}]


def test_an_update_takes_few_status_writes(world):
    confirmed(world, TWO)
    assert len(world.instance.patches) <= 15


def test_the_proxy_reports_before_there_are_orders(world):
    world.settle()
    assert (world.phase, world.instance.state["good"]) == ("Idle", "A")

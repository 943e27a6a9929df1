"""What an OS object's status says, and when it is written."""

from dataclasses import replace

from os_operator.core.actions import SetOrders, WriteStatus
from os_operator.core.plan import PACE, plan
from tests.unit.operator_worlds import (
    NEW,
    NOW,
    cordoned,
    current,
    decide,
    done,
    failure,
    fell_back,
    fleet,
    idle,
    node,
    os,
    pod,
    staged,
    world,
)
from warmroot.api.os import OSStatus
from warmroot.api.reasons import OSPhase


def test_a_rollout_that_is_done_says_so_once():
    pairs = [(node(), current())]
    first = decide(os(), *pairs)
    status = first.statuses["workers"]
    assert (status.phase, status.ready, status.waiting_on) == ("Complete", "1/1", "")
    assert {c.type: c.status.value for c in status.conditions} == {
        "Ready": "True", "Progressing": "False", "Degraded": "False", "Conflicting": "False",
        "ReleaseResolved": "True", "Reconciling": "False", "Stalled": "False",
    }  # fmt: skip
    assert decide(os(status=status), *pairs, now=NOW + 100).actions == ()


def reasons(status):
    return {one.type: one.reason for one in status.conditions}


def test_each_condition_has_the_reason_of_what_it_says():
    def told(asked, *pairs):
        return reasons(decide(asked, *pairs).statuses["workers"])

    ended = told(os(), (node(), current()))
    assert (ended["Ready"], ended["Conflicting"]) == ("Complete", "NoConflict")
    assert (ended["ReleaseResolved"], ended["Degraded"]) == ("Resolved", "Healthy")
    one_fell = (cordoned("node-9"), fell_back("node-9"))
    assert told(os(failure={"maxFailed": 1}), *fleet(3), one_fell)["Degraded"] == "NodeFailed"
    assert told(os())["Ready"] == "NoNodes"
    unknown = told(os(digest=None), (node(), idle()))
    assert (unknown["Ready"], unknown["ReleaseResolved"]) == ("ReleaseUnresolved",) * 2


def test_an_object_that_shares_a_node_says_with_whom():
    pairs = [(node(), idle())]
    both = plan(world([os(), os("other")], pairs), NOW).statuses
    assert [reasons(status)["Conflicting"] for status in both.values()] == ["Conflicting"] * 2
    text = next(one.message for one in both["workers"].conditions if one.type == "Conflicting")
    assert "OS other selects node-1 too" in text


def test_with_stage_in_window_a_node_downloads_only_while_one_is_open():
    closed = [{"cron": "0 1 * * 6", "duration": "4h", "timeZone": "UTC"}]
    early = decide(os(windows=closed), (node(), idle()))
    late = decide(os(windows=closed, stageInWindow=True), (node(), idle()))
    inside = decide(
        os(windows=[{"cron": "* * * * *", "duration": "1h"}], stageInWindow=True), (node(), idle())
    )
    assert [bool(done(one, SetOrders)) for one in (early, late, inside)] == [True, False, True]
    (row,) = late.statuses["workers"].waiting
    assert (row.reason, row.message) == ("Window", "stageInWindow: it downloads when a window opens")


def test_progress_alone_waits_for_its_pace():
    pairs = [(cordoned(), staged()), (node("node-2"), idle("node-2"))]
    status = decide(os(), *pairs, pods={"node-1": (pod("web-1"),)}).statuses["workers"]
    known = replace(os(status=status), status_at=NOW)
    soon = decide(known, *pairs, pods={"node-1": (pod("web-2"),)}, now=NOW + 1)
    assert done(soon, WriteStatus) == []
    assert soon.next_deadline <= NOW + PACE
    late = decide(known, *pairs, pods={"node-1": (pod("web-2"),)}, now=NOW + PACE)
    assert len(done(late, WriteStatus)) == 1


def test_when_the_last_node_of_a_halted_rollout_is_back_in_service_the_status_says_so_at_once():
    failed = OSStatus(target_digest=NEW, failed=(failure(),))
    barred = idle(barred=(NEW,))
    moving = decide(os(status=failed), (cordoned(), barred)).statuses["workers"]
    known = replace(os(status=moving), status_at=NOW)

    back = decide(known, (node(), barred), now=NOW + 1)

    assert (moving.phase, moving.counts.in_progress) == (OSPhase.HALTED, 1)
    assert [one.status.counts.in_progress for one in done(back, WriteStatus)] == [0]


def test_a_superseded_rollout_stays_in_the_history():
    first = decide(os(), *fleet(2)).statuses["workers"]
    second = decide(os(status=first, digest="sha256:" + "2" * 64), *fleet(2)).statuses["workers"]
    assert [entry.result for entry in second.history] == ["Running", "Superseded"]


def test_the_worst_reason_comes_first_and_no_more_than_twenty_are_shown():
    pairs = [*fleet(30), (cordoned("node-99"), fell_back("node-99"))]
    waiting = decide(os(), *pairs).statuses["workers"].waiting
    assert len(waiting) == 20
    assert waiting[0].node == "node-99"

"""What boots noted of themselves, and how a trial ended by that."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from os_proxy.core import receipts, trials
from os_proxy.core.engine import decide
from os_proxy.core.receipts import FallbackCause, FallbackNote, Fallbacks, Receipt, SlotContent
from os_proxy.core.seen import Booted, BootView, Seen
from os_proxy.core.steps import NoteFallback
from os_proxy.core.trials import Boot, Ending, Stage
from warmroot import errors
from warmroot.disk.bootrecord import BootRecord, Slot


def uuid(number):
    return f"00000000-0000-0000-0000-{number:012}"


def lines(*boots):
    """A file: a slot and its stages for each boot."""
    said = []
    for number, (slot, *stages) in enumerate(boots):
        said += [f"{uuid(number)} {slot} {stage}" for stage in stages]
    return "\n".join(said).encode()


ARMED = ("A", "initrd", "up")
BACK = ("A", "initrd")


@pytest.mark.parametrize(
    ("trial", "how", "told"),
    [
        ([], Ending.NEVER_STARTED, ""),
        ([("B", "initrd")], Ending.NEVER_CAME_UP, ""),
        ([("B", "initrd", "up failed=none")], Ending.WAS_RESET, "failed=none"),
        ([("B", "initrd", "up", "unconfirmed route=none")], Ending.NOT_CONFIRMED, "route=none"),
        ([("B", "initrd", "emergency")], Ending.EMERGENCY, ""),
        ([("B", "initrd", "up"), ("B", "initrd")], Ending.NEVER_CAME_UP, ""),
    ],
    ids=["nothing", "initrd", "up", "unconfirmed", "emergency", "the last try counts"],
)
def test_a_trial_is_told_by_how_far_its_last_try_came(trial, how, told):
    boots = trials.read(lines(ARMED, *trial, BACK))
    assert trials.ending(boots, Slot.B, boots[-1].id) == (how, told)


def test_an_older_trial_says_nothing_of_this_one():
    boots = trials.read(lines(("B", "initrd", "emergency"), ARMED, BACK))
    assert trials.ending(boots, Slot.B, boots[-1].id) == (Ending.NEVER_STARTED, "")


@pytest.mark.parametrize(
    "data", [None, b"", lines(ARMED, ("B", "initrd"))], ids=["no file", "empty", "stale"]
)
def test_where_even_this_boot_left_no_note_nothing_is_said_of_others(data):
    assert trials.ending(trials.read(data), Slot.B, uuid(99)) == (Ending.UNKNOWN, "")


def test_lines_that_are_none_are_passed_over():
    good = f"{uuid(1)} A initrd"
    odd = [
        "",
        "\0" * 30,
        f"{uuid(2)} C up",
        f"{uuid(2)} A later",
        f"{uuid(2)} B up \x1b[2J",
        good + " x" * 500,
    ]
    assert trials.read("\n".join([*odd, good]).encode()) == (Boot(uuid(1), Slot.A, {Stage.INITRD: ""}),)


@given(st.binary(max_size=400))
def test_whatever_the_file_holds_is_read_and_judged(data):
    boots = trials.read(data)
    for boot in boots:
        assert trials.ending(boots, Slot.B, boot.id)[0] in list(Ending)


def fallen_back(boots):
    """What a node on slot A decides whose trial of slot B is used up."""
    return decide(
        Seen(
            boot=BootView(BootRecord(5, Slot.A, Slot.B, 0), intact=True),
            booted=Booted(Slot.A, bytes(32), boots[-1].id if boots else uuid(1)),
            receipts={Slot.B: Receipt("sha256:new", "2", 2, SlotContent.VERIFIED)},
            boots=boots,
        ),
        None,
        7.0,
    )


def test_each_ending_is_a_reason_of_its_own_that_is_also_a_fallback():
    reasons = set()
    for number, trial in enumerate(
        [[], [("B", "initrd")], [("B", "up")], [("B", "unconfirmed")], [("B", "emergency")]]
    ):
        decision = fallen_back(trials.read(lines(ARMED, *trial, BACK)))
        assert isinstance(decision.step, NoteFallback), number
        assert issubclass(getattr(errors, decision.refusal.reason), errors.FellBack)
        reasons.add(decision.refusal.reason)
    assert len(reasons) == 5
    assert fallen_back(()).refusal.reason == "FellBack"


def test_what_is_told_of_an_ending_reaches_the_status_and_outlives_a_restart():
    decision = fallen_back(trials.read(lines(ARMED, ("B", "unconfirmed route=none"), BACK)))
    assert "(route=none)" in decision.refusal.message
    kept = receipts.fallbacks(receipts.encode(decision.step.fallbacks))
    assert kept == decision.step.fallbacks
    assert kept.newest.ending is Ending.NOT_CONFIRMED


@pytest.mark.parametrize(
    "changes", [{}, {"ending": "SomethingNew", "told": ""}], ids=["before endings", "a later release"]
)
def test_a_note_of_another_release_of_ours_is_still_a_note(changes):
    note = {"digest": "sha256:1", "cause": "FellBack", "at": 1.0, "state": "standing"} | changes
    data = json.dumps({"notes": [note]}).encode()
    assert receipts.fallbacks(data) == Fallbacks((FallbackNote("sha256:1", FallbackCause.FELL_BACK, 1.0),))

"""An archive that beats the plain start still has to beat what serves."""

import dataclasses

import pytest

from jboost_server.core.orders import Form
from jboost_server.core.promotion import Judgement
from jboost_server.core.publication import State
from jboost_server.core.tournament import Recording
from jboost_server.core.verdict import judge
from tests.unit.test_jboost_orders import ORDER, PUBLISHED, A, B

LIST = dataclasses.replace(ORDER, form=Form.CLASS_LIST)
SERVES = dataclasses.replace(PUBLISHED, input=B, warm=100)
OURS, THEIRS = Recording(A, 1000, 60, 50), Recording(B, 1000, 60, 10, 100)


def measured(warm, *, serve=True):
    return Judgement(serve, 50, 99, 200, warm, "faster")


@pytest.mark.parametrize("order", [ORDER, LIST])
def test_where_nothing_serves_the_plain_start_alone_decides(order):
    for found in (measured(90), measured(190, serve=False)):
        assert judge(order, found, [SERVES.become(State.REPLACED, "")], [OURS]) == found


@pytest.mark.parametrize("order", [ORDER, LIST])
def test_what_does_not_beat_the_plain_start_is_not_compared(order):
    assert judge(order, measured(190, serve=False), [SERVES], [OURS, THEIRS]) == measured(190, serve=False)


@pytest.mark.parametrize(("warm", "serves"), [(90, True), (103, True), (104, False)])
def test_a_longer_class_list_has_to_start_as_fast_as_the_one_that_serves(warm, serves):
    found = judge(LIST, measured(warm), [SERVES], [])
    assert found.serve is serves
    assert ("starts in 100 ms" in found.why) is not serves


@pytest.mark.parametrize(("warm", "serves"), [(90, True), (103, True), (104, False)])
def test_of_binary_recordings_the_faster_wins_and_among_equals_the_one_that_saw_more(warm, serves):
    assert judge(ORDER, measured(warm), [SERVES], [OURS, THEIRS]).serve is serves


def test_among_equals_the_one_that_saw_less_does_not_replace_the_other():
    seldom = dataclasses.replace(OURS, requests=1)
    found = judge(ORDER, measured(100), [SERVES], [seldom, THEIRS])
    assert not found.serve
    assert "the last good one stays" in found.why


def test_an_archive_whose_recording_is_gone_does_not_replace_what_serves():
    found = judge(ORDER, measured(50), [SERVES], [THEIRS])
    assert (found.serve, found.why) == (False, "its recording is gone")

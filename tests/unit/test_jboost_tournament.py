from dataclasses import replace
from itertools import permutations

import pytest

from jboost_server.core.tournament import Recording, judge, rank

TRAFFIC = Recording("t" * 64, size=15_500, seconds=600, requests=9_000)
START = Recording("s" * 64, size=15_400, seconds=30, requests=3)
THIN = Recording("f" * 64, size=9_000, seconds=900, requests=50_000)


def digests(places) -> list[str]:
    return [place.recording.digest[0] for place in places]


def test_requests_served_decide_among_recordings_that_saw_nearly_everything():
    assert digests(rank([START, THIN, TRAFFIC])) == ["t", "s", "f"]


def test_a_longer_run_decides_among_equal_traffic_then_size():
    longer = replace(START, digest="l" * 64, seconds=31)
    wider = replace(START, digest="w" * 64, size=15_401)
    assert digests(rank([START, wider, longer])) == ["l", "w", "s"]


def test_the_order_of_arrival_makes_no_difference():
    results = {rank(order) for order in permutations([START, THIN, TRAFFIC])}
    assert len(results) == 1


def test_each_place_says_why():
    thin = rank([TRAFFIC, THIN])[1]
    assert thin.because == (
        "9000 bytes, 50000 requests in 900 s; fewer than 90 % of the 15500 bytes of another"
    )


def test_nothing_wins_before_it_was_measured():
    assert judge([TRAFFIC, START]).winner is None
    assert rank([]) == ()


def test_a_clearly_faster_start_wins():
    slow, fast = replace(TRAFFIC, start=2100), replace(START, start=2000)
    assert judge([slow, fast]).winner == fast


def test_within_noise_the_one_that_saw_traffic_wins():
    traffic, start = replace(TRAFFIC, start=2060), replace(START, start=2000)
    verdict = judge([start, traffic])
    assert verdict.winner == traffic
    assert "2 fastest" in verdict.because


def test_the_last_good_one_stays_while_its_rivals_are_not_measured():
    holder = replace(START, start=2000)
    verdict = judge([holder, TRAFFIC], last_good=holder.digest)
    assert verdict.winner == holder
    assert "stays" in verdict.because


def test_the_last_good_one_stays_against_a_slower_one_that_saw_more():
    holder, rival = replace(START, start=2000), replace(TRAFFIC, start=2100)
    assert judge([holder, rival], last_good=holder.digest).winner == holder


def test_what_replaces_the_last_good_one_says_what_it_saw():
    holder, rival = replace(START, start=2000), replace(TRAFFIC, start=1990)
    verdict = judge([holder, rival], last_good=holder.digest)
    assert verdict.winner == rival
    assert verdict.because.startswith("replaces ssssssssssss: its start of 1990 ms")
    assert "9000 requests in 600 s" in verdict.because


def test_a_last_good_one_that_is_not_there_is_an_error_and_not_forgotten():
    with pytest.raises(ValueError, match="last good"):
        judge([TRAFFIC], last_good="x" * 64)


def test_a_recording_counts_once():
    with pytest.raises(ValueError, match="twice"):
        rank([TRAFFIC, TRAFFIC])


@pytest.mark.parametrize(
    "odd", [{"size": 0}, {"seconds": -1}, {"requests": -1}, {"start": 0}, {"digest": ""}]
)
def test_a_recording_of_nothing_is_none(odd):
    with pytest.raises(ValueError, match=next(iter(odd))):
        replace(TRAFFIC, **odd)

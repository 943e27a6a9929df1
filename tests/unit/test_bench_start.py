"""The start benchmark compares what is comparable: starts of one round, requests of one window."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from bench.javastart.race import Contestant, Results, Sample, race
from testbed.apps.running import Ready
from testbed.apps.traffic import Served


def contestant(name: str, order: list[str], before: float = 0.0) -> Contestant:
    @contextmanager
    def start():
        order.append(name)
        running = SimpleNamespace(ready=Ready(2.0, 3.0, 100.0), end=lambda _: order.append(f"{name} ended"))
        yield running, before

    return Contestant(name, start)


def results(**seconds: list[float]) -> Results:
    return Results({name: [Sample(one, 2 * one, 100) for one in values] for name, values in seconds.items()})


def test_every_contestant_starts_once_a_round_and_has_ended_before_the_next_starts():
    order: list[str] = []
    raced = race([contestant(name, order) for name in "abc"], rounds=4)
    assert order[1::2] == [f"{name} ended" for name in order[::2]]
    assert [sorted(order[at : at + 6 : 2]) for at in range(0, 24, 6)] == [["a", "b", "c"]] * 4
    assert {name: len(samples) for name, samples in raced.samples.items()} == {"a": 4, "b": 4, "c": 4}


def test_the_order_changes_from_round_to_round():
    order: list[str] = []
    race([contestant(name, order) for name in "abcd"], rounds=5)
    assert len({tuple(order[at : at + 8 : 2]) for at in range(0, 40, 8)}) > 1


def test_what_runs_before_the_application_counts():
    assert race([contestant("ours", [], before=0.5)], rounds=1).seconds("ours") == 2.5


def test_a_ratio_is_the_median_of_the_rounds_own_so_that_a_slow_round_says_nothing():
    raced = results(plain=[4.0, 4.0, 40.0], warm=[2.0, 2.0, 20.0])
    assert raced.faster("warm", "plain") == 2.0
    assert raced.lighter("warm", "plain") == 2.0
    assert raced.seconds("plain") == 4.0


def test_a_contestant_that_missed_a_round_is_not_compared():
    with pytest.raises(ValueError, match="shorter"):
        results(plain=[4.0, 4.0], warm=[2.0]).faster("warm", "plain")


def test_the_first_seconds_hold_the_requests_that_began_in_them():
    served = Served([600.0, 600.0, 600.0, 100.0])
    assert served.first(1.0).latencies == [600.0, 600.0]
    assert served.first(60.0).latencies == served.latencies


def test_a_percentile_is_one_of_the_latencies():
    served = Served([float(number) for number in range(1, 101)])
    assert (served.percentile(0.5), served.percentile(0.99), served.slowest) == (51.0, 100.0, 100.0)

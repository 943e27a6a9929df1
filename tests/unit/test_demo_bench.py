"""The ideal schedule that a rollout is measured against is really the shortest for its order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.rollout import Course, ideal_seconds, node_seconds, schedule
from bench.swarm import strict
from testbed.demo.timeline import Mark, Step
from testbed.swarm.pods import Stop
from warmroot.errors import StepFailed

STEPS = (Step.CORDONED, Step.ACTIVATING, Step.READY, Step.TRIAL, Step.CONFIRMING, Step.CONFIRMED)


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=20), st.integers(1, 8))
def test_no_schedule_beats_the_longest_node_or_the_mean_load_of_a_lane(durations, lanes):
    ideal = ideal_seconds(durations, lanes)
    assert ideal >= max(durations)
    assert ideal * lanes >= sum(durations) * (1 - 1e-9)
    assert ideal <= sum(durations) * (1 + 1e-9)


def test_one_lane_takes_the_sum_and_many_lanes_the_longest():
    assert ideal_seconds([3, 4, 5], 1) == 12
    assert ideal_seconds([3, 4, 5], 3) == 5
    assert ideal_seconds([3, 3, 3], 2) == 6


def test_reaction_times_are_left_out_of_a_node_s_own_time():
    marks = [Mark(at, "n1", step) for at, step in zip((0, 2, 7, 9, 30, 31), STEPS, strict=True)]
    assert node_seconds("n1", marks, ready_seconds=10) == 2 + 5 + 10 + 1
    assert node_seconds("n1", marks, ready_seconds=0) == 2 + 7 + 1


def test_a_node_that_was_not_seen_to_take_a_step_is_named():
    with pytest.raises(StepFailed, match="n1 was not seen to be drained, activating"):
        node_seconds("n1", [Mark(0, "n1", Step.CORDONED)], 1)


def test_of_a_drain_the_strict_schedule_takes_only_the_time_in_which_pods_end_for_the_node_s_own():
    marks = [Mark(1, "n1", Step.STAGED)]
    marks += [Mark(at, "n1", step) for at, step in zip((2, 10, 20, 20, 30, 31), STEPS, strict=True)]
    course = Course("swarm", marks, began=0, took=60, lanes=1, ready_seconds=10)
    assert schedule(course)[1].value == (1 + 8 + 20 + 1) / 60
    stops = [Stop("n1", 3, 5), Stop("n1", 4, 7), Stop("n2", 3, 9), Stop("n1", 40, 41)]
    assert strict(course, stops).value == (1 + 4 + 20 + 1) / 60

"""Budget, waves and windows: what must hold for all numbers and clocks."""

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from os_operator.core.budget import budget
from os_operator.core.waves import Gate, Standing, advance, steps
from os_operator.core.windows import opening
from tests.examples import examples
from tests.unit.operator_worlds import node
from warmroot.api.waves import Wave, Window

SHARE = st.one_of(st.integers(1, 500), st.integers(1, 100).map(lambda n: f"{n}%"))
FLEET = st.integers(0, 12_000)
ZONES = st.sampled_from(
    ["UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
)
MOMENT = st.integers(1_700_000_000, 1_900_000_000).map(float)


@given(SHARE, FLEET, FLEET)
def test_a_budget_is_at_least_one_node_rounds_down_and_never_gives_more_than_is_left(value, total, down):
    made = budget(value, total, down)
    exact = value if isinstance(value, int) else total * int(value[:-1]) / 100
    assert made.allowed == max(1, math.floor(exact))
    assert 0 <= made.free <= made.allowed
    assert made.free == 0 or made.free + down <= made.allowed


@st.composite
def wave_lists(draw):
    shares = draw(st.lists(SHARE, max_size=5))
    return [
        Wave(
            name=f"w{index}",
            nodes=share,
            soak=draw(st.sampled_from(["0s", "10m"])),
            approval=draw(st.sampled_from(["None", "Required"])),
        )
        for index, share in enumerate(shares)
    ]


@examples(50)
@given(wave_lists(), st.integers(1, 3000))
def test_waves_end_with_the_whole_fleet_and_round_up(waves, total):
    plan = steps(waves, [node()] * total)
    assert plan[-1].target == total
    reached = 0
    for wave, step in zip(waves, plan, strict=False):
        exact = wave.nodes if isinstance(wave.nodes, int) else total * int(wave.nodes[:-1]) / 100
        reached = max(reached, min(total, max(1, math.ceil(exact))))
        assert step.target == reached


@examples(50)
@given(wave_lists(), st.integers(1, 300), st.integers(0, 5), st.integers(0, 300), st.booleans())
def test_a_wave_only_goes_forward_and_never_past_a_gate(waves, total, index, moved, all_approved):
    plan = steps(waves, [node()] * total)
    names = [f"node-{number}" for number in range(min(moved, total))]
    approved = frozenset(step.name for step in plan) if all_approved else frozenset()
    start = Standing(min(index, len(plan) - 1), 1000.0)
    now = advance(plan, start, names, approved, 2000.0)
    assert now.standing.index >= start.index
    assert now.room(moved) <= max(0, plan[now.standing.index].target - moved)
    for passed in plan[start.index : now.standing.index]:
        assert passed.target <= moved
        assert not passed.soak
    if now.step.approval and not all_approved and moved < total:
        assert now.gate is not Gate.OPEN
    again = advance(plan, now.standing, names, approved, 2000.0)
    assert (again.standing, again.gate) == (now.standing, now.gate)


@examples(40)
@given(st.integers(0, 23), st.integers(0, 59), st.integers(1, 30), ZONES, MOMENT)
def test_a_daily_window_is_open_exactly_for_its_duration_after_it_opened(hour, minute, hours, zone, now):
    window = Window(cron=f"{minute} {hour} * * *", duration=f"{hours}h", time_zone=zone)
    local = datetime.fromtimestamp(now, ZoneInfo(zone))
    if _near_a_clock_change(local):
        return
    starts = [
        (local.replace(hour=hour, minute=minute, second=0, microsecond=0) - timedelta(days=days)).timestamp()
        for days in (0, 1, 2)
    ]
    assert opening([window], now).open == any(start <= now < start + hours * 3600 for start in starts)


def _near_a_clock_change(local):
    around = (local - timedelta(days=3), local + timedelta(days=3))
    return len({moment.utcoffset() for moment in around}) > 1


@examples(40)
@given(st.sampled_from(["30 2 * * *", "0 * * * *", "15 1 * * 0"]), ZONES, MOMENT)
def test_a_window_looks_again_in_the_future_and_then_knows_better(cron, zone, now):
    window = Window(cron=cron, duration="45m", time_zone=zone)
    first = opening([window], now)
    assert first.look_again is not None and first.look_again > now
    if not first.open:
        assert opening([window], first.look_again).open
        assert not opening([window], (now + first.look_again) / 2).open


def test_a_window_lasts_its_whole_time_across_a_clock_change():
    """Berlin, 29 March 2026: 01:00 to 03:00 does not hold four hours of clock, but four hours pass."""
    window = Window(cron="0 1 * * *", duration="4h", time_zone="Europe/Berlin")
    opened = datetime(2026, 3, 29, 1, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    assert [opening([window], opened + offset).open for offset in (-1, 0, 4 * 3600 - 1, 4 * 3600)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_an_opening_in_the_hour_that_spring_skips_is_not_lost():
    window = Window(cron="30 2 * * *", duration="1h", time_zone="Europe/Berlin")
    gap = datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()
    assert opening([window], gap + 60).open


def test_an_opening_in_the_hour_that_autumn_repeats_comes_once():
    window = Window(cron="30 2 * * *", duration="10m", time_zone="Europe/Berlin")
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()
    assert [opening([window], first + 60).open, opening([window], first + 3660).open] == [True, False]

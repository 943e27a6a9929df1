from fractions import Fraction
from itertools import permutations
from math import comb

import pytest

from jboost_server.core.promotion import (
    CONFIDENCE,
    MAX_SAMPLES,
    SHARES,
    chance_beside,
    chance_of,
    judge,
    wins,
)

PLAIN, WARM = [100, 101, 102, 103, 104], [50, 51, 52, 53, 54]


def test_an_archive_that_is_clearly_faster_serves():
    verdict = judge(PLAIN, WARM, min_gain=10)
    assert (verdict.serve, verdict.gain, verdict.plain, verdict.warm) == (True, 49, 102, 52)
    assert verdict.confidence >= CONFIDENCE
    assert verdict.why == "52 ms instead of 102 ms, 49 % faster, with a confidence of 99 %"


def test_too_few_starts_decide_nothing():
    verdict = judge(PLAIN, WARM[:4], min_gain=10)
    assert (verdict.serve, verdict.why) == (False, "4 starts a side were measured; 5 are needed")
    assert not judge(PLAIN, WARM, min_gain=10, samples=6).serve


def test_fewer_starts_than_wanted_decide_where_no_further_one_could_change_it():
    """The builder stops then; its archive is refused for good, and not built again and again."""
    verdict = judge(PLAIN, PLAIN, min_gain=10, samples=9)
    assert (verdict.serve, verdict.gain, verdict.again) == (False, 0, False)
    assert "10 % are wanted" in verdict.why
    assert judge(PLAIN[:3], PLAIN[:3], min_gain=10).again
    assert judge(PLAIN, PLAIN, min_gain=10, samples=11).again
    assert judge([], [], min_gain=10).again


def test_starts_of_a_busy_moment_refuse_nothing_for_good():
    """Met in the demo: other programs ran beside three pairs, and the archive was never tried again."""
    for plain, warm in (
        ([4528, 4410, 5900], [5201, 6010, 4420]),
        ([4528, 4410, 5900, 4380, 6100], [5201, 6010, 4420, 2610, 5890]),
    ):
        verdict = judge(plain, warm, min_gain=10)
        assert (verdict.serve, verdict.again) == (False, True)
    assert "slower" in verdict.why and "measure more starts" in verdict.why


@pytest.mark.parametrize("gain", [0, 5, 9])
def test_an_archive_that_clearly_gains_too_little_is_refused_for_good(gain):
    plain = [1000 + step for step in range(9)]
    warm = [start * (100 - gain) // 100 + 1 for start in plain]
    assert not judge(plain, warm, min_gain=10).again


def test_a_clear_gain_that_is_too_small_is_refused():
    verdict = judge([1000, 1001, 1002, 1003, 1004], [950, 951, 952, 953, 954], min_gain=10)
    assert (verdict.serve, verdict.gain) == (False, 4)
    assert "10 % are wanted" in verdict.why


def test_a_gain_that_the_way_to_the_archive_eats_is_refused_for_good():
    """A start of 800 ms that is 400 ms instead is half as long, and later by an init container."""
    plain, warm = [start * 8 for start in PLAIN], [start * 8 for start in WARM]
    verdict = judge(plain, warm, min_gain=10, min_saved=1000)
    assert (verdict.serve, verdict.again) == (False, False)
    assert verdict.why.endswith("; 10 % are wanted, and 1000 ms")
    assert judge(plain, warm, min_gain=10, min_saved=400).serve
    assert not judge(plain, warm, min_gain=60, min_saved=400).serve
    assert "wanted, and" not in judge(plain, plain, min_gain=10).why


def test_a_large_gain_that_may_be_an_accident_is_refused():
    verdict = judge([100, 200, 300, 400, 500], [90, 110, 150, 310, 490], min_gain=10)
    assert (verdict.serve, verdict.gain) == (False, 50)
    assert "measure more starts" in verdict.why


def test_how_far_an_outlier_is_off_makes_no_difference():
    assert (
        judge([*PLAIN, 105], WARM, min_gain=10).confidence
        == judge([*PLAIN, 9000], WARM, min_gain=10).confidence
    )
    assert judge(PLAIN * 2, [*WARM, *WARM[1:], 9000], min_gain=10).serve


def test_a_machine_that_gets_busy_halfway_hides_no_gain():
    """Then the later warm starts are slower than the early plain ones, and only pairs side by side tell."""
    plain = [479, 498, 513, 476, 491, 437, 460, 519, 501, 970, 1039, 970, 1041, 791, 759]
    warm = [377, 350, 281, 318, 344, 315, 319, 325, 552, 578, 697, 612, 489, 621, 560]
    verdict = judge(plain, warm, min_gain=10)
    assert (verdict.serve, verdict.confidence) == (True, 99)
    assert chance_of(wins(plain, warm), len(plain), len(warm)) > SHARES[0]
    assert not judge(plain, sorted(warm, reverse=True), min_gain=10).serve


def test_the_two_tests_share_the_chance_of_an_error():
    assert 100 * sum(SHARES) <= 100 - CONFIDENCE


@pytest.mark.parametrize(("pairs", "won", "chance"), [(9, 9, 1 / 512), (1, 1, 1 / 2), (3, 0, 1), (0, 0, 1)])
def test_pairs_side_by_side_are_as_likely_as_coins(pairs, won, chance):
    plain = [2] * pairs
    assert chance_beside(plain, [1] * won + [2] * (pairs - won)) == pytest.approx(chance)


def test_what_was_not_clear_may_be_measured_again_and_what_was_may_not():
    assert judge([*PLAIN, 9000], [*WARM, 9000], min_gain=10).again
    assert judge(PLAIN, WARM[:4], min_gain=10).again
    for plain, warm in ((PLAIN, WARM), (PLAIN, PLAIN), (WARM, PLAIN)):
        assert not judge(plain, warm, min_gain=10).again


def test_equal_starts_count_for_the_plain_side():
    assert wins([5, 5], [5, 4]) == 2
    assert not judge([7] * 20, [7] * 20, min_gain=0).serve


def test_slower_is_said_in_words():
    verdict = judge(WARM, PLAIN, min_gain=0)
    assert (verdict.serve, verdict.gain < 0) == (False, True)
    assert "slower" in verdict.why


@pytest.mark.parametrize(("plain", "warm"), [(1, 1), (2, 3), (3, 3), (4, 2), (3, 4)])
def test_the_chance_is_that_of_all_orders_counted_one_by_one(plain, warm):
    counts: dict[int, int] = {}
    sides = set(permutations("p" * plain + "w" * warm))
    for order in sides:
        won = sum(
            1
            for slow, side in enumerate(order)
            if side == "p"
            for fast, other in enumerate(order)
            if other == "w" and fast < slow
        )
        counts[won] = counts.get(won, 0) + 1
    assert len(sides) == comb(plain + warm, plain)
    for won in range(plain * warm + 1):
        expected = Fraction(sum(count for each, count in counts.items() if each >= won), len(sides))
        assert chance_of(won, plain, warm) == pytest.approx(float(expected))


def test_tables_of_mann_and_whitney_agree():
    """One-sided critical values for five and five, and ten and ten, at one percent: U of 1 and of 19."""
    assert chance_of(25 - 1, 5, 5) <= 0.01 < chance_of(25 - 2, 5, 5)
    assert chance_of(100 - 19, 10, 10) <= 0.01 < chance_of(100 - 20, 10, 10)


@pytest.mark.parametrize("odd", [[0] * 5, [-1] * 5, [3_600_001] * 5, [9] * (MAX_SAMPLES + 1)])
def test_what_is_no_start_is_refused(odd):
    for plain, warm in ((odd, WARM), (PLAIN, odd)):
        with pytest.raises(ValueError, match="start"):
            judge(plain, warm, min_gain=10)

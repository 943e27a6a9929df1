"""Promotion: whether an archive serves, by the starts that its builder measured with and without it.

Two things must hold. It must be worth it: the medians differ by at least the wanted gain, and by more than
what a start loses to the way in which it gets its archive, which no builder measures. And it must be no
accident: if the archive were no better, so clear a result would come up in at most one of a hundred such
measurements. Two exact one-sided tests share that one in a hundred, and either may tell. Wilcoxon, Mann and
Whitney's asks how often any warm start was faster than any plain one; with five starts a side it can tell
already. The sign test asks how often a warm start was faster than the plain one beside it: it needs more
starts, but a machine that is busy for a while slows both of a pair and so does not hide the gain. Neither
assumes how starts spread. Equal starts count for the plain side.

A refusal for good has to be as clear: the same tests, the other way round, of the starts that the wanted gain
asks for. What is clear neither way is measured again: a moment in which a machine had other things to do
must not cost a service its archive for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb, inf
from statistics import median

from warmroot.canonical import check, check_integer

SHARES = (0.008, 0.002)
"""Of the chance that is left for error: for all pairs (two of 252 orders of five and five starts), and for
pairs side by side (nine of nine)."""
CONFIDENCE = 99
"""Percent; one in a hundred useless archives may pass the second rule, if it passes the first as well."""
MIN_SAMPLES = 5
"""A side. Four starts a side can't reach the confidence whatever they are."""
MAX_SAMPLES = 100
"""A side; what is beyond tells nothing more."""
MAX_MS = 3_600_000
"""A start of an hour is none."""


@dataclass(frozen=True)
class Judgement:
    """Whether to serve, and why. `gain` in percent of the plain median, rounded down; below zero if slower.

    `plain` and `warm` are medians in milliseconds, `confidence` the percent that was reached, rounded down.
    `again`: too few or too noisy starts; another measurement may tell.
    """

    serve: bool
    gain: int
    confidence: int
    plain: int
    warm: int
    why: str
    again: bool = False


def judge(
    plain: Sequence[int],
    warm: Sequence[int],
    *,
    min_gain: int,
    min_saved: int = 0,
    samples: int = MIN_SAMPLES,
) -> Judgement:
    """The verdict on starts without (`plain`) and with the archive (`warm`), in milliseconds.

    `min_gain` in percent of the plain median, `min_saved` in milliseconds of it. `samples` is how many starts
    a side are wanted.

    Raises:
        ValueError: a start is not 1 ms to an hour, or there are more than MAX_SAMPLES a side.
    """
    check_integer("minGain", min_gain, least=0)
    check_integer("minSaved", min_saved, least=0)
    wish = _Wish(min_gain, min_saved)
    for name, starts in (("plain", plain), ("warm", warm)):
        check(len(starts) <= MAX_SAMPLES, f"{name} has more than {MAX_SAMPLES} starts")
        check(all(1 <= start <= MAX_MS for start in starts), f"{name} has what is no start in milliseconds")
    wanted = max(samples, MIN_SAMPLES)
    fewest = min(len(plain), len(warm))
    missed = _missed(plain, warm, wish)
    if fewest < wanted and not (missed and _out_of_reach(plain, warm, wish, wanted)):
        why = f"{fewest} starts a side were measured; {wanted} are needed"
        return Judgement(False, 0, 0, 0, 0, why, again=True)
    before, after = median(plain), median(warm)
    gain = int((before - after) * 100 // before)
    clear = _clear(plain, warm)
    across = chance_of(wins(plain, warm), len(plain), len(warm))
    confidence = CONFIDENCE if clear else min(CONFIDENCE - 1, int(100 * (1 - across)))
    what = f"{after:g} ms instead of {before:g} ms, {gain} % faster"
    if gain < 0:
        what = f"{after:g} ms instead of {before:g} ms, slower"
    why = f"{what}, with a confidence of {confidence} %"
    enough = gain >= min_gain and before - after >= min_saved
    again = not clear if enough else not missed
    if not enough:
        why += f"; {wish}"
    if again:
        why += f"; {CONFIDENCE} % are wanted" if enough else ", but that is not clear"
        why += ": measure more starts, or on a quieter machine"
    return Judgement(clear and enough, gain, confidence, int(before), int(after), why, again=again)


def _clear(slow: Sequence[float], fast: Sequence[float]) -> bool:
    """Whether it is no accident that the starts of one side are shorter than those of the other."""
    across = chance_of(wins(slow, fast), len(slow), len(fast))
    return across <= SHARES[0] or chance_beside(slow, fast) <= SHARES[1]


@dataclass(frozen=True)
class _Wish:
    """What an archive has to gain: percent of a plain start, and milliseconds."""

    gain: int
    saved: int

    def __str__(self) -> str:
        return f"{self.gain} % are wanted" + (f", and {self.saved} ms" if self.saved else "")

    def longest(self, plain: float) -> float:
        """The longest warm start that gains enough beside this plain one, in hundredths of milliseconds."""
        return min(plain * (100 - self.gain), (plain - self.saved) * 100)


def _missed(plain: Sequence[int], warm: Sequence[int], wish: _Wish) -> bool:
    """Whether it is no accident that warm starts are longer than the wanted gain asks for."""
    asked_for = [wish.longest(start) for start in plain]
    return _clear([start * 100 for start in warm], asked_for)


def _out_of_reach(plain: Sequence[int], warm: Sequence[int], wish: _Wish, wanted: int) -> bool:
    """Whether the gain is missed even if all starts still to come take forever plainly and no time warm.

    A builder that was asked for more than MIN_SAMPLES stops measuring then, by the same rule.
    """
    slowest = median([*plain, *[inf] * (wanted - len(plain))])
    fastest = median([*warm, *[0] * (wanted - len(warm))])
    return fastest * 100 > wish.longest(slowest)


def wins(plain: Sequence[float], warm: Sequence[float]) -> int:
    """In how many pairs of a plain and a warm start the warm one was faster."""
    return sum(fast < slow for slow in plain for fast in warm)


def chance_of(won: int, plain: int, warm: int) -> float:
    """How likely at least `won` pairs are, among `plain` and `warm` starts that do not differ; 0 to 1."""
    counts = _arrangements(plain, warm)
    return sum(counts[won:]) / comb(plain + warm, plain)


def chance_beside(plain: Sequence[float], warm: Sequence[float]) -> float:
    """How likely so many warm starts beat the plain one beside them if they do not differ; 0 to 1."""
    pairs = min(len(plain), len(warm))
    won = sum(fast < slow for slow, fast in zip(plain, warm, strict=False))
    return sum(comb(pairs, count) for count in range(won, pairs + 1)) / (1 << pairs)


@lru_cache(16)
def _arrangements(first: int, second: int) -> tuple[int, ...]:
    """How many of the orders of two samples have 0, 1, 2 … pairs won: Mann and Whitney's recursion.

    Built up by rows, in exact integers: the coefficients of the Gaussian binomial.
    """
    counts = [1]
    for step in range(1, first + 1):
        longer = second + step
        counts = _times(counts, longer)
        counts = _divided(counts, step)
    return tuple(counts)


def _times(counts: list[int], power: int) -> list[int]:
    """The polynomial times 1 - x^power."""
    result = counts + [0] * power
    for index, value in enumerate(counts):
        result[index + power] -= value
    return result


def _divided(counts: list[int], power: int) -> list[int]:
    """The polynomial over 1 - x^power, which divides it."""
    result = list(counts)
    for index in range(power, len(result)):
        result[index] += result[index - power]
    return result[: len(result) - power]

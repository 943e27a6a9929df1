"""How many starts were from an archive lately, out of counts that only grow.

Two marks of what had been reported are kept, at least half an hour apart. What came since the first of them
is recent: a new image that nobody has learned for shows within the hour, however long the one before served.
"""

from __future__ import annotations

from collections.abc import Collection

from jboost_server.core.control.times import instant, when
from jboost_server.core.control.world import Key
from jboost_server.core.outcome import Outcome
from warmroot.api.javacache import StartsMark

APART = 1800.0
"""Seconds between two marks, at the least."""
NOT_MEANT = frozenset({Outcome.OFF.value, Outcome.LEARNING.value})
"""Starts that were not to be from an archive."""
Marks = tuple[StartsMark, ...]


def counted(keys: Collection[Key]) -> tuple[int, int]:
    """Starts from an archive, and all that might have been."""
    hits = sum(key.hits for key in keys)
    missed = (count for key in keys for outcome, count in key.misses.items() if outcome not in NOT_MEANT)
    return hits, hits + sum(missed)


def marked(marks: Marks, hits: int, starts: int, now: float) -> Marks:
    """The marks from now on (Unix seconds). Where nothing was reported, they stay as they are.

    Counts that are lower than before begin anew: the cache service forgets keys that nobody uses.
    """
    new = StartsMark(at=when(now), hits=hits, starts=starts)
    if not marks:
        return (new,) if starts else ()
    last = marks[-1]
    if hits < last.hits or starts - hits < last.starts - last.hits:
        return (new,)
    if starts == last.starts or now < instant(last.at) + APART:
        return marks
    return last, new


def coverage(marks: Marks, hits: int, starts: int) -> int | None:
    """Percent of the recent starts that were from an archive, rounded down; of all if none is recent."""
    if marks and starts > marks[0].starts:
        hits, starts = hits - marks[0].hits, starts - marks[0].starts
    return 100 * hits // starts if starts else None

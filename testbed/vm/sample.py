"""Which power cuts of a log are worth a real boot: all kinds around each change of the boot record, and a
spread of the rest.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from testbed.machine.disk import Disk
from testbed.vm.writelog import Crash, Event, Write, prefixes, reordered, some
from warmroot.disk.layout import BOOTSTATE

T = TypeVar("T")
_DRAWS = 4
"""Random disks at each place around a change."""
_TORN = 4
"""Places within a sector, of those at which a tear shows."""


def spread(events: list[Event], base: Disk, chance: random.Random, count: int) -> list[Crash]:
    """Up to `count` crashes in the order of the log, no two with the same writes.

    Half of them are around changes of the boot record, if there are so many; of the rest half kept all that
    was written before the cut, and half only some of what was not flushed.

    Raises:
        ForeignDisk: the base is no disk of ours.
    """
    near = _distinct(_around_changes(events, base, chance))
    chosen = _evenly(near, count // 2)
    whole = _evenly(_distinct(prefixes(events)), (count - len(chosen)) // 2)
    chosen = _distinct([*chosen, *whole])
    partly = itertools.islice(reordered(events, chance), 4 * count)
    chosen = _distinct([*chosen, *partly])[:count]
    return sorted(chosen, key=lambda crash: crash.after)


def _around_changes(events: list[Event], base: Disk, chance: random.Random) -> Iterator[Crash]:
    home = base.layout()[BOOTSTATE]
    for number, event in enumerate(events):
        if not isinstance(event, Write) or not home.start <= event.offset < home.end:
            continue
        before = Crash(number, tuple(one for one in events[:number] if isinstance(one, Write)))
        yield before
        yield Crash(number + 1, (*before.kept, event))
        yield from _torn(before, event, base)
        for after in (number, number + 1, number + 2):
            for _ in range(_DRAWS):
                yield some(events, min(after, len(events)), chance)


def _torn(before: Crash, event: Write, base: Disk) -> Iterator[Crash]:
    """The power goes within the sector: a disk may have stored its front or its back first."""
    old, new = before.read(base.read(event.offset, len(event.data)), event.offset), event.data
    changed = [at for at, (one, other) in enumerate(zip(old, new, strict=True)) if one != other]
    for at in _evenly(
        changed[1:], _TORN
    ):  # a cut before the first of them, or behind the last, tears nothing
        for mixed in (new[:at] + old[at:], old[:at] + new[at:]):
            yield Crash(before.after + 1, (*before.kept, Write(event.offset, mixed)))


def _distinct(crashes: Iterable[Crash]) -> list[Crash]:
    return list({crash.kept: crash for crash in crashes}.values())


def _evenly(found: Sequence[T], count: int) -> list[T]:
    count = min(count, len(found))
    return [found[number * len(found) // count] for number in range(count)]

"""When a node may begin to move: cron opens a window, its duration closes it, in its own time zone.

A duration is elapsed time, so a four-hour window that spans a clock change still lasts four hours. An
opening that the clock skips in spring opens right after the gap; one that it repeats in autumn opens once
(what Debian's cron does, and `cronsim` with it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from warmroot.api.base import seconds
from warmroot.api.waves import Window


@dataclass(frozen=True, slots=True)
class Opening:
    """Whether a node may begin, and when to look again (Unix seconds; None: never changes)."""

    open: bool
    look_again: float | None


ALWAYS = Opening(True, None)


def opening(windows: Sequence[Window], now: float) -> Opening:
    """Whether any window is open; without windows it always is.

    Raises:
        ValueError: a window's cron expression or time zone can't be read.
    """
    if not windows:
        return ALWAYS
    each = [_one(window, now) for window in windows]
    opened = any(one.open for one in each)
    times = [one.look_again for one in each if one.look_again is not None and one.open == opened]
    if not times:
        return Opening(opened, None)
    return Opening(opened, max(times) if opened else min(times))


def _one(window: Window, now: float) -> Opening:
    length = seconds(window.duration)
    begin = now - length
    try:
        zone = ZoneInfo(window.time_zone)
        ticks = CronSim(window.cron, datetime.fromtimestamp(begin, zone))
    except (CronSimError, ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"window {window.cron!r} in {window.time_zone!r}: {error}") from error
    for tick in ticks:
        start = tick.timestamp()
        if start <= begin:  # in the hour that autumn repeats, local time goes back behind `begin`
            continue
        return Opening(True, start + length) if start <= now else Opening(False, start)
    return Opening(False, None)

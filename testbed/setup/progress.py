"""Progress that a person can believe, in a terminal and in a log, without any library."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

BAR = 24
LOG_EVERY = 10.0
"""Seconds between two lines where nobody can redraw one."""
REDRAW_EVERY = 0.2


def clock(seconds: float) -> str:
    """`m:ss`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def line(fraction: float | None, text: str, elapsed: float, first: float = 0.0) -> str:
    """One line: bar, percentage, what is done, time gone (seconds) and time left at the speed so far.

    `first` is the fraction that was done before `elapsed` began. With None for `fraction` nobody knows how
    much there is to do, and no bar pretends to.
    """
    if fraction is None:
        return f"  {text}, {clock(elapsed)}"
    fraction = min(max(fraction, 0.0), 1.0)
    full = int(fraction * BAR)
    gained = fraction - first
    left = (
        f", about {clock(elapsed * (1 - fraction) / gained)} left" if gained > 0.03 and fraction < 1 else ""
    )
    return f"  [{'#' * full}{'.' * (BAR - full)}] {fraction:4.0%}  {text}, {clock(elapsed)}{left}"


class Progress:
    """Says what happens, on standard error: standard output belongs to results."""

    def __init__(self, stream: TextIO | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._now = now
        self._live = self._stream.isatty()
        self._last = 0.0

    def say(self, text: str) -> None:
        """One line of its own."""
        print(text, file=self._stream, flush=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[float | None, str], None]]:
        """Announces a step; gives a function to report its fraction done and a text; ends with its time."""
        began = self._last = self._now()
        first: float | None = None
        self.say(f"→ {title}")

        def report(fraction: float | None, text: str) -> None:
            nonlocal first
            first = fraction if first is None else first
            now = self._now()
            if now - self._last < (REDRAW_EVERY if self._live else LOG_EVERY):
                return
            self._last = now
            shown = line(fraction, text, now - began, first or 0.0)
            if self._live:
                self._stream.write(f"\r\x1b[K{shown}")
                self._stream.flush()
            else:
                self.say(shown)

        yield report
        if self._live:
            self._stream.write("\r\x1b[K")
        self.say(f"  done in {self._now() - began:.1f} s")

"""Steps of a build: said when they begin, while they take long, and when they end, with their time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto

EVERY = 10.0
"""Seconds between two reports of what a step does."""


class State(Enum):
    """What is reported of a step."""

    BEGUN = auto()
    WORKING = auto()
    DONE = auto()
    FAILED = auto()


@dataclass(frozen=True)
class Report:
    """News of a step. `seconds` since it began; `doing` is what it does now, in the words of its program."""

    step: str
    state: State
    seconds: float = 0.0
    doing: str = ""


def _silent(report: Report) -> None:
    del report


class Steps:
    """Times steps, and tells `hear` about them."""

    def __init__(
        self, hear: Callable[[Report], None] = _silent, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._hear = hear
        self._now = now
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Times what happens inside; gives a function that may be told each thing that the step does.

        The first one is reported at once, later ones not before `EVERY` seconds have passed.
        """
        began, reported = self._now(), -EVERY

        def doing(what: str) -> None:
            nonlocal reported
            gone = self._now() - began
            if gone - reported >= EVERY:
                reported = gone
                self._hear(Report(name, State.WORKING, gone, what))

        self._hear(Report(name, State.BEGUN))
        try:
            yield doing
        except BaseException:
            self._hear(Report(name, State.FAILED, self._now() - began))
            raise
        self.seconds[name] = self._now() - began
        self._hear(Report(name, State.DONE, self.seconds[name]))

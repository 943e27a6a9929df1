"""Steps of a build: said when they begin, timed when they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def _silent(step: str, seconds: float | None) -> None:
    del step, seconds


class Steps:
    """Times steps. `report` hears each twice: without seconds when it begins, with them when it ended."""

    def __init__(self, report: Callable[[str, float | None], None] = _silent) -> None:
        self._report = report
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times what happens inside."""
        self._report(name, None)
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began
        self._report(name, self.seconds[name])

"""Waiting for a condition: no test sleeps for as long as something usually takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    holds: Callable[[], T],
    seconds: float = 20.0,
    what: str | Callable[[], str] = "what was waited for",
    forgive: tuple[type[Exception], ...] = (),
    every: float = 0.01,
) -> T:
    """The first true value of `holds()`, which may raise what is forgiven, asked `every` so many seconds.

    Raises:
        AssertionError: there was none within `seconds`; it says `what`.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            if value := holds():
                return value
        except forgive:
            pass
        assert time.monotonic() < end, f"not within {seconds} s: {what if isinstance(what, str) else what()}"
        time.sleep(every)

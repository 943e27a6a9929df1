"""Waiting for a condition: no test sleeps for as long as something usually takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(holds: Callable[[], T], seconds: float = 20.0, what: str = "what was waited for") -> T:
    """The first true value of `holds()`.

    Raises:
        AssertionError: there was none within `seconds`.
    """
    end = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)
    return value

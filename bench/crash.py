"""Crash states of the slot engine: how many there are, and how many are checked and brought to their end."""

from __future__ import annotations

import time

from bench.report import Row
from tests.property.slot_crashes import check, states, survive


def run() -> list[Row]:
    """Each state is booted; then, in a second pass, the agent also brings it to the end of its orders."""
    began = time.perf_counter()
    found = list(states())
    enumerated = time.perf_counter() - began
    began = time.perf_counter()
    for state in found:
        check(state)
    checked = time.perf_counter() - began
    began = time.perf_counter()
    for state in found:
        survive(state)
    survived = time.perf_counter() - began
    count = len(found)
    return [
        Row("crash", "distinct crash states", count, "states", 10_000, "higher"),
        Row("crash", "enumerated and booted", count / (enumerated + checked), "states/s", None, "higher"),
        Row("crash", "brought to the end of their orders", count / survived, "states/s", None, "higher"),
    ]

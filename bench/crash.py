"""Crash states of the slot engine: how many there are, and how many are checked and brought to their end."""

from __future__ import annotations

import time

from bench.report import Row
from tests.node.slot_crashes import check, states, survive


def run() -> list[Row]:
    """Each state is booted, and then once more, and the agent brings it to the end of its orders."""
    count, enumerated, checked, survived = 0, 0.0, 0.0, 0.0
    at = time.perf_counter()
    for state in states():  # one at a time: thousands of disks do not belong into memory
        count += 1
        found = time.perf_counter()
        check(state)
        booted = time.perf_counter()
        survive(state)
        enumerated += found - at
        checked += booted - found
        at = time.perf_counter()
        survived += at - booted
    return [
        Row("crash", "distinct crash states", count, "states", 10_000, "higher"),
        Row("crash", "enumerated and booted", count / (enumerated + checked), "states/s", None, "higher"),
        Row("crash", "brought to the end of their orders", count / survived, "states/s", None, "higher"),
    ]

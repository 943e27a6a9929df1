"""At least 10,000 crash states of the slot engine: each boots old or new, and nothing unverified."""

from functools import lru_cache

import pytest

from tests.node.slot_crashes import check, states, survive
from warmroot.disk import envblock

RECOVERED = 20
"""One state in so many is also brought to its end; `bench crash` does it with all."""


@pytest.fixture
def quick_records(monkeypatch):
    """The same few records are decoded all the time; decoding is pure."""
    monkeypatch.setattr(envblock, "load", lru_cache(4096)(envblock.load))


@pytest.mark.usefixtures("quick_records")
def test_every_crash_state_boots_old_or_new_and_nothing_unverified(tally):
    checked = recovered = 0
    for number, state in enumerate(states()):
        if number % RECOVERED == 0:
            survive(state)
            recovered += 1
        else:
            check(state)
        checked += 1
    tally("distinct crash states of the slot engine", checked)
    tally("of them brought to the end that their orders say", recovered)
    assert checked >= 10_000

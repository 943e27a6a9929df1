"""The benchmark of the cache service runs, and prints every figure that it promises, each with its goal."""

from __future__ import annotations

import pytest

from bench import serving
from bench.serving import Scale
from testbed.setup import debian

TINY = Scale(archive_mib=1, rounds=1, pods=5, storms=1, asks=1)


@pytest.fixture(scope="module")
def rows():
    return serving.run(TINY)


def test_speeds_lookups_and_memory_are_printed_and_the_promised_ones_have_a_goal(rows):
    compared = {"share of nginx's speed": True} if debian.present("nginx") else {}
    assert {row.figure: row.goal is not None for row in rows} == compared | {
        "archive from the cache service": False,
        "lookup of 5 pods at once, p50": False,
        "lookup of 5 pods at once, p99": True,
        "lookup of 5 pods twice a second each, p50": False,
        "lookup of 5 pods twice a second each, p99": True,
        "resident memory before": False,
        "resident memory at its peak": True,
        "resident memory after": False,
    }


def test_every_figure_was_measured(rows):
    assert [row.figure for row in rows if row.value <= 0] == []

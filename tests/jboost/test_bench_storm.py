"""The benchmark of a scale-out storm runs on both stores, and each promised figure has its goal."""

from __future__ import annotations

import pytest

from bench import merge, storm
from bench.storm import Scale

TINY = Scale(archive_mib=1, pods=6, rounds=1)
ARRANGEMENTS = ("one server, folder", "1 server, S3", "2 servers, S3", "1 server, S3 by redirect")


@pytest.mark.s3
def test_lookups_archives_budgets_and_memory_are_told_of_each_arrangement():
    rows = storm.run(TINY)
    goals = {row.figure: row.goal is not None for row in rows}
    for what in ARRANGEMENTS:
        assert goals.pop(f"{what}: lookup p50") is False
        assert goals.pop(f"{what}: lookup p99") is True
        assert goals.pop(f"{what}: lookup p99 by the service's clock") is True
        assert goals.pop(f"{what}: archives") is False
        assert goals.pop(f"{what}: starts inside their budget") is True
        assert goals.pop(f"{what}: largest memory of a server") is True
        goals.pop(f"{what}: share of nginx's speed", None)
    assert goals == {}
    assert [row.figure for row in rows if row.value <= 0] == []


def test_merging_is_told_for_both_sizes(monkeypatch):
    monkeypatch.setattr(merge, "LISTS", (1, 3))
    rows = {row.figure: row for row in merge.run()}
    assert rows["peak memory with 3 lists"].goal == rows["peak memory with 1 lists"].value * merge.FLAT
    assert all(row.value > 0 for row in rows.values())

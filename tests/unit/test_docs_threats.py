"""`docs/threat-model.md` names tests that exist, and says of every other threat that it is open."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/threat-model.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| threat |", "| --- |"))
]


@pytest.mark.parametrize(("threat", "stops", "tests"), ROWS, ids=[row[0][:60] for row in ROWS])
def test_each_threat_is_played_by_tests_that_exist_or_says_that_it_is_open(threat, stops, tests):
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", tests)
    assert stops.startswith("**open**") is (not named), threat
    assert ", ".join(f"`{path}::{name}`" for path, name in named) == tests
    for path, name in named:
        source = (ROOT / path).read_text()
        assert re.search(rf"^def {name}\(", source, re.MULTILINE), f"{path} has no {name}"


def test_there_are_threats_of_both_kinds():
    assert {row[1].startswith("**open**") for row in ROWS} == {True, False}

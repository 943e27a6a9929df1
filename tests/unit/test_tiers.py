"""No test is forgotten: `testpaths` names the tiers in order, and every tier is in it."""

import tomllib
from pathlib import Path

import pytest

from tests.conftest import pytest_collection_modifyitems

ROOT = Path(__file__).resolve().parents[2]


def tiers():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return config["tool"]["pytest"]["ini_options"]["testpaths"]


def test_every_folder_with_tests_is_a_tier_that_runs():
    found = {str(path.parent.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")}
    assert found == set(tiers())


def test_the_script_that_ci_calls_runs_every_tier_once():
    words = (ROOT / "scripts/test").read_text().split()
    assert sorted(word for word in words if word.startswith("tests/")) == sorted(tiers())


class Item:
    """A test, as far as our rules look at it."""

    def __init__(self, name, *markers):
        self.nodeid, self._markers = name, [getattr(pytest.mark, one).mark for one in markers]

    def iter_markers(self):
        return iter(self._markers)

    def get_closest_marker(self, name):
        return next((one for one in self._markers if one.name == name), None)


def test_what_measures_comes_last_and_all_else_in_its_order():
    items = [Item("a", "measures"), Item("b"), Item("c", "measures"), Item("d")]
    pytest_collection_modifyitems(items)
    assert [item.nodeid for item in items] == ["b", "d", "a", "c"]

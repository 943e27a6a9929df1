"""No test is forgotten: `testpaths` names the tiers in order, and every tier is in it."""

import tomllib
from pathlib import Path

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

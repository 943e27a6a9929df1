"""No test is forgotten: `testpaths` names the tiers in order, and every tier is in it."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_folder_with_tests_is_a_tier_that_runs():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = set(config["tool"]["pytest"]["ini_options"]["testpaths"])

    found = {str(path.parent.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")}

    assert found == named

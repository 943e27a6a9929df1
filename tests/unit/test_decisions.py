"""Decisions (docs/adr) are cited by their numbers."""

from collections import Counter

from testbed.setup.repository import REPOSITORY


def test_each_decision_has_a_number_of_its_own_which_its_title_bears():
    files = sorted((REPOSITORY / "docs/adr").glob("0*.md"))
    numbers = Counter(path.name.partition("-")[0] for path in files)
    assert len(files) > 30
    assert [number for number, count in numbers.items() if count > 1] == []
    assert [path.name for path in files if not path.read_text().startswith(f"# {int(path.name[:4])}. ")] == []

"""The README is one text in two languages: what a person types, reads on and looks at is the same in both."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ((ROOT / name).read_text() for name in ("README.md", "README.zh.md"))


def commands(page: str) -> list[str]:
    """Code in lines and blocks, in its order; what a comment behind a command says is a language's own."""
    blocks = re.findall(r"```\w*\n(.*?)```", page, re.DOTALL)
    lines = [re.sub(r"\s+# .*", "", line) for block in blocks for line in block.splitlines()]
    words = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", page, flags=re.DOTALL))
    return [*lines, *(" ".join(word.split()) for word in words)]


@pytest.mark.parametrize(
    "of",
    [
        commands,
        lambda page: [one for one in re.findall(r"\]\(([^)]+)\)", page) if not one.startswith("README")],
        lambda page: re.findall(r"^(#+) ", page, re.MULTILINE),
        lambda page: len(re.findall(r"^\|", page, re.MULTILINE)),
    ],
    ids=["code", "links", "sections", "tables"],
)
def test_both_languages_say_it(of):
    assert of(CHINESE) == of(ENGLISH)

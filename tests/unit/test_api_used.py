"""No field and no word of the API stands there for itself: code acts on it, and a test speaks of it.

That the reference has each of them is `test_api_reference.py`'s and lint's to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from warmroot.api import reference
from warmroot.api.javacache import JavaCacheSpec
from warmroot.api.os import OSSpec

ROOT = Path(__file__).parents[2]
TESTS = {path: path.read_text() for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)}
CODE = {
    path: path.read_text()
    for part in ("os_operator", "os_proxy", "jboost_server", "warmroot")
    for path in (ROOT / part).rglob("*.py")
}
SHELL = [text for path, text in CODE.items() if path.parent.name != "api"]


def models(model: Any, seen: dict[str, Any]) -> dict[str, Any]:
    """The model and all that its fields are made of, by name."""
    if hasattr(model, "model_fields") and model.__name__ not in seen:
        seen[model.__name__] = model
        for field in model.model_fields.values():
            models(field.annotation, seen)
    for part in get_args(model):
        models(part, seen)
    return seen


def fields() -> Iterator[tuple[str, str]]:
    found = models(JavaCacheSpec, models(OSSpec, {}))
    yield from ((name, field) for name, model in found.items() for field in model.model_fields)


def wire(field: str) -> str:
    head, *rest = field.rstrip("_").split("_")
    return head + "".join(map(str.title, rest))


@pytest.mark.parametrize(("model", "field"), sorted(fields()))
def test_code_acts_on_each_field_of_a_spec_and_a_test_speaks_of_it(model, field):
    used = [text for text in CODE.values() if re.search(rf"\.{field}\b", text)]
    assert used, f"nobody reads {model}.{field}"
    assert any(re.search(rf"\b({field}|{wire(field)})\b", text) for text in TESTS.values())


OTHERWISE = {
    "FailureAction.HALT": "what is no Rollback",
    "CacheMode.AUTO": "what is not Off",
    "ConditionStatus.UNKNOWN": "Kubernetes' third, which counts as not True",
}
"""Words that code need not name: it asks for the other ones."""
WORDS = [(name, word.name, word.value) for name, words in reference.enums().items() for word in words]


@pytest.mark.parametrize(("words", "name", "value"), WORDS)
def test_code_says_or_reads_each_word_and_a_test_speaks_of_it(words, name, value):
    spoken = re.compile(rf"\b{words}\.{name}\b|[\"']{re.escape(value)}[\"']|\b{words}\(")
    meant = f"{words}.{name}" in OTHERWISE
    assert any(spoken.search(text) for text in SHELL) is not meant, f"nobody says {words}.{name}"
    heard = re.compile(rf"\b{words}\.{name}\b|\b{re.escape(value)}\b")
    assert any(heard.search(text) for text in TESTS.values()), f"no test speaks of {words}.{name}"

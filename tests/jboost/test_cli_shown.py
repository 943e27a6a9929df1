"""What a person reads: status, explain and gc, each with the next step, without a JVM."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jboost_server.cli import app
from jboost_server.core.lookup import Scope
from jboost_server.core.outcome import Outcome
from jboost_server.core.retention import Retention
from jboost_server.local.home import Home
from jboost_server.local.service import opened
from jboost_server.local.words import MEANINGS
from tests.jboost_world import KEY
from warmroot import __version__
from warmroot.errors import NetworkError, UserError

OLD = time.time() - Retention().unused_for - 86_400


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.make()
    return made


def shown(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def report(home: Home, outcome: Outcome, **more) -> None:
    folder = home.agent("orders")
    folder.mkdir(parents=True, exist_ok=True)
    tree = {"outcome": outcome, "why": [], "flags": [], "archive": "", "key": "", "lease": None, "ms": {}}
    (folder / "report.json").write_text(json.dumps(tree | more))


def test_the_version_is_the_packages():
    assert shown("--version") == f"jboost {__version__}\n"


def test_an_empty_store_names_the_first_step(home):
    assert "next: jboost run" in shown("status", "--home", str(home.root))


def test_status_shows_what_is_learned(home):
    opened(home).lookup(Scope("local", "orders"), KEY, record=True, pod="one")

    text = shown("status", "--home", str(home.root))
    tree = json.loads(shown("status", "--home", str(home.root), "--output", "json"))

    assert "orders" in text and "17.0.15+6" in text and "Learning" in text
    assert tree["groups"][0]["keys"][0]["state"] == "Learning"


def test_a_service_that_does_not_answer_is_an_error_with_a_next_step(home):
    with pytest.raises(NetworkError) as error:
        shown("status", "--server", "http://127.0.0.1:1")

    assert error.value.hint


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_explained_with_what_to_do(home, outcome):
    report(home, outcome, why=["because of it"], ms={"total": 143, "lookup": 12})

    text = shown("explain", "--home", str(home.root))

    assert text.startswith("orders, ")
    assert MEANINGS[outcome].what in text
    assert f"next: {MEANINGS[outcome].next}" in text
    assert "why: because of it" in text
    assert "took 143 ms: lookup 12" in text


def test_no_start_at_all_is_explained_too(home):
    with pytest.raises(UserError) as error:
        shown("explain", "--home", str(home.root))

    assert "jboost run" in error.value.hint


@pytest.mark.parametrize("name", ["../x", "archives", "UPPER", ""])
def test_a_name_that_no_application_can_have_is_refused(home, name):
    with pytest.raises(UserError, match="--name"):
        shown("explain", "--home", str(home.root), "--name", name)


def _age(path: Path, when: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 2_000_000)
    os.utime(path, (when, when))
    return path


def test_gc_says_what_goes_why_and_how_much_and_only_then_deletes_it(home):
    used, unused = ("a" * 64, "b" * 64)
    report(home, Outcome.HIT, archive=used)
    keep = _age(home.agent("orders") / "archives" / f"{used}.jsa", OLD)
    go = _age(home.agent("orders") / "archives" / f"{unused}.jsa", OLD)
    jar = _age(home.extracted() / "app.jar" / "cafe" / "app.jar", OLD)
    os.utime(jar.parent, (OLD, OLD))

    tried = shown("gc", "--dry-run", "--home", str(home.root))
    assert go.exists() and jar.exists()
    done = shown("gc", "--home", str(home.root))

    assert tried.replace("would delete", "deleted") == done
    assert "did not use" in done and "was not started for 14 days" in done
    assert "deleted 4 MB in all" in done
    assert keep.exists() and not go.exists() and not jar.parent.exists()
    assert shown("gc", "--home", str(home.root)) == "nothing to delete\n"

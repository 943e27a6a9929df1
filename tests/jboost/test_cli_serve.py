"""`jboost serve` as a process: found when it listens and not before, and never in another key's name."""

from __future__ import annotations

import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jboost_server import signing
from jboost_server.local.home import Home
from jboost_server.local.service import prepare, public_lines
from tests.jboost import application
from tests.waiting import until


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    prepare(made)
    return made


@contextmanager
def served(home: Home, *options: object) -> Iterator[subprocess.Popen[str]]:
    words = [*application.JBOOST, "serve", "--home", home.root, *map(str, options)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def refused(home: Home, *options: object) -> str:
    """What a service that does not even begin says."""
    words = [*application.JBOOST, "serve", "--home", home.root, *map(str, options)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "next: " in done.stderr
    return done.stderr


def status(url: str, token: str) -> int:
    request = urllib.request.Request(f"{url}/v1/status", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_announced_service_answers_at_once_to_whoever_has_the_token_and_ends_when_told(home, number):
    with served(home, "--listen", "127.0.0.1:0") as process:
        url = until(home.running, 60, "the announcement")
        known, stranger = status(url, home.token.read_text()), status(url, "0" * 64)
        process.send_signal(number)

        assert (known, stranger) == (200, 401)
        assert process.wait(60) == 0
        assert f"listening on {url}" in process.stderr.read()
    assert home.running() is None


def test_a_service_whose_port_is_taken_is_never_announced(home):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        said = refused(home, "--listen", taken)

    assert f"{taken} can't be listened on: Address already in use" in said
    assert not (home.root / "service.json").exists()


def test_a_service_for_all_addresses_is_found_on_this_machines_own(home):
    with served(home, "--listen", "0.0.0.0:0") as process:
        url = until(home.running, 60, "the announcement")

        assert url.startswith("http://127.0.0.1:")
        assert status(url, home.token.read_text()) == 200
        process.terminate()
        assert str(home.public_keys) in process.stderr.read()


def test_a_service_on_another_store_is_not_announced_and_leaves_the_folders_keys_alone(home, tmp_path):
    before = home.public_keys.read_bytes()
    key = tmp_path / "other.pem"
    signing.create(key)
    with served(home, "--store", tmp_path / "store", "--key", key, "--listen", "127.0.0.1:0") as process:
        until(lambda: "listening" in process.stderr.readline(), 60, "it listens")

        assert home.running() is None
        assert home.public_keys.read_bytes() == before
        theirs = (tmp_path / "store" / "public.keys").read_text().splitlines()
        assert theirs == public_lines(home, key)


def test_another_key_for_the_folders_own_store_is_refused(home, tmp_path):
    key = tmp_path / "other.pem"
    signing.create(key)

    assert "--store" in refused(home, "--key", key)


@pytest.mark.parametrize(
    "listen", ["8780", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "nowhere.invalid:1"]
)
def test_an_address_that_is_none_is_refused(home, listen):
    assert listen in refused(home, "--listen", listen)


@pytest.mark.parametrize(
    "options",
    [("--controller", "a:b"), ("--tenancy", "kubernetes", "--controller", "jboost-controller")],
    ids=["without a cluster", "without a namespace"],
)
def test_a_controller_that_can_be_nobody_is_refused(home, options):
    assert "names nobody" in refused(home, *options)


def test_status_says_what_a_service_has_against_the_question(home):
    with served(home, "--listen", "127.0.0.1:0"):
        url = until(home.running, 60, "the announcement")
        words = [*application.JBOOST, "status", "--server", url]
        without = subprocess.run(words, capture_output=True, text=True, check=False)
        with_it = subprocess.run([*words, "--token", home.token], capture_output=True, text=True, check=False)

    assert without.returncode == 1
    assert f"{url} refuses: NoToken: " in without.stderr and "next: show it a token" in without.stderr
    assert with_it.returncode == 0, with_it.stderr


def test_a_second_service_names_the_first(home):
    with served(home, "--listen", "127.0.0.1:0"):
        url = until(home.running, 60, "the announcement")

        assert url in refused(home, "--listen", "127.0.0.1:0")


def test_a_folder_that_cannot_be_written_is_named():
    assert "/proc/nowhere can't be written" in refused(Home(Path("/proc/nowhere")))

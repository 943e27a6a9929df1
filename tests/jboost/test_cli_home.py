"""The folder of one machine: found by every command, readable by its owner alone, never left half written."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jboost_server import signing
from jboost_server.cli import LEAST_SAMPLES
from jboost_server.local.agent import Service
from jboost_server.local.home import Home, default_home
from jboost_server.local.service import POLICY, prepare, public_lines, where
from warmroot.errors import UserError


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.make()
    return made


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_DATA_HOME": "/data"}, "/data/warmroot/jboost"),
        ({"XDG_DATA_HOME": "relative"}, "~/.local/share/warmroot/jboost"),
        ({}, "~/.local/share/warmroot/jboost"),
    ],
)
def test_the_folder_is_where_the_xdg_specification_says(environment, expected):
    assert default_home(environment) == Path(expected).expanduser()


def test_what_opens_the_service_and_what_signs_can_be_read_by_the_owner_alone(home):
    prepare(home)

    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (home.root, home.token, home.signing_key)
    }

    assert modes == {"home": 0o700, "token": 0o600, "signing.pem": 0o600}


def test_key_and_token_are_made_once(home):
    first = prepare(home)
    second = prepare(home)

    assert (first[0].publics, first[1]) == (second[0].publics, second[1])
    assert len(first[1]) == 64


def test_many_first_starts_at_once_agree_on_key_and_token(home):
    found = []
    threads = [threading.Thread(target=lambda: found.append(prepare(home))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len({(signer.publics, token) for signer, token in found}) == 1
    assert sorted(path.name for path in home.root.iterdir()) == ["signing.pem", "signing.pub", "token"]


def test_the_agent_believes_the_key_that_signs(home):
    signer, _ = prepare(home)

    assert home.public_keys.read_text().splitlines() == public_lines(home, None)
    assert public_lines(home, home.signing_key) == public_lines(home, None)
    assert signing.load([home.signing_key]).publics == signer.publics


@pytest.mark.parametrize("content", ["", "\n", "short"])
def test_a_token_that_anybody_could_guess_opens_nothing_and_says_what_to_do(home, content):
    prepare(home)
    home.token.write_text(content)

    with pytest.raises(UserError, match="token") as refused:
        prepare(home)

    assert refused.value.hint


def test_the_token_is_on_disk_before_it_has_its_name(home, monkeypatch):
    done = []
    sync, link = os.fsync, os.link
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append(_name(handle)), sync(handle)))
    monkeypatch.setattr(os, "link", lambda new, path: (done.append(f"link {path.name}"), link(new, path)))

    prepare(home)

    token, signing_key = done[:3], done[3:6]
    assert token[0].startswith(".token.") and token[1:] == ["link token", "home"]
    assert signing_key[0].startswith(".signing.pem.") and signing_key[1:] == ["link signing.pem", "home"]


def _name(handle: int) -> str:
    return Path(f"/proc/self/fd/{handle}").readlink().name


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o1777])
def test_a_folder_that_others_may_look_into_is_refused_and_left_as_it_is(tmp_path, mode):
    tmp_path.chmod(mode)

    with pytest.raises(UserError, match="open to others") as refused:
        prepare(Home(tmp_path))

    assert "chmod 700" in refused.value.hint
    assert stat.S_IMODE(tmp_path.stat().st_mode) == mode
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("home", [None, "relative"])
def test_whoever_has_no_home_folder_gets_one_that_cannot_be_made(monkeypatch, home):
    monkeypatch.delenv("HOME")
    if home is not None:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])

    assert default_home({}) == Path("/nonexistent/.local/share/warmroot/jboost")


def test_a_service_is_found_while_it_runs(home):
    with home.announced("http://127.0.0.1:1"):
        assert home.running() == "http://127.0.0.1:1"
        assert where(home, None, None, None) == Service("http://127.0.0.1:1", home.public_keys, home.token)

    assert home.running() is None
    assert where(home, None, None, None) is None


def test_a_service_that_was_killed_is_not_found_not_even_while_the_next_one_begins(home):
    program = (
        "from jboost_server.local.home import Home; import pathlib, sys, signal\n"
        "with Home(pathlib.Path(sys.argv[1])).announced('http://127.0.0.1:1'):\n"
        "    print('up', flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", program, home.root], stdout=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"up\n"
        assert home.running() == "http://127.0.0.1:1"
        running.send_signal(signal.SIGKILL)

    assert (home.root / "service.json").exists()
    assert home.running() is None
    with home.only_service():
        assert home.running() is None


def test_a_second_service_on_the_folder_is_refused_and_names_the_first(home):
    with (
        home.only_service(),
        home.announced("http://127.0.0.1:1"),
        pytest.raises(UserError, match=r"http://127\.0\.0\.1:1"),
        home.only_service(),
    ):
        pass


def test_garbage_in_place_of_an_address_is_no_service(home):
    with home.announced("http://127.0.0.1:1"):
        (home.root / "service.json").write_text("{")

        assert home.running() is None


@pytest.mark.parametrize(
    ("server", "keys", "token"),
    [("http://a", None, None), (None, Path("keys"), None), (None, None, Path("token"))],
)
def test_a_service_elsewhere_needs_its_keys_and_nothing_else_has_them(home, server, keys, token):
    with pytest.raises(UserError) as refused:
        where(home, server, keys, token)

    assert refused.value.hint


def test_a_lock_is_held_as_long_as_anybody_has_the_file_open(home):
    with home.locked("lock") as mine:
        assert mine is not None
        with home.locked("lock") as other:
            assert other is None
        os.set_inheritable(mine.fileno(), True)
        held = ["sh", "-c", "echo up; exec sleep 600"]
        child = subprocess.Popen(held, close_fds=False, stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"up\n"
    with home.locked("lock") as other:
        assert other is None
    child.kill()
    child.wait()
    child.stdout.close()
    with home.locked("lock") as mine:
        assert mine is not None


def test_as_many_starts_as_a_person_may_choose_are_enough_for_a_verdict():
    assert POLICY.samples <= LEAST_SAMPLES


def test_a_lease_that_nobody_fulfilled_is_soon_void():
    assert POLICY.lease <= 60


def test_what_is_announced_is_for_the_owner_alone(home):
    with home.announced("http://127.0.0.1:1"):
        path = home.root / "service.json"

        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert json.loads(path.read_text())["url"] == "http://127.0.0.1:1"

"""The small service of one start answers as the whole one does, and only to whoever may ask."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import struct
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from jboost_server.builds import Builds
from jboost_server.core import layout
from jboost_server.core.layout import KeyPlace
from jboost_server.core.lookup import Scope
from jboost_server.core.manifest import ArchiveManifest
from jboost_server.core.naming import Naming
from jboost_server.core.outcome import Outcome
from jboost_server.core.publication import Publication, State
from jboost_server.local import front
from jboost_server.local.home import Home
from jboost_server.local.service import opened, prepare, quick, reach
from jboost_server.messages import MAX_LOOKUP
from jboost_server.outcomes import Outcomes
from jboost_server.status import Status
from jboost_server.store.directory import DirectoryStore
from tests.jboost_world import KEY
from warmroot.errors import BadManifest, StoreBroken, StoreFull

ARCHIVE = bytes(range(256)) * 4096
LOOKUP = {"group": "orders", "key": KEY.tree(), "record": False}


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.make()
    return made


@pytest.fixture(params=[quick, reach], ids=["small", "whole"])
def service(request, home):
    with request.param(home, None, None, None) as found:
        yield found[0] if isinstance(found, tuple) else found


def ask(service, path, tree=None, *, token=None):
    """Status and JSON."""
    data = None if tree is None else json.dumps(tree).encode()
    request = urllib.request.Request(
        service.url + path, data=data, headers={"Content-Type": "application/json"}
    )
    request.add_header("Authorization", f"Bearer {service.token.read_text() if token is None else token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            body = answer.read()
            return answer.status, json.loads(body) if body[:1] == b"{" else body
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def outcome(what):
    return {"group": "orders", "key": KEY.digest, "archive": "", "outcome": what, "why": "", "ms": {}}


def publish(home, state):
    """An archive that a manifest of this state names, as a builder's result leaves it."""
    digest = hashlib.sha256(ARCHIVE).hexdigest()
    scope = Scope("local", "orders")
    store, place = opened(home).store, KeyPlace(scope, KEY.digest)
    envelope = prepare(home)[0].sign(ArchiveManifest(scope, KEY, (), digest, len(ARCHIVE)))
    found = Publication(digest, len(ARCHIVE), "a" * 64, state, "", 1, 2, 1, 50, envelope)
    for name, data in (
        (layout.archive("local", digest), ARCHIVE),
        (layout.named_by("local", digest), Naming((("orders", KEY.digest),)).encode()),
        (place.key, KEY.encode()),
        (place.manifest(digest), found.encode()),
    ):
        store.put_new(name, [data], len(data))
    return digest


def test_a_lookup_without_an_archive_says_so(service):
    code, answer = ask(service, "/v1/lookup", LOOKUP)

    assert (code, answer["outcome"], answer["proposals"], answer["recorder"]) == (200, "missing", [], None)


def test_who_would_record_gets_a_lease(service):
    code, answer = ask(service, "/v1/lookup", LOOKUP | {"record": True})

    assert (code, answer["outcome"]) == (200, "learning")
    assert answer["recorder"].keys() == {"lease", "form", "settle"}
    assert answer["recorder"]["form"] == "classlist"


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_others_of_this_machine_learn_nothing(service, token):
    for path, tree in (("/v1/lookup", LOOKUP), (f"/v1/archives/{'0' * 64}", None)):
        code, answer = ask(service, path, tree, token=token)

        assert code == 401
        assert answer["error"]["hint"]


@pytest.mark.parametrize(
    "tree",
    [{}, {"group": "orders"}, LOOKUP | {"group": "../x"}, LOOKUP | {"key": {}}, LOOKUP | {"more": 1}, []],
)
def test_what_is_no_lookup_is_refused_by_name(service, tree):
    code, answer = ask(service, "/v1/lookup", tree)

    assert code == 400
    assert answer["error"]["reason"] in {"BadRequest", "BadKey"}


def test_what_nobody_made_is_not_there(service):
    assert ask(service, f"/v1/archives/{'0' * 64}")[0] == 404
    assert ask(service, "/v1/nothing", {})[0] in {404, 405}


@pytest.mark.parametrize("state", State)
def test_an_archive_comes_whole_as_long_as_its_manifest_holds(home, service, state):
    digest = publish(home, state)

    code, answer = ask(service, f"/v1/archives/{digest}")

    if state in {State.SERVING, State.REPLACED}:
        assert (code, answer) == (200, ARCHIVE)
    else:
        assert (code, answer["error"]["reason"]) == (404, "NoObject")


def test_bytes_that_no_manifest_names_are_not_served(home, service):
    digest = hashlib.sha256(ARCHIVE).hexdigest()
    opened(home).store.put_new(layout.archive("local", digest), [ARCHIVE], len(ARCHIVE))

    assert ask(service, f"/v1/archives/{digest}")[0] == 404


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreBroken("torn"), 503),
        (StoreFull("full"), 507),
        (BadManifest("odd"), 500),
        (KeyError("ours"), 500),
    ],
    ids=lambda each: type(each).__name__,
)
def test_whatever_fails_is_an_answer_of_one_table(service, monkeypatch, error, status):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(Outcomes, "add", fails)

    code, answer = ask(service, "/v1/outcomes", outcome("learning"))

    assert code == status
    assert answer["error"]["reason"] == getattr(error, "reason", "Bug")


def test_what_breaks_while_an_archive_is_sent_ends_the_connection_and_is_no_part_of_it(
    home, service, monkeypatch
):
    digest = publish(home, State.SERVING)
    whole = DirectoryStore.get

    @contextmanager
    def torn(store, name, *wanted, **how):
        with whole(store, name, *wanted, **how) as found:
            if name == layout.archive("local", digest):
                os.truncate(f"/proc/self/fd/{found.file.descriptor}", 1000)
            yield found

    monkeypatch.setattr(DirectoryStore, "get", torn)
    with pytest.raises(http.client.IncompleteRead) as cut:
        ask(service, f"/v1/archives/{digest}")

    assert cut.value.partial == ARCHIVE[:1000]


def test_an_outcome_is_counted(home, service):
    ask(service, "/v1/lookup", LOOKUP | {"record": True})

    assert ask(service, "/v1/outcomes", outcome("learning"))[0] == 204


def test_what_was_counted_is_there_after_the_service_ended(home):
    with quick(home, None, None, None) as (service, _):
        ask(service, "/v1/lookup", LOOKUP | {"record": True})
        ask(service, "/v1/outcomes", outcome("agent"))

    catalogue = opened(home)
    (group,) = Status(catalogue, Builds(catalogue), Outcomes(catalogue)).of("local")["groups"]
    assert group["keys"][0]["misses"] == {Outcome.AGENT.value: 1}


def test_an_archive_is_named_by_its_digest_in_the_answer(home):
    digest = publish(home, State.SERVING)

    with front.serving(opened(home), prepare(home)[1]) as url:
        request = urllib.request.Request(
            f"{url}/v1/archives/{digest}", headers={"Authorization": f"Bearer {home.token.read_text()}"}
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.headers["ETag"] == f'"{digest}"'


@contextmanager
def connected(home):
    """A connection to the small service."""
    with front.serving(opened(home), prepare(home)[1]) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            yield connection


@pytest.mark.parametrize(
    ("length", "status"), [(f"{MAX_LOOKUP + 1}", 413), ("-1", 400), ("many", 400), ("²", 400)]
)
def test_a_body_without_an_end_is_refused_unread_and_ends_the_connection(home, length, status):
    with connected(home) as connection:
        head = f"POST /v1/lookup HTTP/1.1\r\nAuthorization: Bearer {home.token.read_text()}\r\n"
        connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


def test_nothing_that_a_connection_comes_to_reaches_the_applications_stderr(home, capfd):
    for sent in (b"\x16\x03\x01 no HTTP\r\n\r\n", b"POST /v1/lookup HTTP/1.1\r\nContent-Length: 10\r\n\r\n"):
        with connected(home) as torn:
            torn.sendall(sent)
            torn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset

    assert capfd.readouterr() == ("", "")

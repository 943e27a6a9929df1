"""Archives of a store of files go out without being copied; whatever a reader does harms nobody else."""

import logging
import re
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from jboost_server.store.directory import DirectoryStore
from jboost_server.store.port import Content
from jboost_server.web import zerocopy
from tests.jboost.server_world import running
from tests.waiting import until

LARGE = bytes(range(256)) * (80 * 2**12)
"""More than a window, and more than any socket's buffer."""


class Files(DirectoryStore):
    """A store of files whose bytes must not be read by the one who serves them."""

    reads = 0
    """Chunks of the archive that were read."""

    def get(self, name, start=0, end=None, *, chunk=2**18):
        return _Counted(self, super().get(name, start, end, chunk=chunk))


class _Counted:
    def __init__(self, store, opened):
        self._store, self._opened = store, opened

    def __enter__(self):
        found = self._opened.__enter__()

        def chunks():
            for chunk in found.chunks:
                self._store.reads += found.stat.size == len(LARGE)
                yield chunk

        return Content(found.stat, chunks(), found.file)

    def __exit__(self, *how):
        return self._opened.__exit__(*how)


@pytest.fixture
def store(tmp_path):
    return Files(tmp_path / "store")


@pytest.fixture
def client(store):
    with running(store) as client:
        yield client


def asked(client, digest, more=""):
    """A connection that asked for an archive and has read nothing yet."""
    address = urlsplit(client.url)
    connection = socket.create_connection((address.hostname, address.port))
    connection.sendall(f"GET /v1/archives/{digest} HTTP/1.1\r\nHost: {address.netloc}\r\n{more}\r\n".encode())
    return connection


def test_an_archive_and_its_ranges_are_sent_from_the_file(client, store):
    name = client.publish(LARGE)
    before = store.reads
    assert client.archive(name).content == LARGE
    assert client.archive(name, Range="bytes=3-40000000").content == LARGE[3:40000001]
    identity = {"Accept-Encoding": "identity"}
    assert client.ask("HEAD", f"/v1/archives/{name}", headers=identity).content == b""
    assert store.reads == before


def test_one_connection_gets_archives_and_answers_in_turn(client):
    name = client.publish(LARGE)
    for _ in range(3):
        assert client.archive(name).content == LARGE
        assert client.ask("GET", "/healthz").text == "ok\n"


def test_what_is_asked_for_ahead_comes_after_it(client):
    name = client.publish(LARGE)
    second = "\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    with asked(client, name, second) as connection, connection.makefile("rb") as answer:
        everything = answer.read()
    _, _, rest = everything.partition(b"\r\n\r\n")
    assert rest[: len(LARGE)] == LARGE
    assert rest[len(LARGE) :].startswith(b"HTTP/1.1 ")


def test_a_reader_that_hangs_up_is_forgotten_without_a_word(client, caplog):
    name = client.publish(LARGE)
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            with asked(client, name) as connection:
                connection.recv(1000)
        assert client.archive(name).content == LARGE
    assert caplog.records == []


def test_what_nobody_took_is_not_counted_as_sent(client):
    name = client.publish(LARGE)
    assert client.archive(name).content == LARGE
    assert sent(client) == len(LARGE)
    before = descriptors()
    with asked(client, name) as connection:
        connection.recv(1000)
    until(lambda: descriptors() <= before, what="the service has noticed")
    assert sent(client) == len(LARGE), "not even the first window was taken"


def test_windows_that_nobody_took_are_not_counted_whoever_notices_first(client, monkeypatch):
    async def broken(*window):
        raise BrokenPipeError

    name = client.publish(LARGE)
    monkeypatch.setattr(zerocopy, "_send", broken)  # before the event loop has heard of it
    with asked(client, name) as connection:
        rest_of(connection)
    assert sent(client) == 0


def sent(client):
    """Bytes of archives, by the service's own count."""
    page = client.ask("GET", "/metrics").text
    return float(re.search(r"^jboost_archive_bytes_total (\S+)$", page, re.MULTILINE)[1])


def test_a_reader_that_stalls_is_hung_up_on_and_others_are_served_meanwhile(client, monkeypatch, caplog):
    monkeypatch.setattr(zerocopy, "PATIENCE", 1.0)
    name = client.publish(LARGE)
    with caplog.at_level(logging.WARNING):
        before = descriptors()
        stalled = [asked(client, name) for _ in range(60)]  # more than there are threads
        began = time.monotonic()
        assert client.archive(name).content == LARGE
        assert time.monotonic() - began < 10
        until(lambda: descriptors() <= before + len(stalled), what="the service hangs up on all")
        for connection in stalled:
            assert rest_of(connection) < len(LARGE)
            connection.close()
    assert caplog.records == []


def descriptors():
    """Files and sockets that are open here, where the service is too."""
    return len(list(Path("/proc/self/fd").iterdir()))


def rest_of(connection):
    """How many bytes come until the service hangs up."""
    connection.settimeout(10)
    count = 0
    try:
        while data := connection.recv(2**20):
            count += len(data)
    except ConnectionError:
        pass
    return count


def test_a_file_that_becomes_shorter_ends_the_connection_and_says_so(client, store, caplog):
    name = client.publish(LARGE)
    (path,) = [one for one in store._root.rglob("*~") if name in one.name and one.stat().st_size > len(LARGE)]
    with asked(client, name) as connection:
        connection.recv(1000)
        with path.open("r+b") as file:
            file.truncate(len(LARGE) // 2)
        assert rest_of(connection) < len(LARGE)
    until(lambda: "a file became shorter" in caplog.text, what="the log says so")

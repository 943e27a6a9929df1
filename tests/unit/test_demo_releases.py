"""The release server sends what is asked for, and misbehaves only when told to."""

from __future__ import annotations

import pytest
import requests

from testbed.releases.server import Manner, ReleaseServer

DATA = bytes(range(256)) * 1000


@pytest.fixture
def server(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs/root.img").write_bytes(DATA)
    (tmp_path / "index.json").write_text("{}")
    with ReleaseServer(tmp_path) as running:
        yield running


def get(server, path="blobs/root.img", **headers):
    return requests.get(f"{server.url}/{path}", headers=headers, timeout=5)


def test_a_whole_file(server):
    answer = get(server)
    assert (answer.status_code, answer.content == DATA) == (200, True)


@pytest.mark.parametrize(
    ("wanted", "expected", "said"),
    [
        ("bytes=0-3", DATA[:4], "bytes 0-3/256000"),
        ("bytes=1000-", DATA[1000:], "bytes 1000-255999/256000"),
        ("bytes=255999-300000", DATA[-1:], "bytes 255999-255999/256000"),
    ],
)
def test_a_range_of_bytes(server, wanted, expected, said):
    answer = get(server, Range=wanted)
    assert (answer.status_code, answer.content, answer.headers["Content-Range"]) == (206, expected, said)


def test_a_range_behind_the_end_is_refused(server):
    assert get(server, Range="bytes=256000-").status_code == 416


def test_nothing_outside_its_directory_is_served(server, tmp_path):
    (tmp_path.parent / "secret").write_text("x")
    assert get(server, "%2e%2e/secret").status_code == 404
    assert get(server, "missing").status_code == 404


def test_a_truncating_server_promises_more_than_it_sends(server):
    server.behave(Manner.TRUNCATING)
    with pytest.raises(requests.RequestException):
        get(server)


def test_a_lying_server_changes_bytes_and_keeps_the_length(server):
    server.behave(Manner.LYING)
    answer = get(server)
    assert len(answer.content) == len(DATA) and answer.content != DATA


def test_an_endless_server_never_stops(server):
    server.behave(Manner.ENDLESS)
    with requests.get(f"{server.url}/blobs/root.img", stream=True, timeout=5) as answer:
        got = 0
        for piece in answer.iter_content(65536):
            got += len(piece)
            if got > 2 * len(DATA):
                break
    assert got > 2 * len(DATA)


def test_misbehaviour_can_be_kept_to_some_paths(server):
    server.behave(Manner.DOWN, only="blobs/")
    assert (get(server).status_code, get(server, "index.json").status_code) == (503, 200)


def test_requests_and_bytes_are_counted(server):
    get(server, Range="bytes=0-99")
    get(server, "index.json")
    assert (server.counters.requests, server.counters.body_bytes) == (2, 102)

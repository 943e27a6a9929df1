"""What no healthy S3 server does, by a server that misbehaves on order. The contract runs on a real one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from jboost_server.store.s3 import S3Store
from tests.jboost.conftest import free_port, s3_client
from warmroot.errors import StoreBroken, StoreFull, StoreUnavailable, WriteLost


class Misbehaving(ThreadingHTTPServer):
    """A server whose `answer` gives status, headers and body for a request, or None to hang up."""

    answer: Callable[..., tuple[int, dict[str, str], bytes] | None]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        url = f"http://127.0.0.1:{self.server_port}"
        self.stores = {attempts: S3Store(s3_client(url, attempts=attempts), "bucket") for attempts in (1, 2)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # boto3 waits for its 100-continue
    server: Misbehaving

    def handle_one(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = self.server.answer(self.command, self.headers)
        if found is None:
            self.close_connection = True
            return
        status, headers, body = found
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_GET = do_HEAD = do_DELETE = handle_one

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server():
    with Misbehaving() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def misbehaving(server, monkeypatch):
    """`misbehaving(answer, attempts)`: a store on a server that answers so, and how often it is tried."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))

    def order(answer, attempts=1) -> S3Store:
        server.answer = answer
        return server.stores[attempts]

    return order


@pytest.fixture(scope="module")
def nowhere() -> S3Store:
    return S3Store(s3_client(f"http://127.0.0.1:{free_port()}"), "bucket")


def refusing(status: int, code: str):
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    return lambda command, _: (status, {}, b"" if command == "HEAD" else body)


def read(store: S3Store) -> None:
    with store.get("a") as opened:
        list(opened.chunks)


USES = {
    "put_new": lambda store: store.put_new("a", [b"1"], 1),
    "put_over": lambda store: store.put_over("a", [b"1"], 1, "e"),
    "get": read,
    "stat": lambda store: store.stat("a"),
    "list": lambda store: list(store.list()),
    "delete": lambda store: store.delete("a"),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (503, "SlowDown", StoreUnavailable),
        (500, "InternalError", StoreUnavailable),
        (429, "TooManyRequests", StoreUnavailable),
        (507, "InsufficientStorage", StoreFull),
        (403, "AccessDenied", StoreBroken),
    ],
)
def test_each_refusal_has_a_name(misbehaving, use, status, code, error):
    with pytest.raises(error):
        use(misbehaving(refusing(status, code)))


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_server_that_hangs_up_or_is_not_there_is_unavailable(misbehaving, nowhere, use):
    for store in (misbehaving(lambda *_: None), nowhere):
        with pytest.raises(StoreUnavailable):
            use(store)


def test_a_503_that_passes_is_tried_again(misbehaving):
    answers = iter([(503, {}, b""), (200, {"ETag": '"e"'}, b"")])
    assert misbehaving(lambda *_: next(answers), attempts=2).put_new("a", [b"1"], 1).etag == "e"


def test_a_body_that_ends_early_is_not_taken_for_the_object(misbehaving):
    answer = (200, {"Content-Length": "9", "ETag": '"e"', "Connection": "close"}, b"1234")
    with pytest.raises(StoreUnavailable):
        read(misbehaving(lambda *_: answer))


class LostAnswer:
    """Carries the first write out and hangs up; after that, somebody is there already."""

    def __init__(self, *, ours: bool) -> None:
        self.ours = ours
        self.mark = ""

    def __call__(self, command, headers):
        if command == "HEAD":
            kept = self.mark if self.ours else "another"
            return 200, {"Content-Length": "1", "ETag": '"e"', "x-amz-meta-warmroot-write": kept}, b""
        if not self.mark:
            self.mark = headers["x-amz-meta-warmroot-write"]
            return None
        return 412, {}, b"<Error><Code>PreconditionFailed</Code></Error>"


@pytest.mark.parametrize("use", [USES["put_new"], USES["put_over"]])
def test_a_write_whose_answer_was_lost_is_recognised_as_ours(misbehaving, use):
    assert use(misbehaving(LostAnswer(ours=True), attempts=2)).etag == "e"


@pytest.mark.parametrize("use", [USES["put_new"], USES["put_over"]])
def test_a_write_that_somebody_else_won_is_lost(misbehaving, use):
    with pytest.raises(WriteLost):
        use(misbehaving(LostAnswer(ours=False), attempts=2))


def test_a_conflict_of_two_conditional_writes_is_a_lost_write(misbehaving):
    with pytest.raises(WriteLost):
        USES["put_new"](misbehaving(refusing(409, "ConditionalRequestConflict")))


def test_a_server_that_ignores_conditions_is_found_out(misbehaving):
    with pytest.raises(StoreBroken, match="ignores conditional writes"):
        misbehaving(lambda *_: (200, {"ETag": '"e"'}, b"")).probe()

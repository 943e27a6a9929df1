"""Static files over HTTP on 127.0.0.1, with byte ranges and switchable misbehaviour.

`http.server` of the standard library knows no ranges; a proxy that fetches blocks needs them.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")
_PIECE = 64 * 1024
SLOW_SECONDS = 0.2
"""Pause before each piece when the server is slow."""


class Manner(StrEnum):
    """How the server behaves."""

    HONEST = "honest"
    TRUNCATING = "truncating"
    LYING = "lying"
    SLOW = "slow"
    ENDLESS = "endless"
    DOWN = "down"


@dataclass
class Counters:
    """What was asked and what was sent or tried to be. `body_bytes` counts blobs and metadata alike."""

    requests: int = 0
    body_bytes: int = 0


@dataclass(frozen=True)
class _Span:
    first: int
    length: int
    partial: bool


class ReleaseServer:
    """Serves the directory `root`. `manner` may be changed at any time; `only` names the paths it is for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manner = Manner.HONEST
        self.only = ""
        self.counters = Counters()
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.release_server = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> ReleaseServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def behave(self, manner: Manner, *, only: str = "") -> None:
        """From now on answer requests whose path contains `only` in this manner, others honestly."""
        self.only, self.manner = only, manner

    def manner_for(self, path: str) -> Manner:
        """How a request for this path is answered."""
        return self.manner if self.only in path else Manner.HONEST

    def count(self, *, requests: int = 0, body_bytes: int = 0) -> None:
        """Adds to the counters."""
        with self._lock:
            self.counters.requests += requests
            self.counters.body_bytes += body_bytes


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    release_server: ReleaseServer

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.stopping = threading.Event()
        super().__init__(address, handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http
    timeout = 30

    def log_message(self, format: str, *args: object) -> None:
        """Counters say more than lines."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        served = self.server.release_server
        served.count(requests=1)
        manner = served.manner_for(self.path)
        path = _resolve(served.root, self.path)
        if manner is Manner.DOWN:
            self._refuse(503)
        elif path is None:
            self._refuse(404)
        else:
            span = _span(self.headers.get("Range"), path.stat().st_size)
            if span is None:
                self._refuse(416)
            else:
                self._send(path, span, manner, body)

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, path: Path, span: _Span, manner: Manner, body: bool) -> None:
        self.send_response(206 if span.partial else 200)
        if span.partial:
            size, last = path.stat().st_size, span.first + span.length - 1
            self.send_header("Content-Range", f"bytes {span.first}-{last}/{size}")
        self.send_header("Accept-Ranges", "bytes")
        if manner is Manner.ENDLESS:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(span.length))
        self.end_headers()
        if body:
            self._send_body(path, span, manner)
        if manner is not Manner.HONEST:
            self.close_connection = True

    def _send_body(self, path: Path, span: _Span, manner: Manner) -> None:
        length = span.length // 2 if manner is Manner.TRUNCATING else span.length
        for piece in _pieces(path, span.first, length):
            if manner is Manner.SLOW:
                time.sleep(SLOW_SECONDS)
            self._write(_lie(piece) if manner is Manner.LYING else piece)
        while manner is Manner.ENDLESS and not self.server.stopping.is_set():
            self._write(bytes(_PIECE))

    def _write(self, piece: bytes) -> None:
        # Counted before it is sent: whoever has read the answer finds it counted.
        self.server.release_server.count(body_bytes=len(piece))
        self.wfile.write(piece)


def _resolve(root: Path, url_path: str) -> Path | None:
    path = (root / url_path.split("?", maxsplit=1)[0].lstrip("/")).resolve()
    return path if path.is_file() and path.is_relative_to(root.resolve()) else None


def _span(header: str | None, size: int) -> _Span | None:
    """The bytes that are asked for; None if the file has none of them. Several ranges count as all."""
    if header is None or (match := _RANGE.match(header)) is None:
        return _Span(0, size, partial=False)
    first = int(match[1])
    last = min(int(match[2]) if match[2] else size - 1, size - 1)
    return _Span(first, last - first + 1, partial=True) if first <= last else None


def _pieces(path: Path, first: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(first)
        while length > 0 and (piece := file.read(min(_PIECE, length))):
            yield piece
            length -= len(piece)


def _lie(piece: bytes) -> bytes:
    return bytes([piece[0] ^ 1]) + piece[1:]

"""A scripted cache service: it takes recordings, hands a build order out, and fails as a test tells it to."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Service:
    """What was asked, in order, and what is to be answered."""

    url: str = ""
    order: dict[str, Any] | None = None
    """The order that the next builder gets, with `input` as bytes; None: 204."""
    forged: bytes = b""
    """What is sent in place of the order's input."""
    held: bool = False
    verdict: dict[str, Any] = field(default_factory=lambda: {"state": "serving", "gain": 40, "why": "faster"})
    faults: deque[str] = field(default_factory=deque)
    """What happens to the next uploads, one each: `503`, `403`, `cut`, `early` (refused unread)."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    recordings: dict[str, bytes] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    queries: list[dict[str, list[str]]] = field(default_factory=list)
    archives: dict[str, bytes] = field(default_factory=dict)
    keys: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)

    @property
    def cut_uploads(self) -> int:
        """Uploads that ended before their promised end."""
        return sum(path == "cut" for _, path in self.requests)


@contextmanager
def serving() -> Iterator[Service]:
    """A service on a port of its own, until the block ends."""
    service = Service()

    class Handler(_Handler):
        state = service

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: Service
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Tests look at the requests instead."""

    def answer(self, code: int, tree: dict[str, Any] | None = None) -> None:
        body = b"" if tree is None else json.dumps(tree).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, code: int, reason: str) -> None:
        self.answer(code, {"error": {"reason": reason, "message": f"this is {reason}", "hint": "try it"}})

    def upload(self) -> bytes | None:
        """The body, unless a fault was ordered."""
        fault = self.state.faults.popleft() if self.state.faults else ""
        size = int(self.headers["Content-Length"])
        if fault == "cut":
            self.rfile.read(min(size // 2, 4096))
            self.state.requests.append(("PUT", "cut"))
            self.close_connection = True
            self.connection.close()
            return None
        if fault == "early":
            self.refuse(413, "TooLarge")
            self.close_connection = True
            return None
        body = self.rfile.read(size)
        if fault:
            self.refuse(int(fault), {"503": "StoreUnavailable", "403": "NoLease"}[fault])
            return None
        return body

    def do_GET(self) -> None:
        self.state.requests.append(("GET", self.path))
        order = self.state.order
        if order is not None and self.path == f"/v1/builds/{order['id']}/input":
            data = self.state.forged or order["input"]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        else:
            self.refuse(404, "NoObject")

    def do_PUT(self) -> None:
        self.state.requests.append(("PUT", self.path))
        self.state.tokens.append(self.headers.get("Authorization", ""))
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        body = self.upload()
        if body is None:
            return
        digest = hashlib.sha256(body).hexdigest()
        if path == f"/v1/recordings/{digest}":
            known = digest in self.state.recordings
            self.state.recordings[digest] = body
            self.state.queries.append(query)
            self.answer(200 if known else 201, {"state": "known" if known else "accepted", "recordings": 1})
        elif path.endswith("/archive") and query["digest"] == [digest]:
            self.state.archives[digest] = body
            self.answer(201, {})
        else:
            self.refuse(400, "UploadCut")

    def do_POST(self) -> None:
        self.state.requests.append(("POST", self.path))
        tree = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/builds":
            self.state.keys.append(tree)
            if self.state.held:
                self.refuse(409, "Held")
            elif self.state.order is None:
                self.answer(204)
            else:
                data: bytes = self.state.order["input"]
                digest = hashlib.sha256(data).hexdigest()
                self.answer(200, {"order": self.state.order | {"input": digest, "size": len(data)}})
        elif self.path.endswith("/result"):
            self.state.results.append(tree)
            self.answer(
                200, {"state": "failed", "why": tree["failed"]} if "failed" in tree else self.state.verdict
            )
        else:
            self.refuse(404, "NoObject")

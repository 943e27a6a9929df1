"""A cache service that speaks the agent's protocol and can misbehave at each of its steps.

It is a simulator behind the protocol: manifests are made and signed by the real core.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from jboost_server.core import buildkey
from jboost_server.core.buildkey import BuildKey
from jboost_server.core.lookup import Scope
from jboost_server.core.manifest import ArchiveManifest, Preflight
from jboost_server.signing import Signer
from warmroot.canonical import encode

GROUP = "orders"
LOCAL = Scope("local", GROUP)
Behaviour = Callable[["Handler", bytes], None]
"""What is done in place of an answer; it gets the body of the good one."""


@dataclass
class Server:
    """What the service offers and was asked. `instead`: behaviours for `lookup`, `archives`, `outcomes`."""

    url: str = ""
    signer: Signer = field(default_factory=lambda: Signer((Ed25519PrivateKey.generate(),)))
    archives: dict[str, bytes] = field(default_factory=dict)
    proposals: list[dict[str, Any]] = field(default_factory=list)
    recorder: dict[str, Any] | None = None
    miss: str = "missing"
    instead: dict[str, Behaviour] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    lookups: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def key(self) -> BuildKey:
        """The key of the last lookup, as the real core reads it."""
        return buildkey.decode(encode(self.lookups[-1]["key"]))

    def offer(self, key: BuildKey, data: bytes, *, served: bytes | None = None, **changes: Any) -> str:
        """Proposes an archive for a key; returns its digest. `served` are other bytes than were signed."""
        digest = hashlib.sha256(data).hexdigest()
        manifest = ArchiveManifest(LOCAL, key, (), digest, len(data), Preflight.REQUIRED)
        self.propose(self.signer.sign(replace(manifest, **changes)))
        self.archives[digest] = data if served is None else served
        return digest

    def propose(self, envelope: bytes) -> None:
        self.proposals.append(json.loads(envelope))

    def clear(self) -> None:
        """Forgets what it offers, and behaves."""
        self.proposals, self.recorder, self.instead = [], None, {}

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.asked]

    def lookup(self, question: dict[str, Any]) -> dict[str, Any]:
        self.lookups.append(question)
        outcome = "hit" if self.proposals else "learning" if self.recorder else self.miss
        why = [] if self.proposals or self.recorder else ["no archive for local/orders yet"]
        return {
            "outcome": outcome,
            "why": why,
            "proposals": self.proposals,
            "recorder": self.recorder,
            "new": 1,
        }


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    world: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.note()
        data = self.world.archives.get(self.path.rpartition("/")[2])
        if data is None:
            self.answer(404, b'{"error": {"reason": "NoObject", "message": "no such archive", "hint": ""}}')
        else:
            self.serve("archives", data)

    def do_POST(self) -> None:
        self.note()
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/lookup":
            self.serve("lookup", json.dumps(self.world.lookup(question)).encode())
        else:
            self.world.outcomes.append(question)
            self.serve("outcomes", b"")

    def note(self) -> None:
        self.world.asked.append((self.command, self.path, dict(self.headers.items())))

    def serve(self, step: str, body: bytes) -> None:
        behaviour = self.world.instead.get(step)
        if behaviour is None:
            self.answer(200 if body else 204, body)
            return
        self.close_connection = True
        with contextlib.suppress(OSError):  # the agent has hung up, as it should
            behaviour(self, body)

    def answer(self, code: int, body: bytes, **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def hang(handler: Handler, _: bytes) -> None:
    handler.world.over.wait()


def hang_in_body(handler: Handler, body: bytes) -> None:
    head(handler, len(body))
    handler.wfile.write(body[: len(body) // 2])
    handler.wfile.flush()
    handler.world.over.wait()


def drip(handler: Handler, body: bytes) -> None:
    """A byte at a time, so that no single read ever waits for long."""
    head(handler, len(body))
    for at in itertools.count():
        if handler.world.over.wait(0.05) or at >= len(body):
            return
        handler.wfile.write(body[at : at + 1])
        handler.wfile.flush()


def drip_head(handler: Handler, _: bytes) -> None:
    """Headers without end, one in a while."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.world.over.wait(0.05):
        handler.wfile.write(b"X-More: yes\r\n")


def endless(handler: Handler, _: bytes) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not handler.world.over.is_set():
        handler.wfile.write(b'{"outcome": "' + b"x" * 100_000)


def endless_head(handler: Handler, _: bytes) -> None:
    while not handler.world.over.is_set():
        handler.wfile.write(b"x" * 100_000)


def garbage(handler: Handler, _: bytes) -> None:
    handler.answer(200, bytes(range(256)) * 40)


def not_http(handler: Handler, _: bytes) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


def cut(handler: Handler, body: bytes) -> None:
    head(handler, len(body))
    handler.wfile.write(body[: len(body) // 2])


def zipped(handler: Handler, body: bytes) -> None:
    handler.answer(200, body, Content_Encoding="zstd")


def longer(handler: Handler, body: bytes) -> None:
    handler.answer(200, body + b"x")


def longer_unsaid(handler: Handler, body: bytes) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + body + b"x")


def chunked(handler: Handler, body: bytes) -> None:
    """Not a misbehaviour: another way to send it."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for at in range(0, len(body), 100_001):
        part = body[at : at + 100_001]
        handler.wfile.write(b"%x;name=value\r\n" % len(part) + part + b"\r\n")
    handler.wfile.write(b"0\r\nX-Trailer: yes\r\n\r\n")


def unavailable(handler: Handler, _: bytes) -> None:
    handler.answer(503, b'{"error": {"reason": "StoreUnavailable", "message": "come back", "hint": "later"}}')


def redirect(target: str) -> Behaviour:
    return lambda handler, _: handler.answer(307, b"", Location=target)


def redirect_to_itself(handler: Handler, _: bytes) -> None:
    handler.answer(307, b"", Location=handler.path)


def saying(tree: object) -> Behaviour:
    """Another answer than its own."""
    return lambda handler, _: handler.answer(200, json.dumps(tree).encode())


def head(handler: Handler, length: int) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)


@contextmanager
def serving(**state: Any) -> Iterator[Server]:
    """A service on a port of its own; whoever hangs in it is let go at the end."""
    world = Server(**state)
    handler = type("Bound", (Handler,), {"world": world})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    world.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield world
    finally:
        world.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def write_keys(path: Path, publics: Sequence[bytes]) -> Path:
    """A file for `--keys`."""
    path.write_text("".join(base64.b64encode(key).decode() + "\n" for key in publics))
    return path

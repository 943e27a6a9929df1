"""A real cache service on loopback, over any store, and a client that knows the protocol."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from jboost_server.core.buildkey import BuildKey
from jboost_server.settings import Policy
from jboost_server.signing import Signer
from jboost_server.store.port import ObjectStore
from jboost_server.web.app import create_app
from jboost_server.web.listening import config, listening
from jboost_server.web.service import Settings
from jboost_server.web.tenancy import Identity, Local, Tenants
from tests.jboost_world import KEY
from tests.waiting import until
from warmroot.errors import NoToken

GROUP = "orders"
PLAIN, WARM = [100, 101, 102, 103, 104], [50, 51, 52, 53, 54]
CLASSES = b"java/lang/Object id: 0\njava/lang/String id: 1\norg/shop/Orders id: 2\n"
SIGNER = Signer((Ed25519PrivateKey.from_private_bytes(bytes(range(32))),))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Clock:
    """Seconds since 1970 and of a clock that never jumps; both go on when told to."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Names:
    """A port: whoever sends `Bearer tenant/pod` is that; a pod named `builder` or `controller` is one. With
    `@group` behind it, it is good for that group alone.
    """

    def known(self, authorization: str) -> Identity | None:
        return None

    def identify(self, authorization: str) -> Identity:
        if not authorization.startswith("Bearer "):
            raise NoToken("no token was sent")
        who, _, group = authorization.removeprefix("Bearer ").partition("@")
        tenant, _, pod = who.partition("/")
        return Identity(tenant, pod, builder=pod == "builder", controller=pod == "controller", group=group)


@contextmanager
def running(
    store: ObjectStore,
    *,
    policy: Policy | None = None,
    tenants: Tenants | None = None,
    clock: Clock | None = None,
    redirect: bool = False,
    signer: Signer = SIGNER,
    hosts: frozenset[str] = frozenset(),
    sweep: float = 3600.0,
) -> Iterator[Client]:
    """A service in a thread; the client of its address."""
    settings = Settings(
        store,
        signer,
        tenants or Local(),
        clock=clock or time.time,
        monotonic=time.monotonic,
        policy=policy or Policy(fresh=0.0),
        redirect=redirect,
        hosts=hosts,
        sweep=sweep,
    )
    with listening("127.0.0.1:0") as listener:
        server = uvicorn.Server(config(create_app(settings), grace=2))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            until(lambda: server.started or not thread.is_alive(), what="the service listens")
            assert server.started, "the service ended while it started"
            yield Client(f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join()


@dataclass(frozen=True)
class Process:
    """A service in a process of its own: what it logged until it listened, and the client of its address."""

    process: subprocess.Popen[str]
    log: list[dict[str, Any]]
    client: Client


@contextmanager
def process(words: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Iterator[Process]:
    """A service that `python WORDS` starts and that logs JSON; it is killed when the block ends."""
    command = [sys.executable, *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as started:
        assert started.stderr is not None
        try:
            log: list[dict[str, Any]] = []
            said = iter(started.stderr)
            while not log or log[-1]["message"] != "listening":
                line = next(said, "")
                assert line.startswith("{"), f"the service did not come up: {line}{started.stderr.read()}"
                log.append(json.loads(line))
            yield Process(started, log, Client(f"http://{log[-1]['address']}"))
        finally:
            started.kill()


@dataclass
class Client:
    """Says what agents say. `token` is sent if there is one."""

    url: str
    token: str = ""
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = more.pop("headers", {}) | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        return self.session.request(
            method, self.url + path, headers=headers, timeout=30, allow_redirects=False, **more
        )

    def lookup(self, key: BuildKey = KEY, *, record: bool = False, group: str = GROUP) -> dict[str, Any]:
        answer = self.ask("POST", "/v1/lookup", json={"group": group, "key": key.tree(), "record": record})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def lease(self, key: BuildKey = KEY, group: str = GROUP) -> str:
        answer = self.lookup(key, record=True, group=group)
        assert answer["outcome"] == "learning", answer
        return str(answer["recorder"]["lease"])

    def record(
        self, lease: str, data: bytes = CLASSES, key: BuildKey = KEY, name: str = "", group: str = GROUP
    ) -> requests.Response:
        query = {"group": group, "key": key.digest, "lease": lease, "seconds": 60, "requests": 10}
        return self.ask("PUT", f"/v1/recordings/{name or digest(data)}", params=query, data=data)

    def order(self, key: BuildKey = KEY, holder: str = "builder", group: str = GROUP) -> requests.Response:
        return self.ask("POST", "/v1/builds", json={"group": group, "key": key.tree(), "holder": holder})

    def upload(self, order: str, data: bytes) -> requests.Response:
        return self.ask("PUT", f"/v1/builds/{order}/archive", params={"digest": digest(data)}, data=data)

    def result(
        self, order: str, data: bytes, plain: list[int] = PLAIN, warm: list[int] = WARM
    ) -> requests.Response:
        sent = {"digest": digest(data), "flags": [], "plain": plain, "warm": warm}
        return self.ask("POST", f"/v1/builds/{order}/result", json=sent)

    def outcome(self, outcome: str, archive: str, key: BuildKey = KEY, **ms: int) -> requests.Response:
        sent = {
            "group": GROUP,
            "key": key.digest,
            "archive": archive,
            "outcome": outcome,
            "why": "",
            "ms": ms,
        }
        return self.ask("POST", "/v1/outcomes", json=sent)

    def publish(self, data: bytes, key: BuildKey = KEY, classes: bytes = CLASSES, group: str = GROUP) -> str:
        """The whole way from a lease to a verdict; the archive's digest."""
        assert self.record(self.lease(key, group), classes, key, group=group).status_code == 201
        order = self.order(key, group=group).json()["order"]["id"]
        assert self.upload(order, data).status_code == 201
        verdict = self.result(order, data).json()
        assert verdict["state"] == "serving", verdict
        return digest(data)

    def archive(self, name: str, **headers: str) -> requests.Response:
        return self.ask(
            "GET",
            f"/v1/archives/{name}",
            headers={"Accept-Encoding": "identity"} | {k.replace("_", "-"): v for k, v in headers.items()},
        )


def reason(answer: requests.Response) -> tuple[int, str]:
    """Status and named reason of a refusal."""
    error = answer.json()["error"]
    assert error["message"]
    return answer.status_code, error["reason"]

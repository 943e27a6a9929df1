"""The cache service as benchmarks start it, what is asked of it, and nginx over the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import requests

from testbed.apps.running import free_port
from tests.jboost_world import wide_key

CLASS_PATH = 70
"""Jars of a stock Spring Boot service."""
_NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors;
events {{}}
http {{
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; root {folder}; }}
}}
"""


@contextmanager
def service(
    store: Path | str, *words: str, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[str, int]]:
    """One process of it on a store: its address and process id. `words` are more of its options."""
    command = [sys.executable, "-m", "jboost_server.web", "--store", str(store), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, *words], stderr=subprocess.PIPE, text=True, env=os.environ | dict(environment or {})
    ) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                record = json.loads(line)
                if record["message"] == "listening":
                    break
            else:
                raise RuntimeError("the cache service did not start")
            # A log that nobody reads holds up whoever writes it.
            threading.Thread(target=_read_on, args=(process.stderr,), daemon=True).start()
            yield f"http://{record['address']}", process.pid
        finally:
            process.terminate()


def _read_on(log: IO[str]) -> None:
    with suppress(ValueError):  # it is closed when the service has ended
        deque(log, 0)


@contextmanager
def nginx(folder: Path) -> Iterator[str | None]:
    """Nginx over the folder, None where it is not installed."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        yield None
        return
    port = free_port()
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port))
    with subprocess.Popen(
        [program, "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL
    ) as process:
        try:
            await_port(port)
            yield f"http://127.0.0.1:{port}/archive"
        finally:
            process.terminate()


def publish(url: str, data: bytes) -> str:
    """The whole life of an archive, from a lease to a verdict; its digest."""
    session = requests.Session()
    key = wide_key(CLASS_PATH)

    def ask(method: str, path: str, **more: object) -> requests.Response:
        answer = session.request(method, url + path, timeout=60, **more)  # type: ignore[arg-type]
        answer.raise_for_status()
        return answer

    lease = ask("POST", "/v1/lookup", data=lookup_body(record=True)).json()["recorder"]["lease"]
    listed = b"java/lang/Object id: 0\n"
    query = {"group": "orders", "key": key.digest, "lease": lease}
    ask("PUT", f"/v1/recordings/{_digest(listed)}", params=query, data=listed)
    wanted = {"group": "orders", "key": key.tree(), "holder": "bench"}
    order = ask("POST", "/v1/builds", json=wanted).json()["order"]["id"]
    digest = _digest(data)
    ask("PUT", f"/v1/builds/{order}/archive", params={"digest": digest}, data=data)
    measured = {"digest": digest, "flags": [], "plain": [100] * 5, "warm": [50] * 5}
    verdict = ask("POST", f"/v1/builds/{order}/result", json=measured).json()
    if verdict["state"] != "serving":
        raise RuntimeError(f"the benchmark's archive is not served: {verdict}")
    return digest


def lookup_body(*, record: bool = False) -> bytes:
    """What every pod of the one application asks."""
    return json.dumps({"group": "orders", "key": wide_key(CLASS_PATH).tree(), "record": record}).encode()


def request_of(host: str, body: bytes) -> bytes:
    """A lookup as it goes over the wire."""
    return f"POST /v1/lookup HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def must_hit(content: bytes) -> None:
    """Refuses a lookup that missed: its time would be of another kind.

    Raises:
        RuntimeError: it missed.
    """
    if b'"outcome":"hit"' not in content:
        raise RuntimeError(f"the benchmark's lookup missed: {content[:200]!r}")


def length(head: bytes) -> int:
    """Bytes of the body behind a head.

    Raises:
        RuntimeError: it does not say.
    """
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise RuntimeError(f"no length: {head[:200]!r}")


def address(url: str) -> tuple[str, int]:
    """Host and port."""
    host, _, port = url.split("/")[2].partition(":")
    return host, int(port)


def percentile(times: Sequence[float], percent: int) -> float:
    """Of times that are sorted."""
    return times[min(len(times) - 1, len(times) * percent // 100)]


def memory(pid: int) -> float:
    """MiB that a process has resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def await_port(port: int) -> None:
    """Returns when somebody listens there.

    Raises:
        OSError: nobody does.
    """
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

"""A Deployment grows by two hundred pods at one time: each asks for an archive and fetches it, from one
server and from two.

A pod is inside its budget if its lookup was answered within 300 ms and its archive was there within 2 s, as a
JavaCache has it where nobody says otherwise. All pods, servers and the S3 server share this machine's
processors, which pods of a cluster do not: the share of nginx in the same run says more than the seconds. So
what a lookup took is told twice: as a pod saw it, which waits for a processor as well, and by the service's
own clock, from a request that was read to an answer that was sent.
"""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import requests

from bench.cacheservice import (
    CLASS_PATH,
    address,
    length,
    lookup_body,
    memory,
    must_hit,
    nginx,
    percentile,
    publish,
    request_of,
    service,
)
from bench.report import Row
from testbed import s3

BUCKET = "archives"
_BUCKET = re.compile(
    r'^jboost_request_seconds_bucket\{le="([0-9.+Inf]+)",route="/v1/lookup"\} ([0-9.e+]+)$', re.MULTILINE
)
LOOKUP, FETCH = 0.3, 2.0
"""Seconds of a pod's budget."""


@dataclass(frozen=True)
class Scale:
    """How much is asked."""

    archive_mib: int = 30
    pods: int = 200
    rounds: int = 3


FULL = Scale()


@dataclass(frozen=True)
class Order:
    """What the process of all pods is told. `plain`: no lookup goes before the archive."""

    urls: Sequence[str]
    path: str
    pods: int
    plain: bool = False


@dataclass(frozen=True)
class Stormed:
    """What a storm came to: seconds of each pod's lookup and fetch, and of all of it; MiB of each server.

    `own`: milliseconds within which the servers answered 99 of 100 lookups, by the buckets that they export.
    """

    lookups: list[float]
    fetches: list[float]
    seconds: float
    peak: float = 0.0
    before: float = 0.0
    own: float = 0.0


def run(scale: Scale = FULL) -> list[Row]:
    """One server on a folder; then one and two on the same bucket, and one that sends pods to the bucket.

    Raises:
        NotInstalled: the S3 server is not built.
        ProgramDied: it did not come up.
    """
    with tempfile.TemporaryDirectory(prefix="warmroot-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        data = random.Random(1).randbytes(2**20) * scale.archive_mib
        (folder / "archive").write_bytes(data)
        with nginx(folder) as peer:
            limit = _speed([_nginx_storm(peer, scale) for _ in range(scale.rounds)], scale) if peer else 0.0
        rows = _rows("one server, folder", _on_folder(folder, data, scale), limit, scale)
        for servers in (1, 2):
            told = _on_bucket(folder / f"s3-{servers}", servers, data, scale)
            rows += _rows(f"{servers} server{'s' if servers > 1 else ''}, S3", told, limit, scale)
        told = _on_bucket(folder / "s3-itself", 1, data, scale, "--redirect")
        return rows + _rows("1 server, S3 by redirect", told, limit, scale)


def _on_folder(folder: Path, data: bytes, scale: Scale) -> list[Stormed]:
    with service(folder / "store") as one:
        return _storms([one], publish(one[0], data), scale)


def _on_bucket(folder: Path, servers: int, data: bytes, scale: Scale, *more: str) -> list[Stormed]:
    folder.mkdir()
    with s3.running(folder) as store, ExitStack() as stack:
        _make_bucket(store)
        key = folder / "signing.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True)
        words = ["--key", str(key), *more]
        up = [
            stack.enter_context(service(f"s3://{BUCKET}", *words, environment=store.environment))
            for _ in range(servers)
        ]
        return _storms(up, publish(up[0][0], data), scale)


def _make_bucket(store: s3.S3Server) -> None:
    import boto3

    boto3.client(
        "s3",
        endpoint_url=store.url,
        region_name=s3.REGION,
        aws_access_key_id=s3.KEY,
        aws_secret_access_key=store.secret,
    ).create_bucket(Bucket=BUCKET)


def _storms(up: Sequence[tuple[str, int]], digest: str, scale: Scale) -> list[Stormed]:
    urls = [url for url, _ in up]
    path = f"/v1/archives/{digest}"
    _asked(Order(urls, path, 2 * len(urls)))  # each has answered once
    found = []
    for _ in range(scale.rounds):
        with _watched([pid for _, pid in up]) as watch:
            told = _asked(Order(urls, path, scale.pods))
        found.append(replace(told, peak=watch.peak, before=watch.before))
    own = _own(urls)
    return [replace(told, own=own) for told in found]


def _own(urls: Sequence[str]) -> float:
    """The upper bound, in milliseconds, of the bucket with the 99th percent of all lookups so far."""
    counts: dict[float, float] = {}
    for url in urls:
        page = requests.get(f"{url}/metrics", timeout=10).text
        for bound, count in _BUCKET.findall(page):
            counts[float(bound)] = counts.get(float(bound), 0.0) + float(count)
    wanted = 0.99 * max(counts.values())
    return 1000 * min(bound for bound, count in counts.items() if count >= wanted)


def _nginx_storm(peer: str, scale: Scale) -> Stormed:
    base, _, path = peer.rpartition("/")
    return _asked(Order([base], f"/{path}", scale.pods, plain=True))


def _rows(what: str, storms: Sequence[Stormed], limit: float, scale: Scale) -> list[Row]:
    lookups = sorted(one for storm in storms for one in storm.lookups)
    pods = [pair for storm in storms for pair in zip(storm.lookups, storm.fetches, strict=True)]
    inside = sum(lookup <= LOOKUP and fetch <= FETCH for lookup, fetch in pods) / len(pods)
    speed = _speed(storms, scale)
    against = f"{scale.pods} pods, {scale.archive_mib} MiB each; a class path of {CLASS_PATH} jars"
    before, peak = max(storm.before for storm in storms), max(storm.peak for storm in storms)
    rows = [
        Row("storm", f"{what}: lookup p50", percentile(lookups, 50) * 1000, "ms", None, "lower", against),
        Row("storm", f"{what}: lookup p99", percentile(lookups, 99) * 1000, "ms", 50, "lower"),
        Row("storm", f"{what}: lookup p99 by the service's clock", storms[0].own, "ms", 50, "lower"),
        Row("storm", f"{what}: archives", speed, "MB/s", None, "higher"),
        Row("storm", f"{what}: starts inside their budget", inside, "ratio", 1.0, "higher"),
        Row("storm", f"{what}: largest memory of a server", peak, "MiB", before + 128, "lower"),
    ]
    if limit:
        told = f"nginx sendfile {limit:.0f} MB/s to the same pods"
        rows.insert(
            4, Row("storm", f"{what}: share of nginx's speed", speed / limit, "ratio", 0.5, "higher", told)
        )
    return rows


def _speed(storms: Sequence[Stormed], scale: Scale) -> float:
    """MB/s of the best storm."""
    return scale.pods * scale.archive_mib * 2**20 / 1e6 / min(storm.seconds for storm in storms)


@dataclass
class _Watch:
    before: float
    peak: float


@contextmanager
def _watched(pids: Sequence[int]) -> Iterator[_Watch]:
    """The largest memory of any of them while the block runs."""
    watch = _Watch(max(map(memory, pids)), 0.0)
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            watch.peak = max(watch.peak, *map(memory, pids))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()
        watch.peak = max(watch.peak, watch.before)


def _asked(order: Order) -> Stormed:
    done = subprocess.run(
        [sys.executable, "-m", "bench.storm", json.dumps(asdict(order))],
        input=lookup_body(),
        capture_output=True,
        check=True,
    )
    return Stormed(**json.loads(done.stdout))


class _Pods:
    """What the other process does: a thread for each pod, which all begin at one time."""

    def __init__(self, order: Order, body: bytes) -> None:
        self._order, self._body = order, body
        self._begin = threading.Barrier(order.pods + 1)
        self._lookups, self._fetches = [0.0] * order.pods, [0.0] * order.pods
        self._threads = [
            threading.Thread(target=self._pod, args=(number, address(order.urls[number % len(order.urls)])))
            for number in range(order.pods)
        ]

    def run(self) -> Stormed:
        """Returns when the last one has its archive."""
        for thread in self._threads:
            thread.start()
        self._begin.wait()
        began = time.perf_counter()
        for thread in self._threads:
            thread.join()
        return Stormed(self._lookups, self._fetches, time.perf_counter() - began)

    def _pod(self, number: int, where: tuple[str, int]) -> None:
        buffer = bytearray(2**18)
        self._begin.wait()
        began = time.perf_counter()
        with socket.create_connection(where) as connection:
            if not self._order.plain:
                connection.sendall(request_of(where[0], self._body))
                head, content = _head(connection)
                while len(content) < length(head):
                    content += connection.recv(2**16)
                must_hit(content)
                self._lookups[number] = time.perf_counter() - began
            began = time.perf_counter()
            elsewhere = _fetch(connection, f"{where[0]}:{where[1]}", self._order.path, buffer)
        if elsewhere:
            host, _, path = elsewhere.removeprefix("http://").partition("/")
            with socket.create_connection(address(elsewhere)) as connection:
                _fetch(connection, host, f"/{path}", buffer)
        self._fetches[number] = time.perf_counter() - began


def _fetch(connection: socket.socket, host: str, path: str, buffer: bytearray) -> str:
    """Reads an archive to its end. Gives the address to which the answer sends, empty if it is there."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    head, content = _head(connection)
    if head.startswith(b"HTTP/1.1 307"):
        (place,) = (line[9:] for line in head.split(b"\r\n") if line.lower().startswith(b"location:"))
        return place.strip().decode()
    left = length(head) - len(content)
    while left:
        count = connection.recv_into(buffer)
        if not count:
            raise RuntimeError("an archive came cut")
        left -= count
    return ""


def _head(connection: socket.socket) -> tuple[bytes, bytes]:
    """An answer's head, and what of its body came with it."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(2**16)
        if not piece:
            raise RuntimeError("the connection ended before an answer")
        data += piece
    head, _, content = data.partition(b"\r\n\r\n")
    return head, content


if __name__ == "__main__":
    _pods = _Pods(Order(**json.loads(sys.argv[1])), sys.stdin.buffer.read())
    print(json.dumps(asdict(_pods.run())))

"""The cache service: archives per second against nginx's sendfile, lookups of 200 pods at once, memory."""

from __future__ import annotations

import asyncio
import json
import random
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

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


@dataclass(frozen=True)
class Scale:
    """How much is asked of the service."""

    archive_mib: int = 96
    rounds: int = 7
    """Downloads of each side."""
    pods: int = 200
    storms: int = 10
    """Times that all pods ask at once."""
    asks: int = 10
    """Of each pod that asks twice a second."""


FULL = Scale()


def run(scale: Scale = FULL) -> list[Row]:
    """One service on a directory store, one nginx on the same bytes, both on loopback."""
    with tempfile.TemporaryDirectory(prefix="warmroot-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        data = random.Random(1).randbytes(2**20) * scale.archive_mib
        (folder / "archive").write_bytes(data)
        with service(folder / "store") as (url, pid), nginx(folder) as peer:
            digest = publish(url, data)
            before = memory(pid)
            rows = _throughput(url, digest, peer, scale) + _lookups(url, scale)
            return rows + _storm_of_archives(url, digest, pid, before, scale)


def _throughput(url: str, digest: str, peer: str | None, scale: Scale) -> list[Row]:
    """Alternately, so that whatever else the machine does hits both."""
    ours, theirs = [], []
    for _ in range(scale.rounds):
        ours.append(_download(f"{url}/v1/archives/{digest}"))
        if peer:
            theirs.append(_download(peer))
    speed = statistics.median(ours)
    rows = [Row("serving", "archive from the cache service", speed, "MB/s", better="higher")]
    if theirs:
        limit = statistics.median(theirs)
        share = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
        against = f"nginx sendfile {limit:.0f} MB/s"
        rows.append(Row("serving", "share of nginx's speed", share, "ratio", 0.5, "higher", against))
    else:
        print("nginx is not installed: no comparison", file=sys.stderr)
    return rows


def _lookups(url: str, scale: Scale) -> list[Row]:
    body = lookup_body()
    storm = sorted(_clients(url, body, pods=scale.pods, storms=scale.storms))
    steady = sorted(_clients(url, body, pods=scale.pods, asks=scale.asks, every=0.5))
    against = f"a class path of {CLASS_PATH} jars, request of {len(body) / 1024:.0f} KiB"
    rows = []
    for what, times in (("at once", storm), ("twice a second each", steady)):
        name = f"lookup of {scale.pods} pods {what}"
        rows.append(Row("serving", f"{name}, p50", percentile(times, 50), "ms", None, "lower", against))
        rows.append(Row("serving", f"{name}, p99", percentile(times, 99), "ms", 50, "lower", against))
    return rows


def _storm_of_archives(url: str, digest: str, pid: int, before: float, scale: Scale) -> list[Row]:
    """Every pod fetches the archive at one time."""
    began = time.perf_counter()
    peak = asyncio.run(_fetch_all(url, digest, pid, scale.pods))
    seconds = time.perf_counter() - began
    against = f"{scale.pods} pods fetched {scale.archive_mib} MiB each in {seconds:.1f} s"
    return [
        Row("serving", "resident memory before", before, "MiB"),
        Row("serving", "resident memory at its peak", peak, "MiB", before + 128, "lower", against),
        Row("serving", "resident memory after", memory(pid), "MiB"),
    ]


def _clients(url: str, body: bytes, **how: float) -> list[float]:
    """Milliseconds from the connection's first packet to the answer, in a process that does nothing else."""
    order = json.dumps({"url": url, **how})
    done = subprocess.run(
        [sys.executable, "-m", "bench.serving", order], input=body, capture_output=True, check=True
    )
    times: list[float] = json.loads(done.stdout)
    return [seconds * 1000 for seconds in times]


def _client(order: dict[str, Any], body: bytes) -> list[float]:
    """What that process does; seconds."""
    url, pods = order["url"], order["pods"]
    if "storms" in order:
        return [seconds for _ in range(order["storms"]) for seconds in _storm(url, body, pods)]
    return asyncio.run(_pods(url, body, pods, order["asks"], order["every"]))


def _storm(url: str, body: bytes, pods: int) -> list[float]:
    """All connections are opened in one go, over bare sockets: a slow client would measure itself."""
    where = address(url)
    request = request_of(where[0], body)
    times: list[float] = []
    with selectors.DefaultSelector() as selector:
        for _ in range(pods):
            connection = socket.socket()
            connection.setblocking(False)
            began = time.perf_counter()
            connection.connect_ex(where)
            selector.register(connection, selectors.EVENT_WRITE, [began, b""])
        while len(times) < pods:
            for key, _ in selector.select(10):
                found, state = cast("socket.socket", key.fileobj), key.data
                if key.events == selectors.EVENT_WRITE:
                    if found.send(request) != len(request):
                        raise RuntimeError("a request did not fit into a socket's buffer")
                    selector.modify(found, selectors.EVENT_READ, state)
                    continue
                state[1] += found.recv(2**16)
                head, end, content = state[1].partition(b"\r\n\r\n")
                if end and len(content) == length(head):
                    times.append(time.perf_counter() - state[0])
                    must_hit(content)
                    selector.unregister(found)
                    found.close()
    return times


async def _pods(url: str, body: bytes, pods: int, asks: int, every: float) -> list[float]:
    found = await asyncio.gather(*(_pod(url, body, asks, every) for _ in range(pods)))
    return [seconds for times in found for seconds in times]


async def _pod(url: str, body: bytes, asks: int, every: float) -> list[float]:
    """One pod that asks `every` so many seconds, beginning anywhere within them."""
    host, port = address(url)
    request = request_of(host, body)
    await asyncio.sleep(random.random() * every)
    times = []
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection(host, port)
    for _ in range(asks):
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        content = await reader.readexactly(length(answer))
        times.append(time.perf_counter() - began)
        must_hit(content)
        await asyncio.sleep(every)
        began = time.perf_counter()
    writer.close()
    return times


async def _fetch_all(url: str, digest: str, pid: int, pods: int) -> float:
    """All pods at once; the service's largest resident memory in MiB."""
    host, port = address(url)
    request = f"GET /v1/archives/{digest} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()

    async def fetch() -> None:
        reader, writer = await asyncio.open_connection(host, port, limit=2**18)
        writer.write(request)
        left = length(await reader.readuntil(b"\r\n\r\n"))
        while left:
            data = await reader.read(2**18)
            if not data:
                raise RuntimeError("an archive came cut")
            left -= len(data)
        writer.close()

    peak = memory(pid)
    fetching = asyncio.gather(*(fetch() for _ in range(pods)))
    while not fetching.done():
        await asyncio.wait([fetching], timeout=0.05)
        peak = max(peak, memory(pid))
    await fetching
    return peak


def _download(url: str) -> float:
    """MB/s of one GET over a connection of its own, read into one buffer."""
    host, port = address(url)
    path = url.split("/", 3)[3]
    buffer = bytearray(2**20)
    with socket.create_connection((host, port)) as connection:
        began = time.perf_counter()
        connection.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        head, _, body = head.partition(b"\r\n\r\n")
        size = length(head)
        left = size - len(body)
        while left:
            count = connection.recv_into(buffer)
            if not count:
                raise RuntimeError(f"{url} came cut")
            left -= count
        return size / 1e6 / (time.perf_counter() - began)


if __name__ == "__main__":
    print(json.dumps(_client(json.loads(sys.argv[1]), sys.stdin.buffer.read())))

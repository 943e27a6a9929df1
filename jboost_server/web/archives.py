"""Archives over HTTP: whole or one range, compressed if wished, told apart by their digest."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jboost_server.store.port import Content, InFile, ObjectStore
from jboost_server.web.zerocopy import EXTENSION, PATIENCE, ReaderGone
from warmroot.errors import BadRange

_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")
LARGE, SMALL = 2**20, 256 * 1024
"""Bytes of a chunk. With smaller ones, waking a thread for each costs a third of a single reader's speed;
with larger ones, hundreds of readers cost hundreds of megabytes: two chunks of each are in memory."""
FEW = 8
"""Readers at one time that get large chunks."""
TURNS = 8
"""Readers that are sent to at one time, as long as they take it quickly."""
TURN = 0.1
"""Seconds after which the next one has its turn all the same: who reads slowly holds up nobody."""
AT_ONCE = 2**20
"""Bytes; a part that is no longer waits for no turn."""
WINDOW = 32 * 2**20
"""Bytes of a file that are sent, and counted, at a time."""


@dataclass(frozen=True)
class Part:
    """Bytes from `start` up to but not including `end`; all of them if `whole`."""

    start: int
    end: int
    whole: bool


def wanted(headers: Headers, size: int, etag: str) -> Part:
    """What the headers ask for. A form that is not understood asks for everything, as RFC 9110 has it.

    Raises:
        BadRange: the range is none of the object's.
    """
    match = _RANGE.fullmatch(headers.get("range", "").strip())
    condition = headers.get("if-range")
    everything = Part(0, size, True)
    if match is None or match.groups() == ("", "") or condition not in {None, etag}:
        return everything
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return everything
    if start >= size or start >= end:
        raise BadRange(f"the archive has {size} bytes, none of {match[0]}")
    return Part(start, end, False)


def matches(header: str, etag: str) -> bool:
    """Whether an If-None-Match names this version."""
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in tags or etag in tags


def takes_zstd(header: str) -> bool:
    """Whether an Accept-Encoding takes zstd."""
    for item in header.lower().split(","):
        name, _, parameters = item.partition(";")
        if name.strip() == "zstd":
            return re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", parameters) is None
    return False


class Readers:
    """Who reads archives now, and who is next.

    Two hundred pods that start at one time have their archives one after the other: if all were sent to at
    once, all would have theirs at the end, most of them after their budget. The sum is the same.
    """

    def __init__(self, turns: int = TURNS, longest: float = TURN) -> None:
        self._count = 0
        self._longest = longest
        self._turns = asyncio.Semaphore(turns)  # wakes those who wait in their order

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Begins when it is our turn, which ends with the block or after a moment."""
        await self._turns.acquire()
        over = _Once(self._turns.release)
        handle = asyncio.get_running_loop().call_later(self._longest, over)
        try:
            yield
        finally:
            handle.cancel()
            over()

    @contextmanager
    def one_more(self) -> Iterator[int]:
        """Counts one reader, and says how large its chunks may be, in bytes."""
        self._count += 1
        try:
            yield LARGE if self._count <= FEW else SMALL
        finally:
            self._count -= 1


class _Once:
    """Calls a function the first time that it is called."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function: Callable[[], None] | None = function

    def __call__(self) -> None:
        function, self._function = self._function, None
        if function is not None:
            function()


class Bytes(Response):
    """An ASGI response that streams an object, or a part of it, from the store."""

    def __init__(
        self,
        store: ObjectStore,
        name: str,
        part: Part,
        status: int,
        headers: dict[str, str],
        readers: Readers,
        sent: Callable[[int], None],
    ) -> None:
        super().__init__(status_code=status, headers=headers)
        self.raw_headers = [item for item in self.raw_headers if item[0] != b"content-length"]
        self.raw_headers.append((b"content-length", str(part.end - part.start).encode()))
        self._store = store
        self._name = name
        self._part = part
        self._readers = readers
        self._sent = sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it, when it is its turn; no more than two chunks are in memory."""
        if scope["method"] == "HEAD" or self._part.end - self._part.start <= AT_ONCE:
            await self._send(scope, receive, send)
            return
        async with self._readers.turn():
            await self._send(scope, receive, send)

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ExitStack() as stack:
            chunk = stack.enter_context(self._readers.one_more())
            content = await to_thread.run_sync(self._open, stack, chunk)
            start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            await send(start)
            if scope["method"] != "HEAD":
                if content.file is not None and EXTENSION in scope.get("extensions", {}):
                    await self._send_file(content.file, send)
                else:
                    await self._stream(content.chunks, receive, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _open(self, stack: ExitStack, chunk: int) -> Content:
        part = self._part
        bounds = (0, None) if part.whole else (part.start, part.end)
        return stack.enter_context(self._store.get(self._name, *bounds, chunk=chunk))

    async def _send_file(self, file: InFile, send: Send) -> None:
        for offset in range(file.offset, file.offset + file.size, WINDOW):
            count = min(WINDOW, file.offset + file.size - offset)
            try:
                await send({"type": EXTENSION, "file": file.descriptor, "offset": offset, "count": count})
            except ReaderGone:
                return
            self._sent(count)

    async def _stream(self, chunks: Iterator[bytes], receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_hung_up(receive))
        ahead = asyncio.ensure_future(_next(chunks))  # the disk is read while the network is written
        try:
            while (chunk := await ahead) is not None and not gone.done():
                ahead = asyncio.ensure_future(_next(chunks))
                async with asyncio.timeout(PATIENCE):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                self._sent(len(chunk))
        finally:
            gone.cancel()
            await asyncio.gather(ahead, return_exceptions=True)


async def _next(chunks: Iterator[bytes]) -> bytes | None:
    return await to_thread.run_sync(next, chunks, None)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

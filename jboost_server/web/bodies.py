"""Bodies of requests: small ones read whole up to a cap, uploads handed to a thread chunk by chunk.

Everything that is kept of an upload is written by the thread's store while it arrives; no more than a chunk
waits in between. An upload that stalls or crawls is cut, so that nobody holds a thread for long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

from anyio import CapacityLimiter, from_thread, to_thread
from fastapi import Request
from starlette.requests import ClientDisconnect

from jboost_server.store.port import CHUNK
from warmroot.errors import BadRequest, StoreUnavailable, TooLarge, UploadCut

T = TypeVar("T")

STALL = 30.0
"""Seconds in which something must come."""
SLOWEST = 64 * 1024
"""Bytes a second that an upload makes at least, after a first minute."""
PATIENCE = 15.0
"""Seconds that an upload waits while too many others are under way."""


async def whole(request: Request, cap: int) -> bytes:
    """A small body.

    Raises:
        TooLarge: more than `cap` bytes.
        UploadCut: it did not come.
    """
    parts, size = [], 0
    async for chunk in _received(request, cap / SLOWEST + 60):
        size += len(chunk)
        if size > cap:
            raise TooLarge(f"a request of more than {cap} bytes")
        parts.append(chunk)
    return b"".join(parts)


def length(request: Request, cap: int) -> int:
    """The promised length of an upload in bytes.

    Raises:
        BadRequest: none is promised.
        TooLarge: more than `cap`.
    """
    promised = request.headers.get("content-length", "")
    if not promised.isdecimal() or not promised.isascii():
        raise BadRequest("an upload without Content-Length", hint="send its length; chunks won't do")
    size = int(promised)
    if size > cap:
        raise TooLarge(f"an upload of {size} bytes, more than {cap}")
    return size


class Uploads:
    """At most `at_once` uploads at one time, each in a thread of its own."""

    def __init__(self, at_once: int = 16) -> None:
        self._at_once = at_once
        self._limiter: CapacityLimiter | None = None

    async def take(self, request: Request, size: int, use: Callable[[Iterator[bytes]], T]) -> T:
        """Runs `use` in a thread with the chunks of the body.

        Raises:
            UploadCut: the body ended or stalled; StoreUnavailable: too many uploads are under way.
        """
        if self._limiter is None:
            self._limiter = CapacityLimiter(self._at_once)
        token = object()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._limiter.acquire_on_behalf_of(token)
        except TimeoutError:
            raise StoreUnavailable(
                f"{self._at_once} uploads are under way", hint="send it again in a moment"
            ) from None
        try:
            incoming = _received(request, 60 + size / SLOWEST)
            return await to_thread.run_sync(lambda: use(_handed_over(incoming)), limiter=CapacityLimiter(1))
        finally:
            self._limiter.release_on_behalf_of(token)


async def _received(request: Request, seconds: float) -> AsyncIterator[bytes]:
    deadline = time.monotonic() + seconds
    stream = request.stream()
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise UploadCut(f"the body took longer than {seconds:.0f} s")
        try:
            async with asyncio.timeout(min(STALL, left)):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise UploadCut(f"nothing of the body came for {min(STALL, left):.0f} s") from None
        except ClientDisconnect:
            raise UploadCut("the sender hung up") from None
        if chunk:
            yield chunk


async def _some(incoming: AsyncIterator[bytes]) -> bytes:
    """What came next, as much as makes a chunk worth handing to a thread; empty at the end."""
    parts, size = [], 0
    async for chunk in incoming:
        parts.append(chunk)
        size += len(chunk)
        if size >= CHUNK:
            break
    return b"".join(parts)


def _handed_over(incoming: AsyncIterator[bytes]) -> Iterator[bytes]:
    while chunk := from_thread.run(_some, incoming):
        yield chunk

"""Files go from the page cache to a connection without passing through this process.

ASGI's extension `http.response.zerocopysend`, which uvicorn does not have: a response sends
`{"type": …, "file": descriptor, "offset": …, "count": …}` in place of a body's part, and goes on after it.
Source: https://asgi.readthedocs.io/en/stable/extensions.html
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from warmroot.errors import StoreBroken

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

EXTENSION = "http.response.zerocopysend"
PATIENCE = 60.0
"""Seconds for which a reader may take nothing; then its connection is closed."""


class ReaderGone(ConnectionError):
    """Whom a file was for has hung up, or was hung up on because they took nothing.

    ASGI asks for a subclass of OSError; source: https://asgi.readthedocs.io/en/stable/specs/www.html
    """


class ZeroCopyProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the extension, on connections that are not encrypted."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self.transport.get_extra_info("sslcontext") is None:
            cycle.scope.setdefault("extensions", {})[EXTENSION] = {}
            app = _Offering(app, cycle)
        super()._start_asgi_task(cycle, app)


class _Offering:
    """An application that may use the extension for one request."""

    def __init__(self, app: ASGI3Application, cycle: RequestResponseCycle) -> None:
        self._app = app
        self._cycle = cycle

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == EXTENSION:
                await self._file(message["file"], message["offset"], message["count"])
            else:
                await send(message)

        await self._app(scope, receive, sending)

    async def _file(self, file: int, offset: int, count: int) -> None:
        cycle = self._cycle
        if count > cycle.expected_content_length:
            raise RuntimeError("a file longer than what is left of Content-Length")
        await self._written()
        if cycle.transport.is_closing():
            self._end()
            raise ReaderGone
        # The transport watches its own descriptor; another one for the same connection is ours to watch.
        connection = os.dup(cycle.transport.get_extra_info("socket").fileno())
        try:
            await _send(connection, file, offset, count)
        except (TimeoutError, ConnectionError) as error:
            self._end()  # nobody reads any more; a reader that stalls has had its time
            raise ReaderGone from error
        finally:
            os.close(connection)
        cycle.expected_content_length -= count

    def _end(self) -> None:
        """As the transport says that the connection is lost, without waiting until it does."""
        self._cycle.disconnected = True
        self._cycle.message_event.set()
        self._cycle.transport.abort()

    async def _written(self) -> None:
        """Until everything before is with the kernel."""
        transport = self._cycle.transport
        if transport.is_closing():
            return
        transport.set_write_buffer_limits(high=0)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._cycle.flow.drain()
        except TimeoutError:
            self._end()
        if not transport.is_closing():
            transport.set_write_buffer_limits()


async def _send(connection: int, file: int, offset: int, count: int) -> None:
    """Threads send, since the file may have to come from a disk first; the loop waits for the reader."""
    while count:
        sent = await to_thread.run_sync(_turn, connection, file, offset, count)
        offset, count = offset + sent, count - sent
        if count:
            async with asyncio.timeout(PATIENCE):
                await _writable(connection)


def _turn(connection: int, file: int, offset: int, count: int) -> int:
    """Sends until the connection takes no more; how many bytes that were."""
    sent = 0
    while sent < count:
        try:
            some = os.sendfile(connection, file, offset + sent, count - sent)
        except BlockingIOError:
            break
        if not some:
            raise StoreBroken("a file became shorter while it was sent")
        sent += some
    return sent


async def _writable(connection: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_writer(connection, tell)
    try:
        await ready
    finally:
        loop.remove_writer(connection)

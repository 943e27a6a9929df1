"""Work of an operator that its passes never wait for: a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)
PATIENCE = 1.0
"""Seconds in which connections may be closed at the end."""


class Beside:
    """`serve` runs in the thread until `closed`; it is given the event that `tell` sets.

    Should it fail, `over` is logged: what is not done any more.
    """

    def __init__(self, name: str, serve: Callable[[asyncio.Event], Awaitable[None]], over: str) -> None:
        self._name, self._serve, self._over = name, serve, over
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self.closed = False

    def tell(self) -> None:
        """There is news. The thread is there from the first on."""
        with self._lock:
            if self._thread is None and not self.closed:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            if self._loop is not None and self._news is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._news.set)

    def close(self) -> None:
        """Ends it, and waits for a moment."""
        self.closed = True
        self.tell()
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def _run(self) -> None:
        try:
            asyncio.run(self._begin())
        except Exception:  # a thread's entry point: nothing goes wrong unseen
            log.exception("%s: please report this with the log around it", self._over)

    async def _begin(self) -> None:
        news = asyncio.Event()
        with self._lock:
            self._loop, self._news = asyncio.get_running_loop(), news
        await self._serve(news)

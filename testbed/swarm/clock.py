"""Real time: things that are due, one after another, in one thread."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from itertools import count

from warmroot.errors import Bug


class RealTime:
    """Does what is due; anybody may add to it, from any thread.

    `late`: the most, in seconds, that anything was done too late, because this computer is no faster.
    """

    def __init__(self, name: str) -> None:
        self.late = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._changed = threading.Condition()
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def after(self, delay: float, what: Callable[[], None]) -> None:
        """Does something in `delay` seconds."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + delay, next(self._order), what))
            self._changed.notify()

    def start(self) -> None:
        """From now on."""
        self._thread.start()

    def end(self) -> None:
        """What is under way is ended, the rest is dropped."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def check(self) -> None:
        """Nothing while all is well.

        Raises:
            Bug: something that was due failed.
        """
        if self._error is not None:
            raise Bug(f"{self._thread.name} ended: {self._error!r}") from self._error

    def _run(self) -> None:
        try:
            while (what := self._next()) is not None:
                what()
        except BaseException as error:
            self._error = error
            raise

    def _next(self) -> Callable[[], None] | None:
        """What is due; None at the end."""
        with self._changed:
            while not self._ended:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    self.late = max(self.late, -wait)
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
        return None

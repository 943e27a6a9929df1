"""Virtual time: things that are due, in order. Hours pass in milliseconds."""

import heapq
from collections.abc import Callable
from itertools import count


class Time:
    """A clock that jumps from one due thing to the next. Seconds since 1970."""

    def __init__(self, start: float) -> None:
        self.now = start
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def clock(self) -> float:
        return self.now

    def after(self, delay: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + delay, next(self._order), what))

    def run(self, until: float) -> None:
        while self._due and self._due[0][0] <= until:
            moment, _, what = heapq.heappop(self._due)
            self.now = max(self.now, moment)
            what()
        self.now = until

"""Blocks on their way into a slot: counted, hashed, and written only if they are the right ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

from os_proxy.backends.pace import TokenBucket
from os_proxy.backends.readback import RUN, Hashing
from os_proxy.core.status import Progress
from os_proxy.ports import BlockDevice, Clock
from warmroot.errors import NetworkError, Superseded, Tampered, Truncated
from warmroot.release.blocks import BlockRange
from warmroot.release.source import ReleaseSource, try_each
from warmroot.release.verity import BLOCK

TICK = 0.2
"""Seconds between two looks at progress while connections work."""


class Tally:
    """What was done so far, shared by all connections. Bytes."""

    def __init__(self, total: int, clock: Clock) -> None:
        self._lock = threading.Lock()
        self._clock, self._began = clock, clock.monotonic()
        self._total = total
        self._done = self._fetched = self._reused = 0

    def add(self, *, done: int = 0, fetched: int = 0, reused: int = 0) -> None:
        """Counts."""
        with self._lock:
            self._done += done
            self._fetched += fetched
            self._reused += reused

    def progress(self) -> Progress:
        """The sums now. A range may cover blocks that were right already: never more than the total."""
        with self._lock:
            seconds = max(self._clock.monotonic() - self._began, 0.001)
            speed = int((self._fetched + self._reused) / seconds)
            return Progress(min(self._done, self._total), self._total, self._fetched, self._reused, speed)


class Target:
    """The root partition that is written, and what each of its blocks must be."""

    def __init__(self, device: BlockDevice, hashing: Hashing) -> None:
        self._device, self._hashing = device, hashing

    def put(self, start: int, data: memoryview) -> int:
        """Writes the blocks that are right, up to the first that is not; returns their number (I6)."""
        good = self._hashing.right(start, data)
        if good:
            self._device.write(start * BLOCK, data[: good * BLOCK])
        return good


def fetch_ranges(
    ranges: Iterable[BlockRange],
    *,
    sources: Sequence[ReleaseSource],
    path: str,
    target: Target,
    tally: Tally,
    bucket: TokenBucket,
    in_flight: int,
    observe: Callable[[], None],
) -> None:
    """Fetches and writes these blocks. What was verified stays, whatever happens then.

    Raises:
        SourceError, NetworkError: a range that no source served rightly.
        Superseded: `observe` raised it.
    """
    ended = threading.Event()

    def one(wanted: BlockRange) -> None:
        _fetch_range(wanted, sources, path, target, tally, bucket, ended)

    if in_flight == 1:
        for wanted in ranges:
            one(wanted)
            observe()
        return
    waiting = iter(ranges)
    with ThreadPoolExecutor(in_flight, thread_name_prefix="fetch") as pool:
        try:
            running: set[Future[None]] = {pool.submit(one, wanted) for wanted in islice(waiting, in_flight)}
            while running:
                finished, running = wait(running, timeout=TICK, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                running |= {pool.submit(one, wanted) for wanted in islice(waiting, len(finished))}
                observe()
        finally:
            ended.set()


def _fetch_range(
    wanted: BlockRange,
    sources: Sequence[ReleaseSource],
    path: str,
    target: Target,
    tally: Tally,
    bucket: TokenBucket,
    ended: threading.Event,
) -> None:
    """One range; the next source goes on behind the last block that was right."""
    at, end = wanted.start, wanted.start + wanted.count

    def settle(data: memoryview, who: str) -> int:
        """Writes the whole blocks; gives the number of their bytes."""
        nonlocal at
        whole = len(data) // BLOCK
        good = target.put(at, data[: whole * BLOCK])
        at += good
        tally.add(done=good * BLOCK)
        if good < whole:
            raise Tampered(f"{who}/{path}: block {at} is not the one that was signed")
        return whole * BLOCK

    def from_source(source: ReleaseSource) -> None:
        pending = bytearray()

        def settle_pending() -> None:
            with memoryview(pending) as view:
                settled = settle(view, source.describe)
            del pending[:settled]

        try:
            for piece in source.read_range(path, at * BLOCK, (end - at) * BLOCK):
                if ended.is_set():
                    raise Superseded("another connection ended the work")
                bucket.take(len(piece))
                tally.add(fetched=len(piece))
                if not pending and len(piece) == RUN * BLOCK:  # nothing to put together, so no copy
                    settle(memoryview(piece), source.describe)
                    continue
                pending += piece
                if len(pending) >= RUN * BLOCK:
                    settle_pending()
        except (NetworkError, Truncated):
            settle_pending()
            raise
        settle_pending()

    try_each(sources, from_source)

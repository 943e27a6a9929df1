"""Requests of several kinds to a running application, over one connection, in an order set by a seed."""

from __future__ import annotations

import http.client
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from testbed.apps.application import Application, Request
from testbed.apps.threads import Spent, Threads
from warmroot.errors import ProgramDied

TIMEOUT = 30.0
"""Seconds for one answer: a JVM that ends a recording stands still for several."""


@dataclass
class Served:
    """What was answered: milliseconds of each request, in order."""

    latencies: list[float] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    """Kind, wanted and given status of each answer that was another."""
    spent: list[Spent] = field(default_factory=list)
    """Of each request, by the threads that were watched; empty where none were."""

    @property
    def slowest(self) -> float:
        """Milliseconds."""
        return max(self.latencies)

    def percentile(self, share: float) -> float:
        """Milliseconds below which `share` (0 to 1) of the requests were answered."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    def first(self, seconds: float) -> Served:
        """Those that were asked in the first seconds: one connection asks one after the other."""
        began, count = 0.0, 0
        for latency in self.latencies:
            if began >= seconds * 1000:
                break
            began += latency
            count += 1
        return Served(self.latencies[:count], self.unexpected, self.spent[:count])

    def slow(self, share: float) -> Served:
        """Those that took no less than the percentile of `share`."""
        least = self.percentile(share)
        found = [at for at, latency in enumerate(self.latencies) if latency >= least]
        spent = [self.spent[at] for at in found] if self.spent else []
        return Served([self.latencies[at] for at in found], self.unexpected, spent)


def send(
    application: Application,
    port: int,
    *,
    seconds: float = math.inf,
    count: int | None = None,
    seed: int = 1,
    kinds: Sequence[str] | None = None,
    watched: Threads | None = None,
    host: str = "127.0.0.1",
) -> Served:
    """Sends requests for `seconds`, or `count` of them, or those of some `kinds` alone.

    Of each it notes what the `watched` threads spent until its answer was there.

    Raises:
        ProgramDied: the connection broke.
    """
    served = Served()
    link = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    end = time.perf_counter() + seconds
    try:
        for request in choose(application, seed, kinds, count):
            before = watched.spent() if watched else None
            began = time.perf_counter()
            if began >= end:
                break
            headers = {"Content-Type": request.content} if request.body else {}
            link.request(request.method, request.path, request.body, headers)
            answer = link.getresponse()
            answer.read()
            served.latencies.append((time.perf_counter() - began) * 1000)
            if watched and before:
                served.spent.append(watched.spent() - before)
            if answer.status != request.status:
                served.unexpected.append(f"{request.kind}: {request.status} wanted, {answer.status} given")
    except (OSError, http.client.HTTPException) as error:
        raise ProgramDied(
            f"{application.name} stopped answering: {error!r}", hint="look at its log"
        ) from error
    finally:
        link.close()
    return served


def choose(
    application: Application, seed: int, kinds: Sequence[str] | None, count: int | None
) -> Iterator[Request]:
    """The requests of a seed, in order: `count` of them, or without end; of some `kinds` alone, or of all."""
    dice = random.Random(seed)  # noqa: S311 - an order of requests, no secret
    made = 0
    while made != count:
        request = dice.choice(application.requests)(dice)
        if kinds is None or request.kind in kinds:
            made += 1
            yield request

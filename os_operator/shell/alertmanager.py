"""Keeps Alertmanager silent about nodes that are moved, in a thread of its own: a pass never waits for it.

Passes say which nodes; nothing else is remembered that matters. Before each extension Alertmanager is asked
for the silence that stands, so a process that starts anew goes on with those of the one before it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from os_operator.core.instants import parse
from os_operator.core.silences import Silence, due, left_over, ours, wish
from os_operator.core.world import Answer
from os_operator.shell.ask_cluster import ClusterQuestions
from os_operator.shell.beside import Beside
from os_operator.shell.checks import Threads
from os_operator.shell.web import Web
from warmroot.api.health import CheckReason
from warmroot.api.os import AlertSilence
from warmroot.kube.cluster import Cluster

log = logging.getLogger(__name__)
EVERY = 10.0
"""Seconds between two looks at what is due: what failed is tried again then."""
PATIENCE = 10.0
"""Seconds that Alertmanager has for one answer."""
AT_ONCE = 16
LARGEST = 2**20
"""Bytes of an answer: more than a thousand silences."""
Key = tuple[str, AlertSilence, str]


class Silencer(Protocol):
    """Who asks Alertmanager."""

    def keep(self, silences: Iterable[Silence]) -> None:
        """These nodes are being moved, and no others. Does not wait."""


class Loud:
    """Silences nothing."""

    def keep(self, silences: Iterable[Silence]) -> None:
        """See `Silencer.keep`."""


class Failed(Exception):
    """Alertmanager did not do what it was asked for."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.detail)
        self.reason = answer.reason or CheckReason.BAD_ANSWER


class Alertmanagers:
    """Alertmanager's API, version 2. Made and used in one event loop."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        questions = ClusterQuestions(cluster, _no_cel, namespace)
        threads = Threads("silences-api")
        self._web = Web(
            Threads("silences-names").run, lambda secret: threads.run(questions.authorities, secret)
        )

    async def close(self) -> None:
        """Ends all connections."""
        await self._web.close()

    async def list(self, place: AlertSilence, node: str = "") -> list[Any]:
        """All silences, or those about a node.

        Raises:
            Failed: it does not tell.
        """
        query = {"filter": f'{place.label}="{node}"'} if node else {}
        found = await self._call(place, "/silences", query=query)
        if not isinstance(found, list):
            raise Failed(Answer(CheckReason.BAD_ANSWER, "Alertmanager's silences are no list"))
        return found

    async def post(self, place: AlertSilence, body: Any) -> None:
        """Makes a silence, or extends one.

        Raises:
            Failed: it refuses.
        """
        await self._call(place, "/silences", method="POST", body=body)

    async def expire(self, place: AlertSilence, id_: str) -> None:
        """Ends a silence.

        Raises:
            Failed: it refuses.
        """
        await self._call(place, f"/silence/{id_}", method="DELETE")

    async def _call(self, place: AlertSilence, path: str, **options: Any) -> Any:
        url = place.alertmanager.rstrip("/") + "/api/v2" + path
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._web.ask(url, place.ca_secret, most=LARGEST, **options)
        except TimeoutError:
            raise Failed(Answer(CheckReason.TIMED_OUT, f"no answer within {PATIENCE:g} s")) from None
        if isinstance(found, Answer):
            raise Failed(found)
        code, body = found
        if len(body) > LARGEST:
            raise Failed(Answer(CheckReason.TOO_LARGE, f"more than {LARGEST >> 20} MiB"))
        if code != 200:
            text = body[:200].decode(errors="replace").strip()
            raise Failed(Answer(CheckReason.WRONG_STATUS, f"Alertmanager answered {code}: {text}"))
        try:
            return json.loads(body) if body.strip() else None
        except ValueError:
            raise Failed(Answer(CheckReason.BAD_ANSWER, "Alertmanager's answer is not JSON")) from None


def _no_cel(text: str, seen: Any) -> Any:
    raise NotImplementedError


class Silences:
    """The silencer of the operator. `may_ask`: we lead. `count` is told how each request to extend or to end
    a silence went: `Done`, or the reason.
    """

    def __init__(
        self,
        open_: Callable[[], Alertmanagers],
        may_ask: Callable[[], bool],
        count: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._open, self._may_ask, self._count, self._clock = open_, may_ask, count, clock
        self._lock = threading.Lock()
        self._wanted: dict[Key, Silence] = {}
        self._ends: dict[Key, float] = {}
        self._tidied: set[tuple[str, AlertSilence]] = set()
        self._beside = Beside("silences", self._serve, "nothing is silenced any more")

    def keep(self, silences: Iterable[Silence]) -> None:
        """See `Silencer.keep`. The thread is there from the first silence on."""
        wanted = {silence.key: silence for silence in silences}
        with self._lock:
            if wanted == self._wanted or self._beside.closed:
                return
            self._wanted = wanted
        self._beside.tell()

    def close(self) -> None:
        """Asks nothing more. What stands is left to the next process, or runs out."""
        self._beside.close()

    async def _serve(self, news: asyncio.Event) -> None:
        api = self._open()
        try:
            while True:
                news.clear()
                if self._beside.closed:
                    return
                with self._lock:
                    wanted = self._wanted
                if self._may_ask():
                    await self._round(api, wanted)
                else:
                    self._ends, self._tidied = {}, set()
                try:
                    async with asyncio.timeout(EVERY):
                        await news.wait()
                except TimeoutError:
                    continue
        finally:
            await api.close()

    async def _round(self, api: Alertmanagers, wanted: dict[Key, Silence]) -> None:
        now, turn = self._clock(), asyncio.Semaphore(AT_ONCE)
        jobs = [
            self._extend(api, silence, turn)
            for key, silence in wanted.items()
            if due(silence, self._ends.get(key), now)
        ]
        over = [key for key in self._ends if key not in wanted]
        jobs += [self._end(api, key, turn) for key in over]
        for uid, place in {key[:2] for key in wanted} - self._tidied:
            comments = frozenset(one.comment for one in wanted.values())
            jobs.append(self._tidy(api, uid, place, comments, turn))
        await asyncio.gather(*jobs)

    async def _extend(self, api: Alertmanagers, silence: Silence, turn: asyncio.Semaphore) -> None:
        async def extend() -> None:
            found = await api.list(silence.place, silence.node)
            standing = next((one for one in found if ours(one, silence)), None)
            body = wish(silence, standing, self._clock())
            await api.post(silence.place, body)
            self._ends[silence.key] = parse(body["endsAt"]) or 0.0

        await self._try(extend, turn, f"the alerts of {silence.node} are not silenced")

    async def _end(self, api: Alertmanagers, key: Key, turn: asyncio.Semaphore) -> None:
        uid, place, node = key

        async def end() -> None:
            comments = [one for one in await api.list(place, node) if left_over(one, uid, frozenset())]
            await self._expire(api, place, comments)
            self._ends.pop(key, None)

        if not await self._try(end, turn, f"the silence of {node} is not ended") and (
            self._clock() > self._ends.get(key, 0.0)
        ):
            self._ends.pop(key, None)  # it has run out by itself

    async def _tidy(
        self,
        api: Alertmanagers,
        uid: str,
        place: AlertSilence,
        comments: frozenset[str],
        turn: asyncio.Semaphore,
    ) -> None:
        """Once in the life of a process: what the one before it did not come to end."""

        async def tidy() -> None:
            stale = [one for one in await api.list(place) if left_over(one, uid, comments)]
            await self._expire(api, place, stale)

        self._tidied.add((uid, place))  # tried once: what is left runs out within its lease
        await self._try(tidy, turn, "old silences are left to run out")

    async def _expire(self, api: Alertmanagers, place: AlertSilence, found: Sequence[Any]) -> None:
        for one in found:
            await api.expire(place, str(one["id"]))

    async def _try(self, what: Callable[[], Any], turn: asyncio.Semaphore, else_: str) -> bool:
        async with turn:
            if not self._may_ask():
                return False
            try:
                await what()
            except Failed as error:
                log.warning("%s: %s, %s", else_, error.reason.value, error)
                self._count(error.reason.value)
                return False
            except Exception:
                log.exception("%s: please report this", else_)
                self._count(CheckReason.BAD_ANSWER.value)
                return False
            self._count("Done")
            return True

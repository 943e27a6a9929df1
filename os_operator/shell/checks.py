"""Asks health checks, over and over, in a thread of its own: a pass never waits for one.

Passes say what is to be asked and read what is known. What was not asked for by the last pass is forgotten at
once; a process that starts anew knows nothing and asks.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Protocol

from os_operator.core.health import Question, follow
from os_operator.core.world import Answer, CheckKey, Standing
from os_operator.shell.ask_cluster import ClusterQuestions
from os_operator.shell.ask_http import HttpQuestions
from os_operator.shell.beside import Beside
from os_operator.shell.sandbox import Sandbox
from warmroot.api.health import CheckReason
from warmroot.kube.cluster import Cluster

log = logging.getLogger(__name__)
AT_ONCE = 256
"""Questions that wait for an answer at the same time, at most."""
THREADS = 8
"""Threads for what can't be asked without one, such as names and the API server; for each kind so many."""
SHORTEST = 0.2
"""Seconds between an answer and the next question, at the least."""
Ask = Callable[[Question], Awaitable[Answer]]


class Prober(Protocol):
    """Who asks the health checks."""

    def ask(self, questions: Iterable[Question]) -> None:
        """These are asked from now on, and no others. Does not wait."""

    def standings(self) -> Mapping[CheckKey, Standing]:
        """What is known of those that are asked."""


class Nobody:
    """Asks nothing: for a world without checks."""

    def ask(self, questions: Iterable[Question]) -> None:
        """See `Prober.ask`."""

    def standings(self) -> Mapping[CheckKey, Standing]:
        """See `Prober.standings`."""
        return {}


class Threads:
    """A bounded number of daemon threads. Those of a ThreadPoolExecutor hold the process up at its end."""

    def __init__(self, name: str, most: int = THREADS) -> None:
        self._name, self._most = name, most
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._started = 0

    async def run(self, what: Callable[..., Any], *args: Any) -> Any:
        """The result of `what(*args)`. Cancelled while it runs, the thread is left to end by itself."""
        future: Future[Any] = Future()
        self._jobs.put((future, lambda: what(*args)))
        if self._started < self._most:
            self._started += 1
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        return await asyncio.wrap_future(future)

    def _work(self) -> None:
        while True:
            future, what = self._jobs.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = what()
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
                future.set_exception(error)
            else:
                future.set_result(result)


class Checks:
    """The prober of the operator. `changed` is called when a verdict could change; `may_ask`: we lead."""

    def __init__(
        self,
        open_: Callable[[], Opened],
        changed: Callable[[], None],
        may_ask: Callable[[], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._open, self._changed, self._may_ask, self._clock = open_, changed, may_ask, clock
        self._lock = threading.Lock()
        self._wanted: dict[CheckKey, Question] = {}
        self._known: dict[CheckKey, Standing] = {}
        # Without answers no node on trial is confirmed.
        self._beside = Beside("checks", self._serve, "health checks are asked no more")

    def ask(self, questions: Iterable[Question]) -> None:
        """See `Prober.ask`. The thread is there from the first question on."""
        wanted = {question.key: question for question in questions}
        with self._lock:
            if wanted == self._wanted or self._beside.closed:
                return
            now = self._clock()
            self._known = {key: self._known.get(key) or Standing(now) for key in wanted}
            self._wanted = wanted
        self._beside.tell()

    def standings(self) -> Mapping[CheckKey, Standing]:
        """See `Prober.standings`."""
        with self._lock:
            return dict(self._known)

    def close(self) -> None:
        """Asks nothing more. Connections are closed if that takes no time."""
        with self._lock:
            self._wanted, self._known = {}, {}
        self._beside.close()

    async def _serve(self, news: asyncio.Event) -> None:
        turn = asyncio.Semaphore(AT_ONCE)
        tasks: dict[CheckKey, tuple[Question, asyncio.Task[None]]] = {}
        opened = self._open()
        try:
            while True:
                news.clear()
                closed = self._beside.closed
                with self._lock:
                    wanted = self._wanted
                for key in [key for key in tasks if wanted.get(key) != tasks[key][0]]:
                    tasks.pop(key)[1].cancel()
                for key, question in wanted.items():
                    if key not in tasks:
                        task = asyncio.create_task(self._again_and_again(question, opened.ask, turn))
                        tasks[key] = question, task
                if closed:
                    return
                await news.wait()
        finally:
            await opened.close()

    async def _again_and_again(self, question: Question, ask: Ask, turn: asyncio.Semaphore) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with turn:
                began = loop.time()
                if self._may_ask():
                    at = self._clock()
                    self._take(question, await in_time(question, ask), at)
            await asyncio.sleep(max(SHORTEST, began + question.check.interval - loop.time()))

    def _take(self, question: Question, answer: Answer, at: float) -> None:
        with self._lock:
            before = self._known.get(question.key)
            if before is None:
                return
            after = self._known[question.key] = follow(before, answer, at, question.check)
        if after.told != before.told or before.answer is None:
            self._changed()


async def in_time(question: Question, ask: Ask) -> Answer:
    """One answer, not later than the check's timeout. Whatever goes wrong is an answer, too."""
    timeout = question.check.timeout
    try:
        async with asyncio.timeout(timeout):
            return await ask(question)
    except TimeoutError:
        return Answer(CheckReason.TIMED_OUT, f"no answer within {timeout:g} s")
    except Exception:
        log.exception("check %s of %s", question.check.spec.name, question.node)
        return Answer(CheckReason.BAD_ANSWER, "the operator can't read it: please report its log")


class Opened(Protocol):
    """What asks one question, for as long as the event loop runs that it was opened in."""

    async def ask(self, question: Question) -> Answer:
        """One answer."""

    async def close(self) -> None:
        """Ends connections and processes."""


class Asking:
    """Asks whatever kind of check it is. Made in the event loop that it is used in."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._sandbox = Sandbox()
        self._cluster = ClusterQuestions(cluster, self._sandbox.evaluate, namespace)
        self._cluster_threads = Threads("checks-api")
        self._http = HttpQuestions(Threads("checks-names").run, self._authorities)

    async def _authorities(self, secret: str) -> ssl.SSLContext | Answer:
        found: ssl.SSLContext | Answer
        found = await self._cluster_threads.run(self._cluster.authorities, secret)
        return found

    async def ask(self, question: Question) -> Answer:
        """One answer."""
        spec = question.check.spec
        if spec.http is not None:
            return await self._http.http(spec.http, question)
        if spec.prometheus is not None:
            return await self._http.prometheus(spec.prometheus, question)
        answer: Answer
        if spec.pods is not None:
            answer = await self._cluster_threads.run(self._cluster.pods, spec.pods, question)
        elif spec.java_caches is not None:
            answer = await self._cluster_threads.run(self._cluster.java_caches, spec.java_caches)
        else:
            answer = await self._cluster_threads.run(self._cluster.object, spec.object, question)
        return answer

    async def close(self) -> None:
        """Ends connections, and the process that evaluates CEL."""
        await self._http.close()
        self._sandbox.close()

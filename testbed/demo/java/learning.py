"""The first pod of each JDK, from which the cache service learns.

It takes its time and none of its seconds is shown. So it goes on in a process of its own, which has only the
processor time that others leave over, while the demo shows something else.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import FrameType, TracebackType
from typing import Self

from jboost_server.core.outcome import Outcome
from testbed.apps import traffic
from testbed.demo.java.bed import Ground
from testbed.demo.java.pod import PATIENT, Decided
from testbed.demo.verdict import Finding
from testbed.setup.jdk import Jdk
from warmroot.errors import ProgramDied, WarmrootError

TRAINING = 300
"""Requests: each kind some dozens of times."""
YIELDING = 5
"""How nice it is to others."""
PATIENCE = 20.0
"""Seconds for which it may tidy up once it was told to end."""


@dataclass
class Learned:
    """What came of it: the requests that were recorded, and what is claimed of it."""

    requests: int = 0
    findings: list[Finding] = field(default_factory=list)


class Learning:
    """A context manager: it goes on within this block, and `result` waits for its end."""

    def __init__(self, ground: Ground, runtimes: Sequence[Jdk]) -> None:
        context = multiprocessing.get_context("spawn")
        self._answer, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(theirs, ground, list(runtimes)), daemon=True)
        self._theirs = theirs

    def __enter__(self) -> Self:
        self._process.start()
        self._theirs.close()  # so that the pipe ends with the process
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pid = self._process.pid
        assert pid is not None
        self._process.terminate()
        wait([self._process.sentinel], PATIENCE)  # it ends, and its process id stays its own until we join
        with suppress(ProcessLookupError):  # it had started nothing yet
            os.killpg(pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self._answer.close()

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._process.pid

    def result(self) -> Learned:
        """What it ended with.

        Raises:
            WarmrootError: it failed, for this reason.
            ProgramDied: it ended without a word.
        """
        try:
            answer = self._answer.recv()
        except EOFError:
            raise ProgramDied("the process in which the first pods start ended without a word") from None
        if isinstance(answer, WarmrootError):
            raise answer
        assert isinstance(answer, Learned)
        return answer


def _work(answer: Connection, ground: Ground, runtimes: Sequence[Jdk]) -> None:
    # A signal that comes while a program is being started, or a kill, leaves it to nobody but to our group.
    os.setpgrp()
    signal.signal(signal.SIGTERM, _interrupt)
    os.nice(YIELDING)
    learned = Learned()
    try:
        for jdk in runtimes:
            _learn(ground, jdk, learned)
        answer.send(learned)
    except WarmrootError as error:
        answer.send(error)
    except KeyboardInterrupt:
        return


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def _learn(ground: Ground, jdk: Jdk, learned: Learned) -> None:
    """A cold start that records under real requests, and the upload of what it recorded.

    Raises:
        ProgramDied: one of its steps did not come to its end.
    """
    name = f"JDK {jdk.version}"
    pod = ground.pod(f"{jdk.feature}-recorder", jdk)
    decided = pod.fetch("--record", *PATIENT)
    records = decided.outcome is Outcome.LEARNING
    learned.findings.append(claim(records, f"{name}: the first pod records", decided))
    with pod.application_container(signal.SIGTERM) as running:
        served = traffic.send(pod.application, running.port, count=TRAINING)
    learned.findings.append(claim(not served.unexpected, f"{name}: it answers well meanwhile", decided))
    learned.requests += len(served.latencies)
    pod.record()


def claim(holds: bool, what: str, decided: Decided) -> Finding:
    """A finding about a pod; where it does not hold, with what its init container had decided."""
    detail = f"{decided.outcome}: {'; '.join(decided.report.why)}"
    return Finding(holds, what, "" if holds else detail)

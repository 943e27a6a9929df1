"""Building an archive here and now, with a person watching who may not want to wait."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from jboost_server.local.agent import Agent, Ready, Service
from jboost_server.local.command import JavaCommand
from jboost_server.local.say import progress, say


class ToldToEnd(Exception):
    """Somebody sent a signal that ends us, but for the interrupt of a terminal."""


LAST_LINES = 12
"""Of a build that failed on a terminal, where lines replaced one another."""


def build(agent: Agent, service: Service, command: JavaCommand, ready: Ready, samples: int | None) -> bool:
    """Builds, measures and publishes: whether an archive is served then, or there was nothing to do.

    The agent's lines are shown as they come.

    Raises:
        KeyboardInterrupt, ToldToEnd: the person, or a signal, ended it; nothing half built is left.
        OSError: the agent can't be started.
    """
    lines: list[str] = []
    say("building the archive, which starts the application some times; Ctrl-C leaves it for later")
    with told_to_end(), progress() as shown, agent.build(service, command, ready, samples) as process:
        assert process.stderr is not None
        for line in process.stderr:
            words = line.rstrip().removeprefix("jboost build: ")
            if words and not words.startswith("NOTE: Picked up"):
                lines.append(words)
                shown.show(words)
        code = process.wait()
    if shown.vanishes:
        for words in lines[-1:] if code == 0 else lines[-LAST_LINES:]:
            say(words)
    return code == 0


@contextmanager
def told_to_end() -> Iterator[None]:
    """SIGTERM and SIGHUP raise ToldToEnd in the block."""

    def told(_: int, __: FrameType | None) -> NoReturn:
        raise ToldToEnd

    chosen = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, told) for number in chosen]
    try:
        yield
    finally:
        for number, handler in zip(chosen, before, strict=True):
            signal.signal(number, handler)

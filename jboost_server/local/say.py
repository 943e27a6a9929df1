"""Our own lines: few, on stderr, each with our name, so that nobody takes them for the application's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status

PREFIX = "jboost: "


def say(words: str) -> None:
    """One line. A stderr that is gone is no reason for anything to fail."""
    try:
        sys.stderr.write(f"{PREFIX}{words}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass


class Progress:
    """What goes on right now: a line that changes on a terminal, a line for each change elsewhere."""

    def __init__(self, status: Status | None) -> None:
        self._status = status
        self._last = ""

    @property
    def vanishes(self) -> bool:
        """Whether nothing of what was shown can be read any more."""
        return self._status is not None

    def show(self, words: str) -> None:
        """What goes on now."""
        if words == self._last:
            return
        self._last = words
        if self._status is None:
            say(words)
        else:
            from rich.markup import escape

            self._status.update(f"{PREFIX}{escape(words)}")


@contextmanager
def progress() -> Iterator[Progress]:
    """Shows progress until the block ends."""
    if not sys.stderr.isatty():
        yield Progress(None)
        return
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    with console.status(f"{PREFIX}the builder starts", spinner="line") as status:
        yield Progress(status)

"""What a Java application is to us: how it is started, when it is ready, and what it is asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Layout(Enum):
    """How an application's classes lie on the disk."""

    FAT = "fat jar"
    EXTRACTED = "extracted"


@dataclass(frozen=True)
class Request:
    """One HTTP request and the status that a healthy application answers with."""

    kind: str
    path: str
    status: int = 200
    method: str = "GET"
    body: str | None = None
    content: str = "application/json"
    """The body's type."""


Maker = Callable[[random.Random], Request]


@dataclass(frozen=True)
class Application:
    """A server that is started with `java <flags> -jar <jar> <arguments>`."""

    name: str
    jars: Mapping[Layout, Path]
    arguments: tuple[str, ...]
    """Of the application itself; `{port}` stands for its port."""
    ready: str
    """The path that answers 200 once it serves."""
    requests: tuple[Maker, ...]
    """Makers of requests of several kinds, each as likely as any other."""

    def command(
        self, java: Path, port: int, flags: Sequence[str] = (), layout: Layout | None = None
    ) -> list[str]:
        """The command line with absolute paths. Without `layout`: the only one, or the extracted one."""
        return [str(java), *flags, "-jar", str(self.jar(layout)), *self.tail(port)]

    def jar(self, layout: Layout | None = None) -> Path:
        """The jar behind `-jar`."""
        if layout is None:
            layout = Layout.EXTRACTED if Layout.EXTRACTED in self.jars else Layout.FAT
        return self.jars[layout]

    def tail(self, port: int) -> list[str]:
        """The application's own arguments."""
        return [word.format(port=port) for word in self.arguments]

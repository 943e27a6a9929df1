"""What threads of a process did, by the scheduler's own account: how long they ran, and waited to."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self


@dataclass(frozen=True)
class Spent:
    """Milliseconds of some threads together: on a core, and ready to run without one."""

    ran: float = 0.0
    waited: float = 0.0

    def __sub__(self, earlier: Spent) -> Spent:
        return Spent(self.ran - earlier.ran, self.waited - earlier.waited)

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.ran + other.ran, self.waited + other.waited)


class Threads:
    """Threads that there are when this opens; later ones are not seen.

    `which` gives process ids, each with what the threads' names begin with ("" for all of them).
    Their files in /proc stay open, so that asking costs microseconds. Source: proc(5), sched-stats.rst.

    Raises:
        OSError: a process has ended.
    """

    def __init__(self, *which: tuple[int, str]) -> None:
        self._files: list[BinaryIO] = []
        with ExitStack() as stack:
            for pid, name in which:
                for task in Path(f"/proc/{pid}/task").iterdir():
                    if (task / "comm").read_text().startswith(name):
                        file = (task / "schedstat").open("rb", buffering=0)
                        self._files.append(stack.enter_context(file))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __len__(self) -> int:
        return len(self._files)

    def spent(self) -> Spent:
        """Since they began. A thread that ended meanwhile counts nothing."""
        ran = waited = 0
        for file in self._files:
            try:
                fields = os.pread(file.fileno(), 100, 0).split()
            except ProcessLookupError:
                continue
            ran, waited = ran + int(fields[0]), waited + int(fields[1])
        return Spent(ran / 1e6, waited / 1e6)

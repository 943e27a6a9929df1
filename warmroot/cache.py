"""Where we keep what is slow to fetch or to make: one folder of the user's, named by WARMROOT_CACHE.

Set-up runs it before anything is installed: standard library only.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The cache folder: WARMROOT_CACHE, or `warmroot` in the user's cache folder. It may not exist yet."""
    if chosen := environ.get("WARMROOT_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "warmroot"


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds a file lock, so that two of us do one thing after the other.

    `waiting` is called once if another process holds it. The kernel frees it when its holder dies.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield

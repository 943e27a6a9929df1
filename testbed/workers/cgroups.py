"""The room that a worker has: one control group in each hierarchy (cgroups v1)."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_CPUSETS = ("cpuset.cpus", "cpuset.mems")
_WITHIN = 10.0


def lacking() -> str:
    """Why there can be no worker on this machine; empty if there can."""
    if not (ROOT / "memory" / "memory.limit_in_bytes").exists():
        return f"no control groups of version 1 in {ROOT}"
    return ""


def make(name: str) -> list[Path]:
    """A group of this name in each hierarchy.

    Raises:
        OSError: the kernel refused it.
    """
    made = []
    for hierarchy in sorted(path for path in ROOT.iterdir() if path.is_dir() and not path.is_symlink()):
        group = hierarchy / name
        group.mkdir()
        made.append(group)
        for file in _CPUSETS:
            if (group / file).exists():  # empty in a new group, and then it takes no process
                (group / file).write_text((hierarchy / file).read_text())
    return made


def remove(name: str) -> None:
    """Removes the groups and all below. Their processes are dead; the kernel may need a moment to see it.

    Raises:
        OSError: there are processes in one.
    """
    end = time.monotonic() + _WITHIN
    for group in ROOT.glob(f"*/{name}"):
        while group.exists():
            try:
                for folder in sorted((one for one in group.rglob("*") if one.is_dir()), reverse=True):
                    with suppress(FileNotFoundError):
                        folder.rmdir()
                group.rmdir()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

"""Settings that somebody changed by hand: what lies in /etc held against what was put there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from os_proxy.core.configuration import Rendered

MOST = 8
"""Files that a status names; the first by path."""
LONGEST = 512
"""Characters of one file's difference."""


@dataclass(frozen=True)
class Drift:
    """One file that is not what the settings say. `diff` is for a person."""

    path: str
    diff: str


def drift(wanted: Mapping[str, Rendered], found: Mapping[str, Rendered | None]) -> tuple[Drift, ...]:
    """What differs, by path. `found` has None for what is no plain file, and lacks what can't be told."""
    differing = (
        Drift(path, said[:LONGEST])
        for path, file in sorted(wanted.items())
        if path in found and (said := _difference(file, found[path]))
    )
    return tuple(one for _, one in zip(range(MOST), differing, strict=False))


def _difference(wanted: Rendered, found: Rendered | None) -> str:
    """What not everybody may read on the node, not everybody reads in the cluster either."""
    if found is None:
        return "it is gone, or no plain file"
    said = []
    if found.mode != wanted.mode:
        said.append(f"its mode is {found.mode:04o}, not {wanted.mode:04o}")
    if found.data != wanted.data:
        secret = not (wanted.mode & found.mode & 0o004)
        said.append("its content differs" if secret else _lines(wanted.data, found.data))
    return "\n".join(said)


def _lines(wanted: bytes, found: bytes) -> str:
    """Line by line, without the lines that are equal."""
    from difflib import unified_diff  # when it is needed: the proxy's memory is a promise

    try:
        before, after = (data.decode().splitlines() for data in (wanted, found))
    except UnicodeDecodeError:
        return f"{len(found)} bytes that are no text, not {len(wanted)} bytes"
    changed = [
        line for line in unified_diff(before, after, n=0, lineterm="") if line[:2] not in ("--", "++", "@@")
    ]
    return "\n".join(changed) or "only the ends of its lines differ"

"""The difference of two JSON documents as a JSON patch (RFC 6902) of `add`, `remove` and `replace`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Operation = dict[str, Any]


def diff(before: Any, after: Any) -> tuple[Operation, ...]:
    """What makes `after` of `before`, in the order in which it has to be done."""
    return tuple(_diff(before, after, ""))


def _diff(before: Any, after: Any, path: str) -> Iterator[Operation]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _members(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _items(before, after, path)
    elif not _same(before, after):
        yield {"op": "replace", "path": path, "value": after}


def _members(before: dict[str, Any], after: dict[str, Any], path: str) -> Iterator[Operation]:
    for key in sorted(before.keys() | after.keys()):
        here = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
        if key not in after:
            yield {"op": "remove", "path": here}
        elif key not in before:
            yield {"op": "add", "path": here, "value": after[key]}
        else:
            yield from _diff(before[key], after[key], here)


def _items(before: list[Any], after: list[Any], path: str) -> Iterator[Operation]:
    """Items that both begin and end with stay; what is between is changed one by one."""
    shorter = min(len(before), len(after))
    first = next((at for at in range(shorter) if not _same(before[at], after[at])), shorter)
    last = next(
        (at for at in range(shorter - first) if not _same(before[-1 - at], after[-1 - at])), shorter - first
    )
    old, new = before[first : len(before) - last], after[first : len(after) - last]
    common = min(len(old), len(new))
    for at in range(common):
        yield from _diff(old[at], new[at], f"{path}/{first + at}")
    for at in reversed(range(common, len(old))):
        yield {"op": "remove", "path": f"{path}/{first + at}"}
    for at in range(common, len(new)):
        yield {"op": "add", "path": f"{path}/{first + at}", "value": new[at]}


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: for Python, True is 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)

"""What a newer schema of a CRD takes away from objects that an older one let in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
_AT_MOST = ("maximum", "maxLength", "maxItems", "maxProperties")
_AT_LEAST = ("minimum", "minLength", "minItems", "minProperties")
_SAME = (
    "type",
    "format",
    "pattern",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
)
"""What may not change at all: whether another pattern lets the same through, no program can say."""


def narrowed(old: Schema, new: Schema, path: str = "") -> Iterator[str]:
    """Each change for which a stored object could be refused, pruned or understood in another way.

    `PATH: KEY` and what it was and is; nothing for fields, values and room that came on top.
    """
    for key in _SAME:
        if old.get(key) != new.get(key):
            yield f"{path}: {key} {old.get(key)} -> {new.get(key)}"
    for key in (*_AT_MOST, *_AT_LEAST):
        was, is_now = old.get(key), new.get(key)
        sign = 1 if key in _AT_MOST else -1
        if is_now is not None and (was is None or sign * is_now < sign * was):
            yield f"{path}: {key} {was} -> {is_now}"
    yield from _values(old, new, path)
    known = {one["rule"] for one in old.get("x-kubernetes-validations", ())}
    for one in new.get("x-kubernetes-validations", ()):
        if one["rule"] not in known:
            yield f"{path}: rule {one['message']}"
    yield from _fields(old, new, path)


def _values(old: Schema, new: Schema, path: str) -> Iterator[str]:
    if "enum" in new and (lost := sorted(set(old.get("enum", ("anything",))) - set(new["enum"]))):
        yield f"{path}: enum without {', '.join(lost)}"
    if "default" in old and old["default"] != new.get("default"):
        yield f"{path}: default {old['default']} -> {new.get('default')}"


def _fields(old: Schema, new: Schema, path: str) -> Iterator[str]:
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{path}.{name}: required"
    later = new.get("properties", {})
    for name, schema in old.get("properties", {}).items():
        if name in later:
            yield from narrowed(schema, later[name], f"{path}.{name}")
        else:
            yield f"{path}.{name}: removed"
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in old:
            yield from narrowed(old[key], new.get(key, {}), path + mark)

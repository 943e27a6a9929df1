"""Canonical JSON: one value has one sequence of bytes, so that digests and signatures mean something.

Sorted keys, no white space, UTF-8 without escapes beyond what JSON demands, integers only. For such values
that is what RFC 8785 prescribes too. A decoder takes every key with its type through `Fields`, encodes what
it got and compares: nothing but the canonical form is accepted.
"""

from __future__ import annotations

import json
import re
from typing import Any, cast

MAX_INTEGER = 2**53 - 1
"""Every JSON reader keeps integers up to here exact."""
_HEX = re.compile(r"(?:[0-9a-f]{2})*")


def encode(tree: Any) -> bytes:
    """The only form of a tree of dicts, lists, strings, integers, booleans and None."""
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Fields:
    """One JSON object, from which every key must be taken, each with its type.

    What is not as it should be is a ValueError that names the field.
    """

    def __init__(self, where: str, tree: object) -> None:
        check(isinstance(tree, dict), f"{where} is not an object")
        self.where = where
        self.left = dict(cast("dict[str, object]", tree))

    def take(self, key: str) -> object:
        """The value of a key, of any type.

        Raises:
            ValueError: there is no such key, or it was taken before.
        """
        check(key in self.left, f"{self.where} lacks {key}")
        return self.left.pop(key)

    def text(self, key: str) -> str:
        """A string.

        Raises:
            ValueError: there is none.
        """
        value = self.take(key)
        check(isinstance(value, str), f"{self.where}.{key} is not a string")
        return cast("str", value)

    def integer(self, key: str) -> int:
        """An integer; true and false are none.

        Raises:
            ValueError: there is none.
        """
        value = self.take(key)
        check(type(value) is int, f"{self.where}.{key} is not an integer")
        return cast("int", value)

    def boolean(self, key: str) -> bool:
        """True or false.

        Raises:
            ValueError: there is neither.
        """
        value = self.take(key)
        check(isinstance(value, bool), f"{self.where}.{key} is neither true nor false")
        return cast("bool", value)

    def hex(self, key: str) -> bytes:
        """Bytes that are spelled in lower-case hex.

        Raises:
            ValueError: there are none, or they are spelled otherwise.
        """
        value = self.text(key)
        check(bool(_HEX.fullmatch(value)), f"{self.where}.{key} is not lower-case hex")
        return bytes.fromhex(value)

    def items(self, key: str) -> list[object]:
        """A list of anything.

        Raises:
            ValueError: there is none.
        """
        value = self.take(key)
        check(isinstance(value, list), f"{self.where}.{key} is not a list")
        return cast("list[object]", value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings.

        Raises:
            ValueError: there is none, or it holds something else.
        """
        values = self.items(key)
        check(all(isinstance(value, str) for value in values), f"{self.where}.{key} is not a list of strings")
        return tuple(cast("list[str]", values))

    def finish(self) -> None:
        """Everything was taken.

        Raises:
            ValueError: keys are left, which are named.
        """
        check(not self.left, f"{self.where} has unknown {', '.join(sorted(self.left))}")


def check(holds: bool, message: str) -> None:
    """A rule that input has to keep.

    Raises:
        ValueError: it does not hold; with this message.
    """
    if not holds:
        raise ValueError(message)


def check_integer(field: str, value: int, *, least: int) -> None:
    """An integer of input is in `least` to MAX_INTEGER.

    Raises:
        ValueError: it is outside.
    """
    check(least <= value <= MAX_INTEGER, f"{field} {value} is outside {least}..{MAX_INTEGER}")

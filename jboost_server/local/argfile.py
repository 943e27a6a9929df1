"""The java launcher's argument files, `@FILE`: quotes with escapes inside, comments, lines that go on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from warmroot.errors import UserError

_CONTROL = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_BLANK = " \t\f"
_END = "\n\r"
_GOES_ON = re.compile(r"[\n\r \t\f]*")


def read(name: str) -> list[str]:
    """The words of an argument file. An `@` among them is nothing special.

    Raises:
        UserError: there is no such file, or it can't be read.
    """
    path = Path(name)
    try:
        if not path.is_file():  # a pipe can be read once, and the launcher comes after us
            raise UserError(f"{name} is no argument file", hint="check the name after the @")
        return list(words(os.fsdecode(path.read_bytes())))
    except OSError as error:
        raise UserError(
            f"the argument file {name} can't be read: {error.strerror}", hint="check its rights"
        ) from error


def words(text: str) -> Iterator[str]:
    """The words in the text of an argument file, as the launcher of JDK 17 to 25 finds them."""
    word: list[str] | None = None
    quote, at = "", 0
    while at < len(text):
        here = text[at]
        at += 1
        if quote and here == "\\" and at < len(text):
            at = _escaped(text, at, word := word or [])
        elif quote and here == quote:
            quote = ""
        elif here in _END or (not quote and here in _BLANK):
            if word is not None:
                yield "".join(word)
            word, quote = None, ""  # the end of a line ends a quote, too
        elif not quote and here in "\"'":
            word, quote = word or [], here
        elif not quote and here == "#":
            while at < len(text) and text[at] not in _END:
                at += 1
            word = None  # the launcher forgets a word that runs into a comment
        else:
            word = word or []
            word.append(here)
    if word:
        yield "".join(word)  # an empty word at the very end is none for the launcher


def _escaped(text: str, at: int, word: list[str]) -> int:
    """Adds what a backslash before `at` means; where it goes on."""
    here = text[at]
    if here in _END:
        found = _GOES_ON.match(text, at)
        assert found is not None
        return found.end()
    word.append(_CONTROL.get(here, here))
    return at + 1

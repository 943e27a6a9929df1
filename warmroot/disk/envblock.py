"""GRUB's environment block, for any 512 bytes: what `load_env` sees and what `save_env` leaves.

A sound boot record needs none of these corners. A damaged one does: its bytes must mean to us exactly what
they mean to GRUB, or the two disagree about a slot. Facts, from GRUB 2.06's documentation and source and
checked against the real loader by `tests/vm`:

- The block must begin with the signature; otherwise `load_env` and `save_env` both fail.
- A line that begins with `#` is skipped, to its unescaped newline. Padding is `#`.
- Otherwise a name runs to the next `=`, whatever is between, newlines too; no `=` ends the reading.
- A value runs to the next newline; a backslash takes the next byte literally; no newline ends the reading.
- Names and values are C strings: a zero byte ends them. The last value of a name wins.
- `save_env` overwrites the *first* line of a name, or appends one. It refuses a block whose last byte before
  the padding is not a newline, or that has no room; then nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping

SECTOR = 512
SIGNATURE = b"# GRUB Environment Block\n"
_ESCAPE, _NEWLINE, _PADDING, _EQUALS = b"\\"[0], b"\n"[0], b"#"[0], b"="[0]


def pack(values: Mapping[bytes, bytes]) -> bytes:
    """A fresh block of `SECTOR` bytes. Names and values are plain: no newline, backslash or zero byte."""
    lines = b"".join(name + b"=" + value + b"\n" for name, value in values.items())
    return (SIGNATURE + lines).ljust(SECTOR, b"#")


def load(block: bytes) -> dict[bytes, bytes] | None:
    """All variables in the block, None without a signature."""
    if len(block) != SECTOR or not block.startswith(SIGNATURE):
        return None
    values: dict[bytes, bytes] = {}
    at = len(SIGNATURE)
    while at < SECTOR:
        if block[at] != _PADDING:
            equals = block.find(_EQUALS, at)
            if equals < 0:
                break
            end = _value_end(block, equals + 1)
            if end >= SECTOR:
                break
            values[_c_string(block[at:equals])] = _c_string(_unescaped(block[equals + 1 : end]))
            at = end
        at = _value_end(block, at) + 1
    return values


def save(block: bytes, values: Mapping[bytes, bytes]) -> bytes | None:
    """The block after `save_env` of these variables, None if GRUB refuses and writes nothing.

    Values are plain, as for `pack`.
    """
    if len(block) != SECTOR or not block.startswith(SIGNATURE):
        return None
    changed = bytearray(block)
    for name, value in values.items():
        if not _set(changed, name, value):
            return None
    return bytes(changed)


def _value_end(block: bytes | bytearray, at: int) -> int:
    """Where the next unescaped newline is; `SECTOR` or more if there is none."""
    while at < SECTOR and block[at] != _NEWLINE:
        at += 2 if block[at] == _ESCAPE else 1
    return at


def _unescaped(value: bytes) -> bytes:
    plain, at = bytearray(), 0
    while at < len(value):
        at += value[at] == _ESCAPE
        plain += value[at : at + 1]
        at += 1
    return bytes(plain)


def _c_string(text: bytes) -> bytes:
    return text.split(b"\0", 1)[0]


def _set(block: bytearray, name: bytes, value: bytes) -> bool:
    """Set one variable in place; False where GRUB calls the block broken or full."""
    space = len(bytes(block).rstrip(b"#"))
    if block[space - 1] != _NEWLINE:
        return False
    at = _find(block, name, space)
    if at is None:
        line = name + b"=" + value + b"\n"
        if SECTOR - space < len(line):
            return False
        block[space : space + len(line)] = line
        return True
    end = _value_end(block, at)
    if end >= SECTOR or SECTOR - space < len(value) - (end - at):
        return False
    _replace(block, at, end, value, space)
    return True


def _find(block: bytearray, name: bytes, space: int) -> int | None:
    """Where the first value of a name begins."""
    line = name + b"="
    at = len(SIGNATURE)
    while at + len(line) < space:
        if block[at : at + len(line)] == line:
            return at + len(line)
        at = _value_end(block, at) + 1
    return None


def _replace(block: bytearray, at: int, end: int, value: bytes, space: int) -> None:
    """Put a value in the place of one that ends at `end`; what follows moves, and padding fills the gap."""
    shrink = (end - at) - len(value)
    rest = bytes(block[end:])
    if shrink > 0:
        block[at + len(value) : at + len(value) + len(rest)] = rest
        block[space - shrink : space] = b"#" * shrink
    else:
        block[at + len(value) :] = rest[: SECTOR - at - len(value)]
    block[at : at + len(value)] = value
    block[at + len(value)] = _NEWLINE

"""Class lists of `-XX:DumpLoadedClassList`, read as what they are: text that a stranger uploaded.

A list is read as a stream; neither an endless list nor an endless line is ever held. What the JDK would
refuse is refused here, because there one bad line costs the whole archive ("class list format error") or,
worse, silently all generated forms: then the dump ends with code 0 and an `[error][cds]` in its log. The
rules for `@lambda-form-invoker` are therefore narrower than the grammar; ADR 10 has what was tried.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from typing import TypeVar

from warmroot.errors import BadLine, EmptyRecording, ForeignSource, LineTooLong, NotText, TooLarge, UnknownTag

T = TypeVar("T")

MAX_LINE = 4096
"""The JDK's limit of a line, in bytes without its end; one byte more and the dump fails."""
OLDEST = 17
"""The first feature version whose lists are known."""
_FIRST_WITH_CONSTANTS = 22
"""`@cp` lines: 21 writes none and 17 refuses them, 25 does."""


class Kind(Enum):
    """What a line stands for."""

    CLASS = "class"
    """A class of the JDK's own loaders."""
    CUSTOM = "custom"
    """A class of a loader of the application's."""
    PROXY = "lambda-proxy"
    FORM = "lambda-form-invoker"
    CONSTANTS = "cp"
    """Constant pool indexes: true only of exactly these jar bytes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `text` has neither `id:` nor an end: it means the same in every list of its JDK."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Limits:
    """How much one list may hold: bytes, and lines of any kind."""

    size: int = 64 * 2**20
    lines: int = 500_000


DEFAULT_LIMITS = Limits()

_SEGMENT = r"[^\x00-\x20\x7f.;\[/]+"
_NAME = rf"{_SEGMENT}(?:/{_SEGMENT})*"
_FIELD_TYPE = rf"\[*(?:[BCDFIJSZ]|L{_NAME};)"
_DESCRIPTOR = re.compile(rf"\((?:{_FIELD_TYPE})*\)(?:V|{_FIELD_TYPE})")
_CLASS = re.compile(rf"(?P<name>(?![@#]){_NAME})(?: id: [0-9]{{1,9}}(?P<custom> super: .*)?)?")
_CUSTOM = re.compile(
    r" super: [0-9]{1,9}(?: interfaces:(?: [0-9]{1,9})+)? source: (?P<source>[^\x00-\x1f\x7f]+)"
)
_CLASS_NAME = re.compile(_NAME)
_METHOD = re.compile(r"[^\x00-\x20\x7f.;\[/]+")
_REFERENCE = re.compile(r"REF_(?:invoke(?:Virtual|Static|Special|Interface)|newInvokeSpecial)")
_FORM_HOLDER = re.compile(
    r"java\.lang\.invoke\.(DirectMethodHandle|DelegatingMethodHandle|Invokers|LambdaForm)\$Holder"
)
_WITH_RECEIVER = {"invokeVirtual", "invokeInterface", "invokeSpecialIFC"}
_DIRECT = _WITH_RECEIVER | {*("invokeStatic", "invokeStaticInit", "invokeSpecial", "newInvokeSpecial")}
_FORM_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_FORM_TYPE = re.compile(r"((?:[LIJFD](?:[1-9][0-9]{0,2})?)*)_[LIJFDV]")
_FORM_RUN = re.compile(r"([LIJFD])([0-9]*)")
_SPECIES = re.compile(
    r"java\.lang\.invoke\.(?:SimpleMethodHandle|BoundMethodHandle\$Species_((?:[LIJFD](?:[1-9][0-9]{0,2})?)+))"
)
_CONSTANTS = re.compile(rf"@cp {_NAME}(?: [0-9]{{1,5}})*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MAX_SLOTS = 250
"""Arguments of a form, with long and double as two: the JVM's 255 less what invoking adds."""


def parse(
    chunks: Iterable[bytes], *, feature: int, class_path: Collection[str], limits: Limits = DEFAULT_LIMITS
) -> Iterator[Entry]:
    """The entries of one list, as its bytes come in.

    `feature` is the JDK that wrote it (17, 21, 25), `class_path` the absolute paths of the recorded class
    path. Comments and blank lines are passed over, and so is a last line without an end: the JVM flushes
    whole lines, so that one is what a kill left of it.

    Raises:
        UploadError: one of its leaves, which names the line's number. What was yielded before is void then.
    """
    kinds_seen: set[Kind] = set()
    for number, line in enumerate(_lines(chunks, limits), 1):
        if not line or line.startswith("#"):
            continue
        try:
            entry = parse_line(line, feature=feature, class_path=class_path)
        except (BadLine, UnknownTag, ForeignSource) as error:
            raise type(error)(f"line {number}: {error.message}") from None
        kinds_seen.add(entry.kind)
        yield entry
    if Kind.CLASS not in kinds_seen:
        raise EmptyRecording("a class list without one class")


def parse_line(line: str, *, feature: int, class_path: Collection[str] = ()) -> Entry:
    """The entry of one line, which has no end and is no comment.

    Raises:
        ValueError: no lists of such a JDK are known.
        BadLine: it breaks the grammar, or the JDK could not use it.
        UnknownTag: this JDK writes no such tag.
        ForeignSource: its class came from a file outside the class path.
    """
    if feature < OLDEST:
        raise ValueError(f"class lists of JDK {feature} are not known")
    if _CONTROL.search(line):
        raise BadLine(f"control characters in {_shown(line)}")
    if not line.startswith("@"):
        return _class(line, class_path)
    tag, *fields = line.split(" ")
    if tag == "@lambda-proxy":
        return _proxy(line, fields)
    if tag == "@lambda-form-invoker":
        return _form(line, fields, feature)
    if tag == "@cp" and feature >= _FIRST_WITH_CONSTANTS:
        _check(_CONSTANTS.fullmatch(line), line, "is not `@cp Class index…`")
        return Entry(Kind.CONSTANTS, line)
    raise UnknownTag(f"JDK {feature} writes no {_shown(tag)}")


def _lines(chunks: Iterable[bytes], limits: Limits) -> Iterator[str]:
    """Whole lines. At most one chunk and one line are held."""
    rest = b""
    size = count = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limits.size:
            raise TooLarge(f"a class list of more than {limits.size} bytes")
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            count += 1
            if count > limits.lines:
                raise TooLarge(f"a class list of more than {limits.lines} lines")
            yield _text(line, count)
        _check_length(rest, count + 1)


def _text(line: bytes, number: int) -> str:
    _check_length(line, number)
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise NotText(f"line {number} is not UTF-8 from byte {error.start} on") from None


def _check_length(line: bytes, number: int) -> None:
    if len(line) > MAX_LINE:
        raise LineTooLong(f"line {number} has more than {MAX_LINE} bytes")


def _class(line: str, class_path: Collection[str]) -> Entry:
    match = _check(_CLASS.fullmatch(line), line, "is no class")
    if match["custom"] is None:
        return Entry(Kind.CLASS, match["name"])
    custom = _check(_CUSTOM.fullmatch(match["custom"]), line, "needs id, super and source together")
    if custom["source"] not in class_path:
        raise ForeignSource(f"{_shown(custom['source'])} is not on the class path")
    return Entry(Kind.CUSTOM, match["name"])


def _proxy(line: str, fields: list[str]) -> Entry:
    _check(len(fields) == 9, line, "is a lambda proxy without its nine fields")
    caller, interface_method, factory, erased, reference, owner, method, implementation, instantiated = fields
    for name in (caller, owner):
        _check(_CLASS_NAME.fullmatch(name), line, f"has {_shown(name)} for a class")
    for name in (interface_method, method):
        _check(_METHOD.fullmatch(name), line, f"has {_shown(name)} for a method")
    for descriptor in (factory, erased, implementation, instantiated):
        _check(_DESCRIPTOR.fullmatch(descriptor), line, f"has {_shown(descriptor)} for a descriptor")
    _check(_REFERENCE.fullmatch(reference), line, f"has {_shown(reference)} for a kind of reference")
    return Entry(Kind.PROXY, line)


def _form(line: str, fields: list[str], feature: int) -> Entry:
    if fields[:1] == ["[SPECIES_RESOLVE]"]:
        _check(len(fields) == 2, line, "is a species without its one field")
        species = _check(_SPECIES.fullmatch(fields[1]), line, f"has {_shown(fields[1])} for a species")
        _expanded(species[1] or "", line)
        return Entry(Kind.FORM, line)
    _check(fields[:1] == ["[LF_RESOLVE]"], line, "is neither [LF_RESOLVE] nor [SPECIES_RESOLVE]")
    _check(len(fields) == 4, line, "is a form without its three fields")
    _, holder, name, form_type = fields
    owner = _check(_FORM_HOLDER.fullmatch(holder), line, f"has {_shown(holder)} for a holder")
    _check(_FORM_NAME.fullmatch(name), line, f"has {_shown(name)} for a form")
    parts = _check(_FORM_TYPE.fullmatch(form_type), line, f"has {_shown(form_type)} for a type")
    parameters = _expanded(parts[1], line)
    _check(_shortened(parameters) == parts[1], line, "spells its type otherwise than the JDK")
    _check(_usable(owner[1], name, parameters, feature), line, "lacks an object where its form has one")
    _check(name != "newInvokeSpecial" or form_type.endswith("_L"), line, "makes what is no object")
    return Entry(Kind.FORM, line)


def _usable(holder: str, name: str, parameters: str, feature: int) -> bool:
    """Whether the JDK's generator of forms would take these basic types; it gives all forms up over one."""
    if holder == "DirectMethodHandle" and name in _DIRECT:
        return parameters.startswith("LL" if name in _WITH_RECEIVER else "L")
    if holder != "Invokers":
        return bool(parameters)
    if name in {"linkToTargetMethod", "linkToCallSite"}:
        return parameters.endswith("L")
    if feature >= 25 and name.endswith("nvoker"):
        return parameters.startswith("LL")
    return len(parameters) >= 2 and parameters[0] == parameters[-1] == "L"


def _expanded(runs: str, line: str) -> str:
    """One letter an argument."""
    found = [(basic, int(repeat or 1)) for basic, repeat in _FORM_RUN.findall(runs)]
    slots = sum(count * (2 if basic in "JD" else 1) for basic, count in found)
    _check(slots <= MAX_SLOTS, line, f"has more than {MAX_SLOTS} slots")
    return "".join(basic * count for basic, count in found)


def _shortened(parameters: str) -> str:
    """As the JDK spells the type of a form. It does not know another spelling for the same method."""
    lengths = ((basic, len(list(run))) for basic, run in groupby(parameters))
    return "".join(f"{basic}{count}" if count > 2 else basic * count for basic, count in lengths)


def _check(found: T | None, line: str, what: str) -> T:
    if not found:
        raise BadLine(f"{_shown(line)} {what}")
    return found


def _shown(text: str) -> str:
    """For a message: short, and with nothing in it that a terminal obeys."""
    return ascii(text if len(text) <= 80 else text[:77] + "…")

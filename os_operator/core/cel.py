"""CEL about one object: does an expression compile, and what does it say?

The library is Google's own, in C++ (ADR 25). It is imported when the first expression is met: most operators
never meet one. It bounds itself to 32 levels of nesting and 10,000 steps of loops; memory and time are
bounded by the process that `evaluate` runs in (`shell.sandbox`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

LONGEST = 200
"""Characters of the library's own words that are passed on."""
_CODES = re.compile(r"^([A-Z_]+: )*(<input>:)?| \[[A-Z_]+\]$")
HOLDS, NO_FIELD, NOT_TRUE = "Holds", "NoField", "NotTrue"
NOT_A_BOOL, FAILED, TOO_DEAR = "NotABool", "CelFailed", "CelTooDear"


class Said(NamedTuple):
    """`kind`: one of the words above. Those other than Holds are members of `CheckReason`."""

    kind: str
    detail: str = ""


@lru_cache(maxsize=1)
def _environment() -> Any:
    from cel_expr_python import cel

    return cel.NewEnv(variables={"object": cel.Type.DYN})


@lru_cache(maxsize=256)
def problem(text: str) -> str:
    """What is wrong with an expression, or nothing."""
    try:
        result = _environment().compile(text).return_type().name()
    except RuntimeError as error:
        return _said(error)
    if result not in ("BOOL", "DYN"):
        return f"it gives a {result.lower()}; write a comparison, which gives true or false"
    return ""


def evaluate(text: str, seen: Any) -> Said:
    """What an expression that compiles says of an object, as plain JSON values."""
    try:
        value = _environment().compile(text).eval(data={"object": seen})
    except RuntimeError as error:
        dear = "budget exceeded" in str(error)
        return Said(TOO_DEAR if dear else FAILED, _said(error))
    except (OverflowError, TypeError, ValueError) as error:  # a number that CEL does not have
        return Said(FAILED, _said(error))
    kind, plain = value.type().name(), value.value()
    if kind == "ERROR":
        absent = str(plain).startswith("NOT_FOUND")
        return Said(NO_FIELD if absent else FAILED, _said(plain))
    if plain is True:
        return Said(HOLDS)
    if plain is False:
        return Said(NOT_TRUE, "it is false")
    return Said(NOT_A_BOOL, f"it gives a {kind.lower()}")


def _said(error: object) -> str:
    """The library's word on one line, without its codes and its drawing of where."""
    line = str(error).split("\n", 1)[0].strip()
    return _CODES.sub("", line).removesuffix(" (in container '')")[:LONGEST]

"""Takes out of objects and logs what nobody should send to strangers: passwords, tokens, keys.

What may hold one is taken out as a whole, whatever it holds: values of environment variables, credentials in
addresses, whatever stands behind a word such as `password`. Names stay, so that one sees what was there.
"""

from __future__ import annotations

import re
from typing import Any

OUT = "(left out)"
_DROPPED = frozenset({"managedFields", "kubectl.kubernetes.io/last-applied-configuration"})
_WORDS = (
    "pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|authorization"
    "|api[-_]?key|access[-_]?key|private[-_]?key"
)
_NAMED = re.compile(rf"(?:^|[-_.]|(?<=[a-z])(?=[A-Z]))(?:{_WORDS})$", re.IGNORECASE)
"""A field of such a name, as `clientSecret` or `db-password`: its text is left out."""
_FILES = frozenset({"content", "contents"})
"""Of files that settings put on nodes: nobody knows what is in them."""
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL), OUT),
    (re.compile(r"\beyJ[\w-]+\.[\w-]*\.?[\w-]*"), OUT),  # a JSON web token
    (re.compile(r"\b((?:A3T[A-Z0-9]|AKIA|ASIA)[A-Z0-9]{12,})\b"), OUT),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), rf"\1 {OUT}"),
    (re.compile(r"(?i)([a-z][a-z0-9+.-]*://)[^\s/@'\"]+@"), rf"\1{OUT}@"),
    (re.compile(r"(?i)([?&](?:x-amz-[a-z-]*|signature|sig|token|key|code)=)[^&\s'\"]+"), rf"\1{OUT}"),
    (re.compile(rf'(?i)((?:{_WORDS})["\']?\s*[=:]\s*)"(?:[^"\\]|\\.)*"'), rf'\1"{OUT}"'),
    (
        re.compile(rf"(?i)((?:{_WORDS})[\"']?\s*[=:]\s*)(?:'[^']*'|(?!\"|\(left)[^\s,;&\"'}}\]]+)"),
        rf"\1{OUT}",
    ),
    (re.compile(rf"(?i)(--[\w-]*(?:{_WORDS})\s+)(?!-)[^\s\"']+"), rf"\1{OUT}"),
)


def text(said: str) -> str:
    """A log, or any other text, without secrets that have the form of one or a name before them."""
    for pattern, instead in _RULES:
        said = pattern.sub(instead, said)
    return said


def value(found: Any) -> Any:
    """An object of the API, or a part of it; a copy.

    Environment variables keep their names alone, Secrets their keys.
    """
    if isinstance(found, dict):
        kept = {name: one for name, one in found.items() if name not in _DROPPED}
        if kept.get("kind") == "Secret":
            kept |= {
                part: dict.fromkeys(kept[part], OUT) for part in ("data", "stringData") if kept.get(part)
            }
        return {name: _field(name, one) for name, one in kept.items()}
    if isinstance(found, list):
        return _words(found)
    return text(found) if isinstance(found, str) else found


def _field(name: str, found: Any) -> Any:
    if name == "env" and isinstance(found, list):
        return [_variable(one) for one in found]
    if isinstance(found, str) and (name in _FILES or _NAMED.search(name)):
        return OUT
    return value(found)


def _variable(one: Any) -> Any:
    return one | {"value": OUT} if isinstance(one, dict) and "value" in one else value(one)


def _words(found: list[Any]) -> list[Any]:
    """A list, in which a command's option and its value may be two words."""
    made, secret = [], False
    for one in found:
        made.append(OUT if secret and isinstance(one, str) and not one.startswith("-") else value(one))
        secret = isinstance(one, str) and one.startswith("-") and "=" not in one and bool(_NAMED.search(one))
    return made

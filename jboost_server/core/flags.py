"""Flags that a builder may say its archive needs: few, as they reach every pod that uses the archive."""

from __future__ import annotations

import re

_SWITCHES = (
    "AOTClassLinking|AOTInvokeDynamicLinking|AOTAdapterCaching|AOTStubCaching|UnlockDiagnosticVMOptions"
)
_ALLOWED = re.compile(
    rf"-XX:[+-](?:{_SWITCHES}|UseCompressedOops|UseCompressedClassPointers|UseCompactObjectHeaders)"
    r"|-Xshare:auto"
    r"|--add-modules=[a-z][a-zA-Z0-9_.]*(?:,[a-z][a-zA-Z0-9_.]*){0,31}"
)


def allowed(flag: str) -> bool:
    """Whether a pod may be told to use this flag: what loads code, runs programs or writes files is not."""
    return bool(_ALLOWED.fullmatch(flag))

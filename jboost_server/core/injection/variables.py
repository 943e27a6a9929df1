"""The application's Java variables by another name: the agent reads them, and its own JVM does not."""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Any

from jboost_server.core.injection.application import VARIABLES

ASIDE = "JBOOST_"
"""Before a variable's name; the agent takes what is in it for the application's."""
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z0-9_]+)\)")
"""As Kubernetes expands it: `$(NAME)` in values, and `$$` for one `$`."""
Object = dict[str, Any]


def put_aside(env: list[Object]) -> list[Object]:
    """Java variables by their other names, and nothing by their own, whatever the image has there."""
    names = named(env)
    renamed = [
        _referring({**one, "name": ASIDE + one["name"]} if one["name"] in names else one, names)
        for one in env
    ]
    return [*renamed, *({"name": name, "value": ""} for name in VARIABLES if name in names)]


def named(env: list[Object]) -> frozenset[str]:
    """The Java variables that are set here."""
    return frozenset(one["name"] for one in env).intersection(VARIABLES)


def referring(text: str, names: Set[str]) -> str:
    """A text of the container whose references to these variables are to their other names."""
    return _REFERENCE.sub(lambda found: f"$({ASIDE}{found[1]})" if found[1] in names else found[0], text)


def taken_back(one: Object) -> Object:
    """A variable as it was before it was put aside."""
    back = {**one, "name": one["name"].removeprefix(ASIDE)}
    if "value" not in one:
        return back
    aside = {ASIDE + name for name in VARIABLES}
    value = _REFERENCE.sub(
        lambda found: f"$({found[1].removeprefix(ASIDE)})" if found[1] in aside else found[0], one["value"]
    )
    return {**back, "value": value}


def _referring(one: Object, names: Set[str]) -> Object:
    return {**one, "value": referring(one["value"], names)} if isinstance(one.get("value"), str) else one

"""What of a container the agent can start its work from: the java command in it, or why there is none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from jboost_server.core.injection.reason import Left, Reason

OPTIONS = "JDK_JAVA_OPTIONS"
OURS = "/jboost"
"""Folder of all that is mounted into a container."""
VARIABLES = (OPTIONS, "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS")
"""In which every JVM of a container finds options."""
_WRAPPERS = frozenset({"tini", "dumb-init", "catatonit"})
"""Programs that start what follows in their command, and wait for it."""
Object = dict[str, Any]


@dataclass(frozen=True)
class Application:
    """A container's java command: the launcher, and all words with the launcher first."""

    launcher: str
    words: tuple[str, ...]


def application_of(container: Object) -> Application | Left:
    """The java command that a container starts, or why the container is left as it is."""
    name = container["name"]
    if not container.get("command"):
        return Left(
            Reason.ENTRYPOINT_UNKNOWN,
            f"container {name} has no `command`, and what its image starts can't be seen:"
            " write the image's entrypoint there",
        )
    words = [str(word) for word in (*container["command"], *(container.get("args") or ()))]
    start = 0
    if _program(words[0]) in _WRAPPERS:
        start = next((at for at, word in enumerate(words) if _program(word) == "java"), 0)
    if _program(words[start]) != "java":
        return Left(
            Reason.NOT_JAVA,
            f"container {name} starts {words[0]}, not java: write the java command there, word by word",
        )
    if refusal := _refusal(container):
        return refusal
    return Application(words[start], tuple(words[start:]))


def readiness(container: Object) -> str:
    """The URL within the pod that says when the application is ready, by its probes; empty without one."""
    for probe in ("startupProbe", "readinessProbe"):
        asked = (container.get(probe) or {}).get("httpGet")
        if asked and asked.get("scheme", "HTTP") == "HTTP":
            path, port = str(asked.get("path") or "/"), _port(container, asked.get("port"))
            if port:
                return f"http://127.0.0.1:{port}/{path.removeprefix('/')}"
    return ""


def _port(container: Object, port: object) -> int:
    """The number of a port that may be named; 0 if there is none of that name."""
    if isinstance(port, int):
        return port
    named = (one for one in container.get("ports") or () if one.get("name") == port)
    return next((int(one["containerPort"]) for one in named), 0)


def _refusal(container: Object) -> Left | None:
    name = container["name"]
    for mount in container.get("volumeMounts") or ():
        path = str(mount.get("mountPath", "")).rstrip("/")
        if path == OURS or path.startswith(f"{OURS}/"):
            return Left(Reason.PATH_TAKEN, f"container {name} has a volume at {path}")
    if f"$({OPTIONS})" in json.dumps(
        [
            [one for one in container.get("env") or () if one.get("name") != OPTIONS],
            [container.get(part) for part in ("command", "args", "volumeMounts")],
        ]
    ):
        return Left(Reason.REFERENCED, f"container {name} uses $({OPTIONS}) elsewhere")
    return None


def _program(word: str) -> str:
    return word.rpartition("/")[2]

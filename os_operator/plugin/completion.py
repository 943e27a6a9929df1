"""`kubectl_complete-warmroot`: what the shell completion of kubectl asks a plugin. It never fails loudly."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

from os_operator.core.parse import os_view
from os_operator.plugin.cli import app
from warmroot.errors import WarmrootError
from warmroot.kube.cluster import NODE, OS, Cluster, connect
from warmroot.kube.transport import KubernetesTransport

_OF_NO_OS = ("why", "support-bundle")
NO_FILES, DEFAULT = 4, 0
"""cobra's ShellCompDirectives: these are all; complete as the shell would."""


def complete(words: Sequence[str], cluster: Callable[[], Cluster]) -> list[str]:
    """Lines for the words so far, of which the last one may be half or empty: candidates, then the directive.

    `cluster` is asked for only where names are needed.
    """
    before, begun = list(words[:-1]), words[-1] if words else ""
    plain = [word for word in before if not word.startswith("-")]
    if before and before[-1] in ("-o", "--output"):
        return _lines(["text", "json"], begun)
    if before and before[-1] in ("-f", "--file", "--kubeconfig"):
        return [f":{DEFAULT}"]
    if not plain:
        return _lines([f"{verb}\t{about}" for verb, about in _verbs().items()], begun)
    return _lines(_names(plain, cluster), begun)


def _verbs() -> dict[str, str]:
    """The verbs, each with the first sentence of what it says of itself."""
    found = ((command.name, command.callback) for command in app.registered_commands)
    return {
        name or one.__name__: (one.__doc__ or "").partition(".")[0] for name, one in found if one is not None
    }


def _names(plain: Sequence[str], cluster: Callable[[], Cluster]) -> list[str]:
    verb, given = plain[0], plain[1:]
    if verb == "why" and not given:
        return [item["metadata"]["name"] for item in cluster().list(NODE).items]
    if verb in _verbs() and verb not in _OF_NO_OS and not given:
        return [item["metadata"]["name"] for item in cluster().list(OS).items]
    if verb == "approve" and len(given) == 1:
        spec = os_view(cluster().get(OS, given[0])).spec
        return [wave.name for wave in spec.rollout.waves] if spec else []
    return []


def _lines(candidates: Iterable[str], begun: str) -> list[str]:
    return [*sorted(one for one in candidates if one.startswith(begun)), f":{NO_FILES}"]


def main() -> None:
    """Entry point. Without a way to the API server there is nothing to offer."""
    try:
        lines = complete(sys.argv[1:], lambda: connect(KubernetesTransport))
    except WarmrootError:
        lines = [f":{NO_FILES}"]
    sys.stdout.write("\n".join(lines) + "\n")

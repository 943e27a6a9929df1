"""`jboost inject`: what the webhook would do with manifests, decided here and now, without a cluster."""

from __future__ import annotations

import copy
import difflib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jboost_server.core.injection.choose import KIND, Cache, cache_of
from jboost_server.core.injection.inject import Injection, inject
from jboost_server.core.injection.installation import Installation
from jboost_server.core.injection.patch import diff
from warmroot.errors import UserError

_TEMPLATES: dict[str, tuple[str, ...]] = {
    "Pod": (),
    "PodTemplate": ("template",),
    "Deployment": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""Where the pod is in an object of each kind."""
Object = dict[str, Any]


@dataclass(frozen=True)
class Tried:
    """One manifest: what it was, what its pods would become, and the manifest with that in it."""

    before: Object
    after: Object
    injection: Injection | None
    """None: there is no pod in it."""

    @property
    def name(self) -> str:
        """Kind, namespace if there is one, and name."""
        meta = self.before.get("metadata") or {}
        parts = [meta.get("namespace"), meta.get("name") or meta.get("generateName")]
        return f"{self.before.get('kind', 'object')} {'/'.join(str(part) for part in parts if part)}"


def read(source: str) -> list[Object]:
    """All objects in a file of YAML or JSON documents (`-`: standard input); those of a List, too.

    Raises:
        UserError: it can't be read, or is not of that form.
    """
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text()
        documents = [one for one in yaml.safe_load_all(text) if one is not None]
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{source} can't be read: {error}", hint="give a file of manifests") from error
    found = list(_flat(documents))
    if not all(isinstance(one, dict) for one in found):
        raise UserError(f"{source} holds what is no manifest", hint="give a file of Kubernetes objects")
    return found


def caches_in(documents: Sequence[Object]) -> list[Cache]:
    """The JavaCaches among these.

    Raises:
        UserError: one that the API server would refuse.
    """
    try:
        return [cache_of(one) for one in documents if one.get("kind") == KIND]
    except ValueError as error:
        raise UserError(
            f"a JavaCache is not as it has to be: {error}", hint="see docs/java-injection.md"
        ) from error


def tried(documents: Sequence[Object], caches: Sequence[Cache], installation: Installation) -> list[Tried]:
    """What would become of each.

    Raises:
        UserError: a manifest of a kind with pods that has none.
    """
    return [_one(document, caches, installation) for document in documents]


def _one(document: Object, caches: Sequence[Cache], installation: Installation) -> Tried:
    way = _TEMPLATES.get(str(document.get("kind")))
    if way is None:
        return Tried(document, document, None)
    after = copy.deepcopy(document)
    holder: Object | None = None
    pod: Any = after
    try:
        for step in way:
            holder, pod = pod, pod[step]
        injection = inject(pod, _namespace(document), caches, installation)
    except (KeyError, TypeError, ValueError) as error:
        name = (document.get("metadata") or {}).get("name", "")
        raise UserError(
            f"{document['kind']} {name} has no pod that can be read: {error}",
            hint="try `kubectl apply --dry-run=server -f` with it",
        ) from error
    if holder is None:
        return Tried(document, injection.pod, injection)
    holder[way[-1]] = injection.pod
    return Tried(document, after, injection)


def as_diff(results: Sequence[Tried]) -> Iterator[str]:
    """A unified diff of the manifests as YAML; of those that stay, why, as a comment."""
    for one in results:
        if one.injection is None:
            continue
        yield f"# {one.name}: {one.injection.reason}: {one.injection.why}\n"
        before, after = (_yaml(side).splitlines(keepends=True) for side in (one.before, one.after))
        yield from difflib.unified_diff(before, after, fromfile=one.name, tofile=f"{one.name}, injected")


def as_yaml(results: Sequence[Tried]) -> Iterator[str]:
    """All manifests, injected or as they were."""
    for one in results:
        yield "---\n"
        yield _yaml(one.after)


def as_json(results: Sequence[Tried]) -> Iterator[str]:
    """A list of what becomes of each: kind, namespace, name, reason, why, and the manifest's JSON patch."""
    found = [
        {
            "kind": one.before["kind"],
            "namespace": (one.before.get("metadata") or {}).get("namespace", ""),
            "name": (one.before.get("metadata") or {}).get("name", ""),
            "reason": one.injection.reason.value,
            "why": one.injection.why,
            "patch": list(diff(one.before, one.after)),
        }
        for one in results
        if one.injection
    ]
    yield json.dumps(found, indent=2) + "\n"


def _flat(documents: Sequence[Any]) -> Iterator[Any]:
    for one in documents:
        if isinstance(one, dict) and one.get("kind") == "List":
            yield from one.get("items") or ()
        else:
            yield one


def _namespace(document: Object) -> str:
    return str((document.get("metadata") or {}).get("namespace") or "default")


class _Plain(yaml.SafeDumper):
    """Without anchors: `&id001` would hide what is added twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the name is PyYAML's
        """Always."""
        return True


def _yaml(document: Object) -> str:
    text: str = yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)
    return text

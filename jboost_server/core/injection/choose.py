"""Which JavaCache a pod belongs to, and which of its containers start warm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jboost_server.core.injection.reason import Left, Reason
from warmroot.api.base import API_VERSION
from warmroot.api.javacache import CacheMode, CacheState, JavaCacheSpec

CACHE = "jboost.warmroot.io/cache"
"""Annotation of a pod: the JavaCache that it belongs to, whatever selects it."""
INJECT = "jboost.warmroot.io/inject"
"""Label or annotation of a pod: with `false` it is left alone."""
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
KIND = "JavaCache"
Object = dict[str, Any]


@dataclass(frozen=True)
class Cache:
    """One JavaCache. `namespace` is empty where a file names none: then it is every pod's. The status says
    the rest: `agent` is the ConfigMap with the agent that lies in the namespace; `refused`: every archive so
    far gained too little.
    """

    name: str
    namespace: str
    spec: JavaCacheSpec
    agent: str = ""
    refused: bool = False

    @property
    def turns(self) -> int:
        """How many new pods of each half hour have a turn: to record, or where no archive gains enough, to
        show whether there is a new image.
        """
        return max(self.spec.training.recorders, int(self.refused))

    def records(self, turn: bool) -> bool | Left:
        """Whether a pod may record that has a turn, or has none; or why it is left as it is."""
        if self.refused and not turn:
            why = f"archives of JavaCache {self.name} gained too little so far: one pod a half hour gets it"
            return Left(Reason.NOTHING_GAINED, why)
        return turn and self.spec.training.recorders > 0


def cache_of(item: Object) -> Cache:
    """The JavaCache in an object of the API.

    Raises:
        ValueError: it is none.
    """
    if item.get("kind", KIND) != KIND or item.get("apiVersion", API_VERSION) != API_VERSION:
        raise ValueError(f"{item.get('apiVersion')} {item.get('kind')} is no {API_VERSION} {KIND}")
    meta = item.get("metadata") or {}
    spec = JavaCacheSpec.model_validate(item.get("spec") or {})
    status = item.get("status") or {}
    return Cache(
        name=str(meta.get("name", "")),
        namespace=str(meta.get("namespace") or ""),
        spec=spec,
        agent=str(status.get("agent") or ""),
        refused=status.get("state") == CacheState.REFUSED,
    )


def cache_for(pod: Object, namespace: str, caches: Sequence[Cache]) -> Cache | Left:
    """The JavaCache of a pod of this namespace, or why there is none."""
    meta = pod.get("metadata") or {}
    annotations, labels = meta.get("annotations") or {}, meta.get("labels") or {}
    if "false" in (labels.get(INJECT), annotations.get(INJECT)):
        return Left(Reason.OPTED_OUT, f"{INJECT} is false")
    known = [one for one in caches if one.namespace in ("", namespace)]
    if name := annotations.get(CACHE):
        found = [one for one in known if one.name == name]
        if not found:
            return Left(Reason.UNKNOWN_CACHE, f"there is no JavaCache {name}")
    else:
        found = [one for one in known if one.spec.selector and one.spec.selector.matches(labels)]
    if not found:
        return Left(Reason.NOT_SELECTED, "no JavaCache selects it")
    if len(found) > 1:
        names = ", ".join(sorted(one.name for one in found))
        return Left(Reason.CONFLICTING, f"the JavaCaches {names} select it: name one in {CACHE}")
    if found[0].spec.mode is CacheMode.OFF:
        return Left(Reason.OFF, f"JavaCache {found[0].name} is off")
    return found[0]


def containers_of(pod: Object, cache: Cache) -> list[int] | Left:
    """Indexes in `spec.containers` of those that start warm, in the pod's order, or why there are none."""
    names = [str(one.get("name")) for one in pod["spec"]["containers"]]
    if cache.spec.containers:
        found = [at for at, name in enumerate(names) if name in cache.spec.containers]
        wanted = ", ".join(cache.spec.containers)
        return found or Left(Reason.NO_CONTAINER, f"it has no container {wanted}")
    default = ((pod.get("metadata") or {}).get("annotations") or {}).get(_DEFAULT_CONTAINER)
    return [names.index(default) if default in names else 0]

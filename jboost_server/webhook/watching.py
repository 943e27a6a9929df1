"""JavaCaches as a watch brought them: no pod waits for the API server."""

from __future__ import annotations

import logging

from jboost_server.core.injection.choose import Cache, cache_of
from warmroot.kube.cluster import Object
from warmroot.kube.watched import Watched

log = logging.getLogger(__name__)


def of_namespace(seen: Watched[Cache], namespace: str) -> tuple[Cache, ...]:
    """Those of a namespace, by name."""
    found = [one for (where, _), one in seen.all().items() if where == namespace]
    return tuple(sorted(found, key=lambda one: one.name))


def parsed(item: Object) -> Cache | None:
    """A JavaCache; None for one that we can't read: pods start as they are."""
    try:
        return cache_of(item)
    except ValueError as error:
        meta = item["metadata"]
        place = f"{meta.get('namespace', '')}/{meta['name']}"
        log.warning("a JavaCache can't be read", extra={"javacache": place, "why": str(error)})
        return None

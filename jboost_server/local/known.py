"""What this machine's folder holds, read without a service and without what only shows it."""

from __future__ import annotations

from typing import Any

from jboost_server.builds import Builds
from jboost_server.core import layout, publication
from jboost_server.core.lookup import Scope
from jboost_server.core.publication import State
from jboost_server.local.home import Home
from jboost_server.local.service import LOCAL, opened
from jboost_server.outcomes import Outcomes
from jboost_server.records import read
from jboost_server.status import Status


def forget_refusals(home: Home, group: str) -> None:
    """What was refused of a group may be built again.

    Raises:
        StoreError, UserError: the folder can't be read or written.
    """
    store = opened(home).store
    places = set()
    for stat in store.list(layout.group_folder(Scope(LOCAL, group))):
        found = layout.take_apart(stat.name)
        if found is None or found.what != "manifest":
            continue
        built = read(store, stat.name, publication.decode)
        if built is not None and built.value.state is State.REFUSED:
            store.delete(stat.name)
            places.add(found.place)
    for place in places:
        store.delete(place.build)


def here(home: Home, group: str | None) -> dict[str, Any]:
    """What `GET /v1/status` would answer.

    Raises:
        StoreError, UserError: it can't be read.
    """
    if not home.store.exists():
        return {"groups": []}
    catalogue = opened(home)
    return Status(catalogue, Builds(catalogue), Outcomes(catalogue)).of(LOCAL, group)

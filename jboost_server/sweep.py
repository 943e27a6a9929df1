"""Deletes the bytes of an archive, while others may be about to publish it or to delete it as well.

Before the bytes go, an object says that they are doomed, and who names them is read once more. A publisher
writes its manifest first and looks for that object then: so one of the two sees the other, and no manifest is
left that names bytes which are gone. Of several who would sweep, the one whose write of that object won does:
were there two, the first to end would take the object away while the second still deletes.
"""

from __future__ import annotations

import secrets

from jboost_server.core import layout, publication
from jboost_server.core.layout import KeyPlace
from jboost_server.core.lookup import Scope
from jboost_server.core.naming import Naming
from jboost_server.records import read, write_new, write_over
from jboost_server.store.port import ObjectStore, Stat
from warmroot.errors import WriteLost

DEAD = 3600
"""Seconds after which whoever began a sweep is taken for dead; it takes moments."""


def sweep(store: ObjectStore, tenant: str, digest: str) -> bool:
    """Deletes an archive; False if a manifest names it after all, or another sweeper is at it.

    Raises:
        StoreError: the store can't be read or written.
    """
    if not write_new(store, layout.doomed(tenant, digest), _nonce()):
        return False
    return _go_on(store, tenant, digest)


def finish(store: ObjectStore, tenant: str, digest: str, doomed: Stat) -> bool:
    """Ends the sweep of one who died, given the object that it left; False as for `sweep`.

    Raises:
        StoreError: the store can't be read or written.
    """
    try:
        write_over(store, doomed.name, _nonce(), doomed.etag)
    except WriteLost:
        return False
    return _go_on(store, tenant, digest)


def _nonce() -> bytes:
    """No two sweepers write the same bytes: a store tells versions apart by their content."""
    return secrets.token_hex(16).encode()


def _go_on(store: ObjectStore, tenant: str, digest: str) -> bool:
    named = _is_named(store, tenant, digest)
    if not named:
        for name in (layout.compressed, layout.archive, layout.named_by):
            store.delete(name(tenant, digest))
    store.delete(layout.doomed(tenant, digest))
    return not named


def _is_named(store: ObjectStore, tenant: str, digest: str) -> bool:
    naming = read(store, layout.named_by(tenant, digest), Naming.decode)
    for group, key in naming.value.places if naming else ():
        place = KeyPlace(Scope(tenant, group), key)
        found = read(store, place.manifest(digest), publication.decode)
        if found is not None and found.value.fetchable:
            return True
    return False

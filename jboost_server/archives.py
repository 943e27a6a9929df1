"""The bytes of archives: whose they are, and the same bytes compressed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import zstandard

from jboost_server.catalogue import Catalogue
from jboost_server.core import layout
from jboost_server.core.lookup import Scope
from jboost_server.core.naming import Naming
from jboost_server.core.publication import Publication
from jboost_server.records import read
from jboost_server.store.port import CHUNK
from warmroot.errors import NoObject, WriteLost

LEVEL = 3
_SPOOL = 1024 * 1024


class Archives:
    """What pods may fetch. Threads may share it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._store = catalogue.store
        self._known: dict[tuple[str, str, str], tuple[str, str]] = {}

    def size(self, tenant: str, digest: str, group: str = "") -> int:
        """Its size in bytes, if a manifest of the tenant names it; with a `group`, one of that group.

        Raises:
            NoObject: none does, be it that the archive is another tenant's.
            StoreError: the store can't be read.
        """
        where = self._known.get((tenant, group, digest))
        if where is not None and (found := self._published(tenant, where, digest)):
            return found.size
        naming = read(self._store, layout.named_by(tenant, digest), Naming.decode)
        for place in naming.value.places if naming else ():
            if group and place[0] != group:
                continue
            if found := self._published(tenant, place, digest):
                if len(self._known) > 10_000:
                    self._known.clear()
                self._known[tenant, group, digest] = place
                return found.size
        raise NoObject(f"no archive {digest[:12]}… of yours")

    def compressed(self, tenant: str, digest: str) -> int | None:
        """The size of its compressed form in bytes, None if there is none yet.

        Raises:
            StoreError: the store does not say.
        """
        try:
            return self._store.stat(layout.compressed(tenant, digest)).size
        except NoObject:
            return None

    def compress(self, tenant: str, digest: str) -> int:
        """Makes the compressed form unless it is there; its size in bytes. It takes a whole core for a while.

        Raises:
            StoreError: it can't be made.
        """
        found = self.compressed(tenant, digest)
        return self._compress(tenant, digest) if found is None else found

    def _compress(self, tenant: str, digest: str) -> int:
        """Spools to a file: a store wants the size first."""
        name = layout.compressed(tenant, digest)
        with tempfile.SpooledTemporaryFile(_SPOOL) as spool:
            packer = zstandard.ZstdCompressor(level=LEVEL).compressobj()
            with self._store.get(layout.archive(tenant, digest)) as opened:
                for chunk in opened.chunks:
                    spool.write(packer.compress(chunk))
            spool.write(packer.flush())
            size = spool.tell()
            spool.seek(0)

            def chunks() -> Iterator[bytes]:
                while data := spool.read(CHUNK):
                    yield data

            try:
                self._store.put_new(name, chunks(), size)
            except WriteLost:  # another replica's; its zstd may be another version
                return self._store.stat(name).size
        return size

    def _published(self, tenant: str, place: tuple[str, str], digest: str) -> Publication | None:
        group, key = place
        view = self._catalogue.views.get(Scope(tenant, group)).keys.get(key)
        found = view.archive(digest) if view else None
        return found if found and found.fetchable else None

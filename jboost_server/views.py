"""What lookups read: one group's publications and leases, kept in memory for a moment.

An answer may therefore be as old as `fresh` seconds. That is safe: a pod verifies and tries whatever it is
proposed, a pod that was told of no archive starts plainly, and a lease is taken by a conditional write over
what stands in the store, never over what stands here. Our own writes are seen at once.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import inf

from jboost_server.core import layout, leases, manifest, publication
from jboost_server.core.layout import KeyPlace
from jboost_server.core.leases import Lease
from jboost_server.core.lookup import Candidate, Scope
from jboost_server.core.manifest import ArchiveManifest
from jboost_server.core.publication import Publication, State
from jboost_server.records import Record, read, write_over
from jboost_server.signing import Signer
from jboost_server.store.port import ObjectStore, Stat
from warmroot.errors import ArchiveError, StoreBroken, TooLarge, WriteLost

MAX_BYTES = 128 * 2**20
"""Bytes of envelopes that are kept in memory for all groups; who was asked for longest ago goes."""
MAX_GROUPS = 5_000
"""Groups that are kept in memory, whatever their size: a pod may ask for groups that there are not."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """A publication, and its manifest, which was verified when it was read; None if it was never signed."""

    publication: Publication
    manifest: ArchiveManifest | None


@dataclass(frozen=True)
class KeyView:
    """One key of a group."""

    published: tuple[Published, ...] = ()
    taken: Mapping[int, Lease] = field(default_factory=dict)

    def archive(self, digest: str) -> Publication | None:
        """The publication of an archive."""
        return next((each.publication for each in self.published if each.publication.archive == digest), None)


@dataclass(frozen=True)
class GroupView:
    """One group, as it was read at `at` seconds of a monotonic clock. `size` in bytes of memory, about.

    Two views with the same `version`, as an object, say the same.
    """

    at: float
    version: object
    keys: Mapping[str, KeyView]
    candidates: tuple[Candidate, ...]
    objects: Mapping[str, tuple[str, Lease | Published]]
    size: int


@dataclass
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    view: GroupView | None = None
    version: int = 0


class Views:
    """Group views by scope. Threads share it; a group is read by one of them at a time."""

    def __init__(
        self, store: ObjectStore, signer: Signer, *, fresh: float, monotonic: Callable[[], float]
    ) -> None:
        self._store = store
        self._signer = signer
        self._fresh = fresh
        self._monotonic = monotonic
        self._guard = threading.Lock()
        self._entries: OrderedDict[Scope, _Entry] = OrderedDict()

    def peek(self, scope: Scope) -> GroupView | None:
        """The view if it is fresh. Never waits."""
        entry = self._entries.get(scope)
        view = entry.view if entry else None
        return view if view and self._monotonic() - view.at < self._fresh else None

    def aging(self, scope: Scope) -> bool:
        """Whether the view is old enough to be read anew before anybody has to wait for that."""
        entry = self._entries.get(scope)
        view = entry.view if entry else None
        return view is not None and self._monotonic() - view.at > self._fresh / 2

    def refresh(self, scope: Scope) -> None:
        """Reads the view anew if it is aging.

        Raises:
            StoreError: it can't be read.
        """
        self._get(scope, self._fresh / 2)

    def get(self, scope: Scope) -> GroupView:
        """The view, read anew unless it is fresh.

        Raises:
            StoreError: it can't be read.
        """
        return self._get(scope, self._fresh)

    def _get(self, scope: Scope, age: float) -> GroupView:
        with self._guard:
            entry = self._entries.setdefault(scope, _Entry())
            self._entries.move_to_end(scope)
            if len(self._entries) > MAX_GROUPS:
                self._entries.popitem(last=False)
        with entry.lock:
            view = entry.view
            if view is not None and self._monotonic() - view.at < age:
                return view
            version = entry.version
            view = self._load(scope, entry.view)
            with self._guard:
                entry.view = view if entry.version == version else replace(view, at=-inf)
                self._shrink(scope)
        return view

    def forget(self, scope: Scope) -> None:
        """The next answer is read anew: something of the group was written."""
        with self._guard:
            entry = self._entries.get(scope)
            if entry:
                entry.version += 1
                entry.view = entry.view and replace(entry.view, at=-inf)

    def _shrink(self, keep: Scope) -> None:
        size = sum(entry.view.size for entry in self._entries.values() if entry.view)
        for scope in tuple(self._entries):
            if size <= MAX_BYTES or scope == keep:
                break
            entry = self._entries.pop(scope)
            size -= entry.view.size if entry.view else 0

    def _load(self, scope: Scope, old: GroupView | None) -> GroupView:
        at = self._monotonic()
        known = old.objects if old else {}
        objects: dict[str, tuple[str, Lease | Published]] = {}
        published: dict[str, list[Published]] = {}
        taken: dict[str, dict[int, Lease]] = {}
        size = 0
        for stat in self._store.list(layout.group_folder(scope)):
            found = layout.take_apart(stat.name)
            if found is None or found.what not in {"key", "lease", "manifest"}:
                continue
            taken.setdefault(found.place.key, {})
            if found.what == "key":
                continue
            cached = known.get(stat.name)
            value = cached[1] if cached and cached[0] == stat.etag else self._read(found, stat)
            if value is None:
                continue
            objects[stat.name] = (stat.etag, value)
            size += stat.size
            if isinstance(value, Lease):
                taken[found.place.key][int(found.which)] = value
            else:
                published.setdefault(found.place.key, []).append(value)
        keys = {key: KeyView(tuple(published.get(key, ())), slots) for key, slots in taken.items()}
        every = [each for view in keys.values() for each in view.published]
        same = old is not None and old.keys == keys
        version = old.version if old is not None and same else object()
        return GroupView(at, version, keys, tuple(filter(None, map(_candidate, every))), objects, size * 3)

    def _read(self, found: layout.Found, stat: Stat) -> Lease | Published | None:
        """The object; None if it is gone, or no pod must be told of it. One bad object costs itself alone."""
        try:
            if found.what == "lease":
                lease = read(self._store, stat.name, leases.decode)
                return lease.value if lease else None
            record = read(self._store, stat.name, publication.decode)
            return self._verified(found.place, stat.name, record) if record else None
        except (StoreBroken, ArchiveError, TooLarge) as error:
            log.warning("passed over", extra={"object": stat.name, "why": str(error)})
            return None

    def _verified(self, place: KeyPlace, name: str, record: Record[Publication]) -> Published:
        """Believed if one of our keys signed it; signed anew with those that it lacks."""
        value = record.value
        if value.state is State.REFUSED:
            return Published(value, None)
        signed = manifest.verify(value.envelope, self._signer.publics)
        where = (signed.scope, signed.key.digest, signed.digest)
        if where != (place.scope, place.key, value.archive):
            raise StoreBroken(f"{name} holds the manifest of another archive")
        if value.envelope != (envelope := self._signer.sign(signed)):
            value = replace(value, envelope=envelope)
            try:
                write_over(self._store, name, value.encode(), record.etag)
            except WriteLost:
                log.info("another replica signed it anew", extra={"object": name})
        return Published(value, signed)


def _candidate(each: Published) -> Candidate | None:
    value = each.publication
    if each.manifest is None or value.state not in {State.SERVING, State.WITHDRAWN}:
        return None
    return Candidate(
        scope=each.manifest.scope,
        key=each.manifest.key,
        digest=value.archive,
        built=value.built,
        start=value.warm or None,
        withdrawn=value.state is State.WITHDRAWN,
    )

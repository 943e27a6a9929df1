"""Deletes what retention lets go. It may be killed at any point, and run beside services that write or do
the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from jboost_server.core import layout, orders, publication, retention
from jboost_server.core.layout import KeyPlace
from jboost_server.core.publication import Publication
from jboost_server.core.retention import Archive, Key, Plan, Retention
from jboost_server.records import read
from jboost_server.store.port import ObjectStore, Stat
from jboost_server.sweep import DEAD, finish, sweep

_ORDER = ("manifest", "lease", "facts", "recording", "merge", "build", "outcomes", "key")
"""Whatever is left when it is interrupted can be built or learned again."""


@dataclass(frozen=True)
class Deleted:
    """One thing that was deleted, or would be: what, why, and its size in bytes."""

    what: str
    why: str
    size: int


@dataclass
class _Folder:
    objects: list[tuple[str, Stat]] = field(default_factory=list)
    built: list[Publication] = field(default_factory=list)
    active: int = 0
    busy: bool = False
    uploaded: str = ""


@dataclass
class _Tenant:
    keys: dict[KeyPlace, _Folder] = field(default_factory=dict)
    archives: dict[str, dict[str, Stat]] = field(default_factory=dict)


def collect(
    store: ObjectStore, policy: Retention, now: int, *, tenant: str = "", dry_run: bool = False
) -> list[Deleted]:
    """Deletes what may go, of one tenant or of all; says what, or with `dry_run` what it would.

    `now` in seconds since 1970, by a clock that is right to within the grace time.

    Raises:
        StoreError: the store can't be read or written. What was deleted until then is deleted.
    """
    prefix = layout.tenant_folder(tenant) if tenant else ""
    deleted: list[Deleted] = []
    for name, found in _tenants(store, prefix).items():
        for folder in found.keys.values():
            _look(store, folder, now)
        chosen = _plan(found, policy, now)
        for place, why in chosen.forget:
            deleted += _forget(store, place, found.keys[place], why, dry_run=dry_run)
        kept = (found.keys[place] for place in found.keys.keys() - {place for place, _ in chosen.forget})
        for folder in kept:
            deleted += _orphans(store, folder, policy, now, dry_run=dry_run)
        for archive, why in chosen.sweep:
            if dry_run or sweep(store, name, archive.digest):
                deleted.append(Deleted(layout.archive(name, archive.digest), why, archive.size))
        if not dry_run:
            _finish(store, name, found, now)
    return deleted


def _tenants(store: ObjectStore, prefix: str) -> dict[str, _Tenant]:
    tenants: dict[str, _Tenant] = {}
    for stat in store.list(prefix):
        if (bytes_ := layout.take_archive_apart(stat.name)) is not None:
            beside = tenants.setdefault(bytes_.tenant, _Tenant()).archives.setdefault(bytes_.digest, {})
            beside[bytes_.what] = stat
        elif (found := layout.take_apart(stat.name)) is not None:
            keys = tenants.setdefault(found.place.scope.tenant, _Tenant()).keys
            folder = keys.setdefault(found.place, _Folder())
            folder.objects.append((found.what, stat))
            folder.active = max(folder.active, stat.modified)
    return tenants


def _look(store: ObjectStore, folder: _Folder, now: int) -> None:
    for what, stat in folder.objects:
        if what == "manifest" and (built := read(store, stat.name, publication.decode)):
            folder.built.append(built.value)
        elif what == "build" and (book := read(store, stat.name, orders.decode)) and book.value.order:
            folder.busy = book.value.order.live(now)
            folder.uploaded = book.value.order.uploaded if folder.busy else ""


def _plan(found: _Tenant, policy: Retention, now: int) -> Plan:
    keys = [Key(place, tuple(each.built), each.active, each.busy) for place, each in found.keys.items()]
    archives = [
        Archive(digest, sum(beside[what].size for what in ("bytes", "zst") if what in beside), _age(beside))
        for digest, beside in found.archives.items()
        if "bytes" in beside or "zst" in beside
    ]
    uploaded = {each.uploaded for each in found.keys.values() if each.uploaded}
    return retention.plan(keys, archives, uploaded, policy, now)


def _age(beside: dict[str, Stat]) -> int:
    return max(stat.modified for stat in beside.values())


def _forget(
    store: ObjectStore, place: KeyPlace, folder: _Folder, why: str, *, dry_run: bool
) -> Iterator[Deleted]:
    for _, stat in sorted(folder.objects, key=lambda each: _ORDER.index(each[0])):
        if not dry_run:
            store.delete(stat.name)
    size = sum(stat.size for _, stat in folder.objects)
    yield Deleted(place.folder.rstrip("/"), why, size)


def _orphans(
    store: ObjectStore, folder: _Folder, policy: Retention, now: int, *, dry_run: bool
) -> Iterator[Deleted]:
    """Recordings without facts: their upload was interrupted, and nobody came to finish it."""
    known = {stat.name.removesuffix(".json") for what, stat in folder.objects if what == "facts"}
    for what, stat in folder.objects:
        if what == "recording" and stat.name not in known and now - stat.modified > policy.grace:
            if not dry_run:
                store.delete(stat.name)
            yield Deleted(stat.name, "its upload was never finished", stat.size)


def _finish(store: ObjectStore, tenant: str, found: _Tenant, now: int) -> None:
    """What an interrupted sweep began."""
    for digest, beside in found.archives.items():
        if (doomed := beside.get("gone")) and now - doomed.modified > DEAD:
            finish(store, tenant, digest, doomed)

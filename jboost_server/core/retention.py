"""Retention: what may be deleted of a tenant's objects.

A key is forgotten as a whole: with its archive gone, what it learned would only be built again for nobody.
The bytes of an archive go once nothing that pods may fetch names them, and not before they are older than a
grace time: an upload whose manifest is about to be written looks like one that nobody wants.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from jboost_server.core.layout import KeyPlace
from jboost_server.core.publication import Publication, State
from warmroot.canonical import check_integer

DAY = 86_400


@dataclass(frozen=True)
class Retention:
    """How long what is kept.

    `keep_builds`: of a group, so many keys with an archive that serves, the latest built. `unused_for`:
    seconds after which a key goes that no pod started from or learned for. `max_bytes` of a tenant's
    archives; what was used longest ago goes first. `grace`: seconds for which what nobody names is left.
    """

    keep_builds: int = 3
    unused_for: int = 14 * DAY
    max_bytes: int = 2 * 2**30
    grace: int = DAY

    def __post_init__(self) -> None:
        check_integer("keepBuilds", self.keep_builds, least=1)
        for name in ("unused_for", "max_bytes", "grace"):
            check_integer(name, getattr(self, name), least=0)


OF_A_CLUSTER = Retention(keep_builds=10, unused_for=90 * DAY, max_bytes=16 * 2**30)
"""Of each namespace. Services there run for months between two starts, and on several kinds of machines."""


@dataclass(frozen=True)
class Key:
    """One key: what was built of it, and when something of it was last written or started from.

    `busy`: a build order is out.
    """

    place: KeyPlace
    built: tuple[Publication, ...]
    active: int
    busy: bool = False

    @property
    def serving(self) -> tuple[Publication, ...]:
        """What pods are proposed."""
        return tuple(each for each in self.built if each.state is State.SERVING)


@dataclass(frozen=True)
class Archive:
    """The bytes of an archive, with their compressed form: size in bytes, and when they were written."""

    digest: str
    size: int
    modified: int


@dataclass(frozen=True)
class Plan:
    """What to delete, each with its reason."""

    forget: tuple[tuple[KeyPlace, str], ...] = ()
    sweep: tuple[tuple[Archive, str], ...] = ()


def plan(
    keys: Collection[Key],
    archives: Collection[Archive],
    uploaded: Collection[str],
    retention: Retention,
    now: int,
) -> Plan:
    """What may go of one tenant. `uploaded` are archives of build orders, which may be published yet."""
    why: dict[KeyPlace, str] = {}
    for key in keys:
        if not key.busy and now - key.active > retention.unused_for:
            why[key.place] = f"unused for {(now - key.active) // DAY} days"
    for group in sorted({key.place.scope.group for key in keys}):
        served = [key for key in keys if key.place.scope.group == group and key.serving]
        served.sort(key=lambda key: (-max(each.built for each in key.serving), key.place.key))
        for key in served[retention.keep_builds :]:
            if not key.busy:
                why.setdefault(key.place, f"{retention.keep_builds} newer builds of the group serve")
    _make_room(keys, why, retention)
    named = {each.archive for key in keys if key.place not in why for each in key.built if each.fetchable}
    sweep = [
        (archive, "no manifest that serves names it")
        for archive in archives
        if archive.digest not in named
        and archive.digest not in uploaded
        and now - archive.modified > retention.grace
    ]
    return Plan(tuple(why.items()), tuple(sweep))


def _make_room(keys: Collection[Key], why: dict[KeyPlace, str], retention: Retention) -> None:
    left = [key for key in keys if key.place not in why]
    size = sum(each.size for key in left for each in key.built if each.fetchable)
    for key in sorted(left, key=lambda key: (key.active, key.place.folder)):
        if size <= retention.max_bytes:
            return
        if key.serving and not key.busy:
            why[key.place] = f"archives of more than {retention.max_bytes} bytes; it was used longest ago"
            size -= sum(each.size for each in key.built if each.fetchable)

"""What people see: every key of a tenant, how far it is and why."""

from __future__ import annotations

import re
from typing import Any

from jboost_server.builds import Builds
from jboost_server.catalogue import Catalogue
from jboost_server.core import buildkey, layout, leases, orders
from jboost_server.core.layout import KeyPlace
from jboost_server.core.lookup import Scope
from jboost_server.core.orders import Book
from jboost_server.core.outcome import Outcome
from jboost_server.core.progress import progress
from jboost_server.core.publication import State
from jboost_server.outcomes import Outcomes
from jboost_server.records import read

_VERSION = re.compile(r"\((\d[0-9A-Za-z.+_]*)")


class Status:
    """Reads everything anew, for a person; nothing of it is on the way of a pod."""

    def __init__(self, catalogue: Catalogue, builds: Builds, outcomes: Outcomes) -> None:
        self._catalogue = catalogue
        self._builds = builds
        self._outcomes = outcomes

    def of(self, tenant: str, group: str | None = None) -> dict[str, Any]:
        """All groups of a tenant, or one of them, as the protocol has it.

        Raises:
            StoreError: the store can't be read.
        """
        folder = layout.tenant_folder(tenant) + (f"{group}/" if group else "")
        places: dict[str, list[KeyPlace]] = {}
        for stat in self._catalogue.store.list(folder):
            found = layout.take_apart(stat.name)
            if found is not None and found.what == "key":
                places.setdefault(found.place.scope.group, []).append(found.place)
        return {
            "groups": [
                {"group": name, "keys": [key for place in found if (key := self._key(place))]}
                for name, found in places.items()
            ]
        }

    def of_group(self, scope: Scope) -> dict[str, Any]:
        """The keys of a group, each with who recorded for it and whether a builder would get an order now.

        Raises:
            StoreError: the store can't be read, or a merge can't be written.
        """
        found = self.of(scope.tenant, scope.group)["groups"]
        keys = found[0]["keys"] if found else []
        for key in keys:
            place = KeyPlace(scope, key["key"])
            key["recordedBy"] = self._recorders(place)
            key["wanted"] = self._builds.wanted(place)
        return {"keys": keys}

    def _recorders(self, place: KeyPlace) -> list[str]:
        store, slots = self._catalogue.store, range(self._catalogue.policy.recorders)
        found = (read(store, place.lease(slot), leases.decode) for slot in slots)
        return [lease.value.holder for lease in found if lease and lease.value.recording]

    def _key(self, place: KeyPlace) -> dict[str, Any] | None:
        store = self._catalogue.store
        key = read(store, place.build_key, buildkey.decode)
        if key is None:
            return None
        book = read(store, place.build, orders.decode)
        built = sorted(self._builds.publications(place), key=lambda each: -each.built)
        serving = next((each for each in built if each.state is State.SERVING), None)
        recordings = sum(1 for _ in self._catalogue.recordings(place))
        found = progress(
            built,
            book.value if book else Book(),
            recordings,
            self._catalogue.policy.recorders,
            self._catalogue.now(),
        )
        reported = self._outcomes.of(place).outcomes
        version = _VERSION.search(key.value.jvm.internal_version)
        return {
            "key": place.key,
            "jdk": version[1] if version else str(key.value.jvm.feature),
            "arch": key.value.jvm.arch,
            "state": found.stage.value,
            "why": found.why,
            "recordings": recordings,
            "archive": serving
            and {
                "digest": serving.archive,
                "size": serving.size,
                "built": serving.built,
                "plain": serving.plain,
                "warm": serving.warm,
            },
            "hits": reported.get(Outcome.HIT, 0),
            "misses": {
                outcome.value: count for outcome, count in reported.items() if outcome is not Outcome.HIT
            },
        }

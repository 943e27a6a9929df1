"""Which groups and keys of a tenant have a manifest that names an archive.

A pod asks for an archive by its digest alone. This says where to look; whether a pod may have it is said by
the manifests, not here: it is written before them, and it stays when they go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from jboost_server.core.layout import is_digest
from warmroot.canonical import Fields, encode
from warmroot.errors import StoreBroken

MAX_PLACES = 64


@dataclass(frozen=True)
class Naming:
    """Group and key digest of each."""

    places: tuple[tuple[str, str], ...] = ()

    def plus(self, group: str, key: str) -> Naming:
        """With one place more; the oldest gives way to the 65th."""
        if (group, key) in self.places:
            return self
        return Naming((*self.places, (group, key))[-MAX_PLACES:])

    def encode(self) -> bytes:
        """For the object store, in canonical form."""
        return encode({"places": [list(place) for place in self.places]})

    @classmethod
    def decode(cls, data: bytes) -> Naming:
        """The object in these bytes.

        Raises:
            StoreBroken: they are not what `encode` wrote.
        """
        try:
            fields = Fields("naming", json.loads(data))
            places = tuple(map(_place, fields.items("places")))
            fields.finish()
        except (ValueError, RecursionError) as error:
            raise StoreBroken(f"not a list of who names an archive: {error}") from error
        return cls(places)


def _place(item: object) -> tuple[str, str]:
    match item:
        case [str(group), str(key)] if is_digest(key):
            return group, key
    raise ValueError("places holds what is no place")

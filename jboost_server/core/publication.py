"""What became of a built archive: served, refused, withdrawn or replaced; what was measured and learned.

This is the object beside an archive's key; the signed envelope is within it, as pods get it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum

from jboost_server.core.layout import is_digest
from warmroot.canonical import Fields, check, check_integer, encode
from warmroot.errors import StoreBroken

MAX_PODS = 64
"""Pods that are remembered for a decision; more are never needed for one."""
MAX_WHY = 1000
"""Characters of a reason."""


class State(StrEnum):
    """What an archive is good for. Only one that serves is proposed."""

    SERVING = "serving"
    REFUSED = "refused"
    """It is not faster by enough. Its bytes may go; this stays, so that it is not built again."""
    WITHDRAWN = "withdrawn"
    """It did harm, or its bytes are gone."""
    REPLACED = "replaced"
    """A better one of the same key serves. Pods that know it already may still fetch it."""


@dataclass(frozen=True)
class Publication:
    """One archive of one build key.

    `input` is the digest of the merged list or recording that it was built of; `built` in seconds since 1970,
    `size` in bytes, `plain` and `warm` medians in milliseconds, `gain` in percent. `proved` are pods (by a
    digest of their uid) that started with it after a preflight, `doubted` those whose JVM refused it since
    or died of it.
    """

    archive: str
    size: int
    input: str
    state: State
    why: str
    built: int
    plain: int
    warm: int
    gain: int
    envelope: bytes
    proved: tuple[str, ...] = ()
    doubted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, digest in (("archive", self.archive), ("input", self.input)):
            check(is_digest(digest), f"{name} is no sha256")
        check_integer("size", self.size, least=1)
        for name in ("built", "plain", "warm"):
            check_integer(name, getattr(self, name), least=0)

    @property
    def fetchable(self) -> bool:
        """Whether pods may have its bytes."""
        return self.state in {State.SERVING, State.REPLACED}

    def become(self, state: State, why: str) -> Publication:
        """In another state."""
        return replace(self, state=state, why=why[:MAX_WHY])

    def with_proof(self, pods: frozenset[str], *, enough: int) -> Publication:
        """After these pods started with it. More than `enough` are not remembered."""
        known = (*self.proved, *sorted(pods - set(self.proved)))
        return replace(self, proved=known[: min(enough, MAX_PODS)])

    def with_doubt(self, pod: str, why: str, *, most: int) -> Publication:
        """After it did harm in a pod: all proof is void, and when `most` pods say so it is withdrawn."""
        doubted = self.doubted if pod in self.doubted else (*self.doubted, pod)
        new = replace(self, proved=(), doubted=doubted[:MAX_PODS])
        if len(new.doubted) < most:
            return new
        return new.become(
            State.WITHDRAWN, f"{len(new.doubted)} pods' JVMs refused it or died of it; the last: {why}"
        )

    def encode(self) -> bytes:
        """For the object store, in canonical form."""
        return encode(
            {
                "archive": self.archive,
                "size": self.size,
                "input": self.input,
                "state": self.state.value,
                "why": self.why,
                "built": self.built,
                "plain": self.plain,
                "warm": self.warm,
                "gain": self.gain,
                "envelope": self.envelope.decode(),
                "proved": list(self.proved),
                "doubted": list(self.doubted),
            }
        )


def decode(data: bytes) -> Publication:
    """The publication in these bytes; its envelope is not verified.

    Raises:
        StoreBroken: they are not what `encode` wrote.
    """
    try:
        fields = Fields("publication", json.loads(data))
        found = Publication(
            archive=fields.text("archive"),
            size=fields.integer("size"),
            input=fields.text("input"),
            state=State(fields.text("state")),
            why=fields.text("why"),
            built=fields.integer("built"),
            plain=fields.integer("plain"),
            warm=fields.integer("warm"),
            gain=fields.integer("gain"),
            envelope=fields.text("envelope").encode(),
            proved=fields.texts("proved"),
            doubted=fields.texts("doubted"),
        )
        fields.finish()
    except (ValueError, RecursionError) as error:
        raise StoreBroken(f"not a publication: {error}") from error
    return found

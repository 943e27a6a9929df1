"""Lookup: the server proposes archives with the pod's own build key, best first, or says why there is none.

The pod disposes: it checks every proposal against its own files before it believes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jboost_server.core.buildkey import BuildKey, Difference, differences
from jboost_server.core.outcome import Outcome
from warmroot.canonical import check

MAX_PROPOSALS = 3
"""A pod has 300 ms for its lookup; more manifests than this help nobody."""


@dataclass(frozen=True)
class Scope:
    """Whose an archive is. Nothing of one tenant (namespace) ever reaches another (J3)."""

    tenant: str
    group: str


@dataclass(frozen=True)
class Candidate:
    """One archive. `start` is the median of its measured starts in ms, `built` in seconds since 1970."""

    scope: Scope
    key: BuildKey
    digest: str
    built: int
    start: int | None = None
    withdrawn: bool = False


@dataclass(frozen=True)
class Answer:
    """Proposals, best first, with `HIT`; or none, with the reason and what a person should know."""

    outcome: Outcome
    proposals: tuple[Candidate, ...] = ()
    why: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check((self.outcome is Outcome.HIT) == bool(self.proposals), "a hit is what has proposals")


def propose(scope: Scope, key: BuildKey, candidates: Iterable[Candidate]) -> Answer:
    """What to answer a pod of this scope and key.

    The best archive is the one with the fastest measured start; those without one come last, the newest
    first. Where none fits, the reason is that of the archive with the fewest differences.
    """
    ours = [candidate for candidate in candidates if candidate.scope == scope]
    served = sorted((candidate for candidate in ours if not candidate.withdrawn), key=_rank)
    fitting = tuple(candidate for candidate in served if candidate.key == key)
    if fitting:
        return Answer(Outcome.HIT, fitting[:MAX_PROPOSALS])
    if any(candidate.withdrawn and candidate.key == key for candidate in ours):
        return Answer(Outcome.MISSING, why=("the archive for this key was withdrawn",))
    if not served:
        return Answer(Outcome.MISSING, why=(f"no archive for {scope.tenant}/{scope.group} yet",))
    nearest = min((differences(candidate.key, key) for candidate in served), key=_distance)
    return Answer(nearest[0].outcome, why=tuple(difference.what for difference in nearest))


def _rank(candidate: Candidate) -> tuple[bool, int, int, str]:
    return (candidate.start is None, candidate.start or 0, -candidate.built, candidate.digest)


def _distance(found: tuple[Difference, ...]) -> tuple[int, str, tuple[str, ...]]:
    return (len(found), found[0].outcome, tuple(difference.what for difference in found))

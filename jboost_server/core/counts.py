"""What pods reported of one key, compact: how often each outcome came, and which archives are in use.

Replicas keep one of these each, in one of few objects, so that they seldom meet; sums are made by whoever
reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from jboost_server.core.layout import is_digest
from jboost_server.core.outcome import Outcome
from warmroot.canonical import Fields, check, check_integer, encode
from warmroot.errors import StoreBroken

SHARDS = 8
"""Objects of a key among which replicas spread."""
MAX_ARCHIVES = 100
MAX_WHY = 200
"""Characters of a reason."""


@dataclass(frozen=True)
class Use:
    """Starts with an archive, and when the last one was reported, in seconds since 1970."""

    starts: int
    last: int


@dataclass(frozen=True)
class Counts:
    """`whys` has the last words of each outcome."""

    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    whys: Mapping[Outcome, str] = field(default_factory=dict)
    archives: Mapping[str, Use] = field(default_factory=dict)

    def plus(self, other: Counts) -> Counts:
        """Both together. Archives beyond the bound are forgotten, those that were used longest ago first."""
        outcomes = dict(self.outcomes)
        for outcome, count in other.outcomes.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        archives = dict(self.archives)
        for archive, use in other.archives.items():
            old = archives.get(archive, Use(0, 0))
            archives[archive] = Use(old.starts + use.starts, max(old.last, use.last))
        latest = sorted(archives.items(), key=lambda item: (-item[1].last, item[0]))[:MAX_ARCHIVES]
        return Counts(outcomes, {**self.whys, **other.whys}, dict(latest))

    def encode(self) -> bytes:
        """For the object store, in canonical form."""
        return encode(
            {
                "outcomes": {outcome.value: count for outcome, count in self.outcomes.items()},
                "whys": {outcome.value: why for outcome, why in self.whys.items()},
                "archives": {name: [use.starts, use.last] for name, use in self.archives.items()},
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Counts:
        """The counts in these bytes.

        Raises:
            StoreBroken: they are not what `encode` wrote.
        """
        try:
            fields = Fields("counts", json.loads(data))
            outcomes, whys, archives = (
                Fields(name, fields.take(name)) for name in ("outcomes", "whys", "archives")
            )
            fields.finish()
            return cls(
                {Outcome(name): outcomes.integer(name) for name in tuple(outcomes.left)},
                {Outcome(name): whys.text(name) for name in tuple(whys.left)},
                {name: _use(name, archives.items(name)) for name in tuple(archives.left)},
            )
        except (ValueError, RecursionError) as error:
            raise StoreBroken(f"not the counts of a key: {error}") from error


def one(outcome: Outcome, archive: str, why: str, now: int) -> Counts:
    """One report of one pod."""
    started = outcome is Outcome.HIT and is_digest(archive)
    return Counts(
        {outcome: 1},
        {outcome: why[:MAX_WHY]} if why else {},
        {archive: Use(1, now)} if started else {},
    )


def total(parts: Iterable[Counts]) -> Counts:
    """All together."""
    result = Counts()
    for part in parts:
        result = result.plus(part)
    return result


def _use(name: str, items: list[object]) -> Use:
    match items:
        case [int(starts), int(last)] if bool not in {type(starts), type(last)}:
            check(is_digest(name), "archives has what is no archive")
            check_integer("starts", starts, least=0)
            check_integer("last", last, least=0)
            return Use(starts, last)
    raise ValueError("archives has what is no use of one")

"""The way of each node through a rollout, from what passes saw: parts that ended, and ways that ended.

A phase that was under way at the first pass is left out: when it began is not known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from warmroot.api.reasons import NodePhase

BEFORE = frozenset({NodePhase.STAGING})
"""Phases after which a node may wait for days until its way goes on."""
ARRIVED, FAILED = "Current", "Failed"


@dataclass(frozen=True)
class Part:
    """A phase that a node has left. Times in Unix seconds."""

    rollout: str
    node: str
    phase: NodePhase
    begin: float
    end: float


@dataclass(frozen=True)
class Way:
    """All of it: from the first part that was seen until the node was in nobody's hands any more."""

    rollout: str
    node: str
    begin: float
    end: float
    result: str


@dataclass
class Ways:
    """What is under way. `observe` takes one pass in after the other."""

    _since: dict[tuple[str, str], tuple[NodePhase, float | None]] = field(default_factory=dict)
    _begun: dict[tuple[str, str], float] = field(default_factory=dict)
    _first: bool = True

    def observe(
        self,
        phases: Mapping[str, Mapping[str, NodePhase]],
        rollouts: Mapping[str, str],
        failed: Mapping[str, Collection[str]],
        now: float,
    ) -> list[Part | Way]:
        """What has ended. `phases`: of nodes under way, by OS object and node. By OS object: the name
        of its rollout, and the nodes on which that failed.
        """
        seen = {(os, node): phase for os, nodes in phases.items() for node, phase in nodes.items()}
        ended = list(self._ended(seen, rollouts, failed, now))
        for key, phase in seen.items():
            self._since.setdefault(key, (phase, None if self._first else now))
        self._first = False
        return ended

    def _ended(
        self,
        seen: Mapping[tuple[str, str], NodePhase],
        rollouts: Mapping[str, str],
        failed: Mapping[str, Collection[str]],
        now: float,
    ) -> Iterator[Part | Way]:
        for key, (phase, since) in list(self._since.items()):
            if seen.get(key) is phase:
                continue
            os, node = key
            del self._since[key]
            rollout = rollouts.get(os, "")
            if since is not None and rollout:
                begun = self._begun.setdefault((rollout, node), since)
                yield Part(rollout, node, phase, since, now)
                if key not in seen and phase not in BEFORE:
                    del self._begun[rollout, node]
                    result = FAILED if node in failed.get(os, ()) else ARRIVED
                    yield Way(rollout, node, begun, now, result)
        # Of rollouts that are not the object's any more nothing will end.
        standing = set(rollouts.values())
        for begun_key in [one for one in self._begun if one[0] not in standing]:
            del self._begun[begun_key]

"""How many nodes may be taken out of service now (rollout.md, rule 1)."""

from __future__ import annotations

from dataclasses import dataclass

from warmroot.api.base import share


@dataclass(frozen=True, slots=True)
class Budget:
    """Nodes that may be down, and nodes that are, for whatever reason."""

    allowed: int
    unavailable: int

    @property
    def free(self) -> int:
        """How many nodes that still serve may be taken now."""
        return max(0, self.allowed - self.unavailable)


def budget(max_unavailable: int | str, total: int, unavailable: int) -> Budget:
    """The budget of a selection of `total` nodes; percentages round down, never below one node.

    Raises:
        ValueError: `max_unavailable` is neither a positive number nor a percentage.
    """
    return Budget(share(max_unavailable, total, round_up=False), unavailable)

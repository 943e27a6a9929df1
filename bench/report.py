"""What a benchmark returns, and how it is printed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Row:
    """One figure of one benchmark.

    `goal` is None for a figure that only informs. `against` names the peer or limit measured in the same
    run, with its value. `failed` are the runs that should have counted and could not: whatever those that are
    left say, the goal is missed.
    """

    bench: str
    figure: str
    value: float
    unit: str
    goal: float | None = None
    better: Literal["lower", "higher"] = "lower"
    against: str = ""
    failed: int = 0

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        if self.failed:
            return False
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal

    @property
    def told(self) -> str:
        """What a reader has to know besides: the peer, and that runs failed."""
        failed = f"{self.failed} failed" if self.failed else ""
        return "; ".join(part for part in (self.against, failed) if part)

    def wire(self) -> dict[str, Any]:
        """The row as JSON has it."""
        row = asdict(self) | {"against": self.told, "met": self.met}
        del row["failed"]
        return row

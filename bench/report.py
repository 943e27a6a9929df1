"""What a benchmark returns, and how it is printed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Row:
    """One figure of one benchmark.

    `goal` is None for a figure that only informs. `against` names the peer or limit measured in the same
    run, with its value.
    """

    bench: str
    figure: str
    value: float
    unit: str
    goal: float | None = None
    better: Literal["lower", "higher"] = "lower"
    against: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal

    def wire(self) -> dict[str, Any]:
        """The row as JSON has it."""
        return asdict(self) | {"met": self.met}

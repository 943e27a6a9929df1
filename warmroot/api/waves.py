"""When nodes begin to move: waves and windows of a rollout."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from warmroot.api.base import Duration, IntOrPercent, LabelSelector, Model, rules

_MINUTE = r"([0-5]?[0-9])"
_HOUR = r"([01]?[0-9]|2[0-3])"
_DAY = r"([1-9]|[12][0-9]|3[01])"
_MONTH = r"([1-9]|1[0-2])"
_WEEKDAY = r"([0-7])"


def _cron_field(unit: str) -> str:
    item = rf"(\*|{unit}(-{unit})?)(/[1-9][0-9]?)?"
    return rf"{item}(,{item})*"


CRON_PATTERN = "^" + " ".join(_cron_field(unit) for unit in (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)) + "$"


class Approval(StrEnum):
    """Whether a wave waits for a person."""

    NONE = "None"
    """It begins when the wave before it is done."""
    REQUIRED = "Required"
    """A person approves it first, for one release."""


class Wave(Model):
    """A share of the nodes, or those with certain labels. Shares are cumulative and round up."""

    model_config = rules(
        (
            "!(has(self.nodes) && has(self.selector))",
            "a wave has nodes (a number or a percentage) or a selector, not both",
        )
    )

    name: str = Field(
        description="Name of the wave, unique in the object.", pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
    )
    nodes: IntOrPercent | None = Field(
        default=None,
        description="How many nodes have been moved when this wave ends, counted from the first wave."
        " Absent, and no selector: all.",
    )
    selector: LabelSelector | None = Field(
        default=None,
        description="The nodes of this wave, by their labels. It ends when each of them was moved.",
    )
    soak: Duration = Field(
        default="0s", description="How long the wave must stay healthy before the next one starts."
    )
    max_failed: int = Field(
        default=0, ge=0, description="How many nodes may fail in this wave before the rollout stops."
    )
    approval: Approval = Field(
        default=Approval.NONE,
        description="Required: wait for the annotation warmroot.io/approve: WAVE@DIGEST.",
    )


class Window(Model):
    """When a node may begin to move. A node that has begun is finished."""

    model_config = rules(
        (
            f"self.cron.matches('{CRON_PATTERN.replace(chr(92), chr(92) * 2)}')",
            "cron must be five fields (minute hour day month weekday), such as '0 1 * * 6'",
        ),
        (
            r"!self.cron.matches('^\\S+ \\S+ (30|31) 2 [*]$')"
            r" && !self.cron.matches('^\\S+ \\S+ 31 (4|6|9|11) [*]$')",
            "cron names a day that its month never has, so the window would never open",
        ),
        (
            "!self.duration.matches('^(0+(ms|s|m|h|d))+$')",
            "duration must be longer than nothing, such as 4h",
        ),
        (
            "timestamp('2026-01-01T00:00:00Z').getHours(self.timeZone) >= 0",
            "timeZone must be an IANA name such as Europe/Berlin or UTC",
        ),
    )

    cron: str = Field(description="When the window opens: minute hour day month weekday.", max_length=128)
    duration: Duration = Field(description="How long it stays open.")
    time_zone: str = Field(
        default="UTC",
        description="IANA time zone in which `cron` is read.",
        max_length=64,
        pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$",
    )

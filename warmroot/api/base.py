"""Scalar types of the API and the shape that all kinds share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

GROUP = "warmroot.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]+)(ms|[smhd])")
DURATION_PATTERN = r"^([0-9]+(ms|s|m|h|d))+$"
DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
TARGET_PATTERN = r"^sha256:[0-9a-f]{64}(\+[0-9a-f]{16})?$"
ARGUMENTS_PATTERN = r"^[0-9a-f]{16}$"
BUDGET_PATTERN = r"^([1-9][0-9]?|100)%$"
_PERCENTAGES = [f"{part}%" for part in range(1, 101)]
_BINARY = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
QUANTITY_PATTERN = r"^[1-9][0-9]*(k|M|G|Ki|Mi|Gi)?$"


def camel(name: str) -> str:
    """`max_unavailable` -> `maxUnavailable`."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


class Model(BaseModel):
    """Base of every API model: camelCase on the wire, unknown fields refused, values frozen."""

    model_config = ConfigDict(
        alias_generator=camel, populate_by_name=True, extra="forbid", frozen=True, use_enum_values=False
    )

    def wire(self) -> dict[str, Any]:
        """The JSON object as the API server stores it: camelCase, absent rather than null."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


Duration = Annotated[
    str,
    Field(pattern=DURATION_PATTERN, max_length=32),
]
"""A length of time such as `90s`, `15m`, `1h30m`, `2d`. `seconds()` reads it."""

Digest = Annotated[str, Field(pattern=DIGEST_PATTERN)]
"""`sha256:` and 64 hex digits of a release's manifest."""

Target = Annotated[str, Field(pattern=TARGET_PATTERN)]
"""A release's digest; with further kernel arguments `+` and their revision. `nodeconfig.target` makes it."""

ArgumentsRevision = Annotated[str, Field(pattern=ARGUMENTS_PATTERN)]
"""16 hex digits, `nodeconfig.arguments_revision` of kernel arguments."""

Quantity = Annotated[str, Field(pattern=QUANTITY_PATTERN, max_length=20)]
"""Bytes, such as `200Mi`. `quantity()` reads it."""


def share_schema(noun: str) -> dict[str, Any]:
    """The schema of a whole number (1 or more) of `noun`, or a share of them from `1%` to `100%`."""
    rule = {
        "rule": f"type(self) == int ? self >= 1 : self in {_PERCENTAGES}",
        "message": f"must be a number of {noun} (1 or more) or a percentage from 1% to 100%",
    }
    return {"x-kubernetes-int-or-string": True, "x-kubernetes-validations": [rule]}


def rules(*pairs: tuple[str, str]) -> ConfigDict:
    """A model's configuration with CEL rules, each with the message for whoever breaks it."""
    validations: list[Any] = [{"rule": rule, "message": message} for rule, message in pairs]
    return ConfigDict(
        alias_generator=camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        json_schema_extra={"x-kubernetes-validations": validations},
    )


IntOrPercent = Annotated[int | str, WithJsonSchema(share_schema("nodes"))]
"""A whole number of nodes, or a share of them such as `10%`.

The rule lists the percentages: the API server prices a rule on int-or-string as if the string were as long
as a request, and refuses `matches()` for its price.
"""


def seconds(duration: str) -> float:
    """Seconds in a Kubernetes-style duration.

    Raises:
        ValueError: `duration` is not of the form `1h30m`.
    """
    if not re.match(DURATION_PATTERN, duration):
        raise ValueError(f"{duration!r} is not a duration such as 90s, 15m or 1h30m")
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(duration))


def quantity(text: str) -> int:
    """Bytes in a quantity such as `200Mi`.

    Raises:
        ValueError: `text` is not of that form.
    """
    match = re.match(r"^([1-9][0-9]*)(k|M|G|Ki|Mi|Gi)?$", text)
    if not match:
        raise ValueError(f"{text!r} is not a quantity such as 500k or 200Mi")
    return int(match[1]) * _BINARY[match[2] or ""]


def share(value: int | str, total: int, *, round_up: bool) -> int:
    """Nodes that an IntOrPercent means out of `total` nodes.

    A budget rounds down and is at least 1; a wave rounds up (rollout.md, rule 11).

    Raises:
        ValueError: `value` is neither a positive number nor a percentage.
    """
    if isinstance(value, int):
        if value < 1:
            raise ValueError(f"{value} is less than one node")
        return value
    if not re.match(BUDGET_PATTERN, value):
        raise ValueError(f"{value!r} is not a percentage from 1% to 100%")
    exact = total * int(value[:-1]) / 100
    return max(1, math.ceil(exact) if round_up else math.floor(exact))


class ConditionStatus(StrEnum):
    """Three-valued truth, as Kubernetes spells it."""

    TRUE = "True"
    """It holds."""
    FALSE = "False"
    """It does not hold."""
    UNKNOWN = "Unknown"
    """Nobody can say."""


class Condition(Model):
    """A standard Kubernetes condition."""

    type: str = Field(description="What is said.", max_length=64)
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: str = Field(description="One word of the kind's documented reasons.", max_length=64)
    message: str = Field(default="", description="What a person should know or do.", max_length=1024)
    last_transition_time: str = Field(
        description="When `status` last changed (RFC 3339, UTC).",
        json_schema_extra={"format": "date-time"},
    )
    observed_generation: int | None = Field(
        default=None, description="The spec generation that this was computed from."
    )


class LabelSelectorRequirement(Model):
    """One expression of a label selector."""

    key: str = Field(description="Label key.")
    operator: str = Field(
        description="In, NotIn, Exists or DoesNotExist.",
        json_schema_extra={"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
    )
    values: tuple[str, ...] = Field(default=(), description="Values for In and NotIn.")


class LabelSelector(Model):
    """A Kubernetes label selector: all of it must match."""

    match_labels: dict[str, str] = Field(default_factory=dict, description="Labels that must be equal.")
    match_expressions: tuple[LabelSelectorRequirement, ...] = Field(
        default=(), description="Expressions that must hold."
    )

    def chooser(self) -> Callable[[Mapping[str, str]], bool]:
        """A quicker `matches`, for many objects."""
        if len(self.match_labels) == 1 and not self.match_expressions:
            ((key, value),) = self.match_labels.items()
            return lambda labels: labels.get(key) == value
        return self.matches

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        if any(labels.get(key) != value for key, value in self.match_labels.items()):
            return False
        return all(_holds(expression, labels) for expression in self.match_expressions)

    def text(self) -> str:
        """As the API server's `labelSelector` parameter has it."""
        parts = [f"{key}={value}" for key, value in sorted(self.match_labels.items())]
        for one in self.match_expressions:
            values = f"({','.join(one.values)})"
            match one.operator:
                case "In":
                    parts.append(f"{one.key} in {values}")
                case "NotIn":
                    parts.append(f"{one.key} notin {values}")
                case "Exists":
                    parts.append(one.key)
                case _:
                    parts.append(f"!{one.key}")
        return ",".join(parts)


def _holds(expression: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    match expression.operator:
        case "In":
            return labels.get(expression.key) in expression.values
        case "NotIn":
            return labels.get(expression.key) not in expression.values
        case "Exists":
            return expression.key in labels
        case _:
            return expression.key not in labels

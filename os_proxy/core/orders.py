"""What the operator orders: OSInstance.spec as frozen values.

The models of `warmroot/api` are pydantic, which the proxy does not pay for; a test holds the two together.
An order with a field that this proxy does not know is refused as a whole: half an order is no order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from os_proxy.core import clocktext
from warmroot import nodeconfig
from warmroot.errors import UserError

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_KNOWN = {"os", "goal", "release", "stagingBandwidth", "barred", "reboot", "config", "configRevision"}
_KNOWN_OF_RELEASE = {"version", "digest", "sources", "argumentsRevision"}
_ARGUMENTS = re.compile(r"([0-9a-f]{16})?")


class Goal(StrEnum):
    """What is wanted now."""

    NONE = "None"
    STAGE = "Stage"
    ACTIVATE = "Activate"
    CONFIRM = "Confirm"
    ROLLBACK = "Rollback"
    CONFIGURE = "Configure"


@dataclass(frozen=True)
class Release:
    """The release that a goal is about."""

    version: str
    digest: str
    sources: tuple[str, ...]
    arguments: str = nodeconfig.NONE
    """Revision of its further kernel arguments."""

    @property
    def target(self) -> str:
        """What is tried, confirmed or given up: the release with its kernel arguments."""
        return nodeconfig.target(self.digest, self.arguments)


@dataclass(frozen=True)
class RebootOrder:
    """One reboot. `deadline` in seconds since 1970."""

    id: str
    deadline: float


@dataclass(frozen=True)
class Config:
    """The settings that belong to the release: their text and its digest. Both empty: the image's own.

    A revision without a text names settings that the slot has already, as where a node returns to it.
    """

    revision: str = nodeconfig.NONE
    text: str = ""

    @property
    def at_hand(self) -> bool:
        """Whether the order has the text, so that it can be written to a slot."""
        return nodeconfig.revision(self.text) == self.revision


@dataclass(frozen=True)
class Orders:
    """One generation of OSInstance.spec. `bandwidth` in bytes per second, None for no limit."""

    generation: int
    goal: Goal = Goal.NONE
    os: str = ""
    release: Release | None = None
    bandwidth: int | None = None
    barred: frozenset[str] = frozenset()
    reboot: RebootOrder | None = None
    config: Config = Config()


def parse(instance: Mapping[str, Any]) -> Orders:
    """The orders in an OSInstance as the API server sent it.

    Raises:
        UserError: a field is missing, unknown or of the wrong type; the message names it.
    """
    try:
        spec = _object(instance, "spec")
        _refuse_unknown("spec", spec, _KNOWN)
        orders = Orders(
            generation=int(_object(instance, "metadata").get("generation", 0)),
            goal=Goal(_text(spec, "goal", default=Goal.NONE)),
            os=_text(spec, "os", default=""),
            release=_release(_object(spec, "release")) if spec.get("release") is not None else None,
            bandwidth=_positive(spec, "stagingBandwidth"),
            barred=frozenset(_target(item) for item in _list(spec, "barred")),
            reboot=_reboot(_object(spec, "reboot")) if spec.get("reboot") is not None else None,
            config=_config(spec),
        )
    except (ValueError, TypeError) as error:
        hint = "bring proxy and operator to one version"
        raise UserError(f"the orders can't be read: {error}", hint=hint) from error
    _complete(orders)
    return orders


def _complete(orders: Orders) -> None:
    needs_release = orders.goal in (Goal.STAGE, Goal.ACTIVATE, Goal.ROLLBACK, Goal.CONFIGURE)
    if needs_release and orders.release is None:
        raise UserError(f"goal {orders.goal} without a release", hint="name spec.release")
    if orders.goal in (Goal.ACTIVATE, Goal.ROLLBACK) and orders.reboot is None:
        raise UserError(f"goal {orders.goal} without a reboot", hint="name spec.reboot")


def _refuse_unknown(name: str, value: Mapping[str, Any], known: set[str]) -> None:
    if unknown := set(value) - known:
        raise ValueError(f"{name}.{min(unknown)} is unknown to this proxy")


def _release(value: Mapping[str, Any]) -> Release:
    _refuse_unknown("spec.release", value, _KNOWN_OF_RELEASE)
    sources = tuple(_list(value, "sources"))
    if not all(isinstance(source, str) for source in sources):
        raise ValueError("release.sources is not a list of addresses")
    arguments = _text(value, "argumentsRevision", default=nodeconfig.NONE)
    if not _ARGUMENTS.fullmatch(arguments):
        raise ValueError(f"{arguments!r} is no revision of kernel arguments")
    return Release(_text(value, "version"), _digest(value.get("digest")), sources, arguments)


def _reboot(value: Mapping[str, Any]) -> RebootOrder:
    return RebootOrder(_text(value, "id"), clocktext.read(_text(value, "deadline")))


def _config(spec: Mapping[str, Any]) -> Config:
    text, revision = _text(spec, "config", default=""), _text(spec, "configRevision", default=nodeconfig.NONE)
    if text and nodeconfig.revision(text) != revision:
        raise ValueError("spec.configRevision is not the digest of spec.config")
    return Config(revision, text)


def _object(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    if not isinstance(found, dict):
        raise ValueError(f"{key} is not an object")
    return found


def _list(value: Mapping[str, Any], key: str) -> list[Any]:
    found = value.get(key, [])
    if not isinstance(found, list):
        raise ValueError(f"{key} is not a list")
    return found


def _text(value: Mapping[str, Any], key: str, default: str | None = None) -> str:
    found = value.get(key, default)
    if not isinstance(found, str):
        raise ValueError(f"{key} is not a string")
    return found


def _digest(value: object) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError(f"{value!r} is not a release digest")
    return value


def _target(value: object) -> str:
    """A release as it is barred: its digest, and the revision of its kernel arguments behind a `+`."""
    digest, plus, arguments = str(value).partition("+")
    if bool(plus) is not bool(arguments) or not _ARGUMENTS.fullmatch(arguments):
        raise ValueError(f"{value!r} is not a release that can be barred")
    return nodeconfig.target(_digest(digest), arguments)


def _positive(value: Mapping[str, Any], key: str) -> int | None:
    found = value.get(key)
    if found is None:
        return None
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise ValueError(f"{key} is not a positive number")
    return found

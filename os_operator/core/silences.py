"""Which nodes Alertmanager is to be silent about, and for how long.

A silence is a short lease: it is extended while the work on a node goes on, and left to run out when the
rollout is stuck, so that somebody is paged. When a node is done it ends at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from os_operator.core import instants
from os_operator.core.node_way import Move
from os_operator.core.survey import Pass
from warmroot.api.os import AlertSilence

LEASE = 300.0
"""Seconds for which a silence is asked."""
RENEW = 150.0
"""Seconds before its end from which a silence is extended."""
AUTHOR = "warmroot"
STANDING = ("active", "pending")
"""Pending: Alertmanager's clock is behind ours."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A node that is being moved. `goes_on` is False where the work on it is stuck: nothing is extended."""

    os: str
    os_uid: str
    node: str
    place: AlertSilence
    goes_on: bool = True

    @property
    def comment(self) -> str:
        """What people read in Alertmanager, and by what it is found again."""
        return f"OS {self.os} moves {self.node}; {self.mark}"

    @property
    def mark(self) -> str:
        """What all silences of one OS object have in their comments; other clusters have other ones."""
        return mark(self.os_uid)

    @property
    def key(self) -> tuple[str, AlertSilence, str]:
        """What it is about, stuck or not."""
        return self.os_uid, self.place, self.node


def mark(os_uid: str) -> str:
    """The end of the comments of an OS object's silences."""
    return f"warmroot {os_uid}"


def silences(state: Pass) -> Iterator[Silence]:
    """The nodes that one OS object moves, after what each needs next is known."""
    place = state.rollout.silence
    if place is None:
        return
    shown = dict(state.tally.rows)
    for node, _, way in state.tally.in_motion:
        if way.move is Move.RELEASE:
            continue
        told = shown.get(node.name, way)
        late = told.deadline is not None and state.now > told.deadline
        stuck = late or told.failed is not None or (bool(state.halted) and not state.takes_back)
        yield Silence(state.os.name, state.os.uid, node.name, place, not stuck)


def due(silence: Silence, ends: float | None, now: float) -> bool:
    """Whether Alertmanager is to be asked now; `ends` is when its silence ends, as far as is known."""
    return silence.goes_on and (ends is None or ends - now < RENEW)


def ours(found: Any, silence: Silence) -> bool:
    """Whether a silence that Alertmanager has is this one, and can still be extended."""
    return (
        isinstance(found, dict)
        and found.get("createdBy") == AUTHOR
        and found.get("comment") == silence.comment
        and _state(found) in STANDING
        and found.get("matchers") == matchers(silence)
    )


def left_over(found: Any, os_uid: str, comments: frozenset[str]) -> bool:
    """Whether it is a silence of an OS object about a node that is not moved any more."""
    if not isinstance(found, dict) or found.get("createdBy") != AUTHOR or _state(found) not in STANDING:
        return False
    comment = str(found.get("comment"))
    return comment.endswith(mark(os_uid)) and comment not in comments


def matchers(silence: Silence) -> list[dict[str, Any]]:
    """The alerts that are silenced, as Alertmanager's API has them."""
    value = {"name": silence.place.label, "value": silence.node}
    return [value | {"isEqual": True, "isRegex": False}]


def wish(silence: Silence, standing: Any, now: float) -> dict[str, Any]:
    """What Alertmanager is asked for: a new silence, or `standing` for longer. Its start stays as it was:
    with another one Alertmanager would make a second silence.
    """
    body = {
        "matchers": matchers(silence),
        "startsAt": instants.text(now),
        "endsAt": instants.text(now + LEASE),
        "createdBy": AUTHOR,
        "comment": silence.comment,
    }
    if standing is not None:
        body |= {"id": standing["id"], "startsAt": standing["startsAt"]}
    return body


def _state(found: dict[str, Any]) -> Any:
    status = found.get("status")
    return status.get("state") if isinstance(status, dict) else None

"""How far a key is, in words for a person who waits for its archive or wonders why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from jboost_server.core.orders import Book
from jboost_server.core.publication import Publication, State


class Stage(StrEnum):
    """What the service does for a key now, or what became of it."""

    LEARNING = "Learning"
    BUILDING = "Building"
    SERVING = "Serving"
    REFUSED = "Refused"
    WITHDRAWN = "Withdrawn"


@dataclass(frozen=True)
class Progress:
    """The stage, and why."""

    stage: Stage
    why: str


def progress(built: Sequence[Publication], book: Book, recordings: int, wanted: int, now: int) -> Progress:
    """How far a key is. `built` has the latest first; `wanted` recordings are learned from."""
    for each in built:
        if each.state is State.SERVING:
            return Progress(Stage.SERVING, each.why)
    if book.order is not None and book.order.live(now):
        return Progress(Stage.BUILDING, f"by {book.order.holder}")
    for state, stage in ((State.WITHDRAWN, Stage.WITHDRAWN), (State.REFUSED, Stage.REFUSED)):
        for each in built:
            if each.state is state:
                return Progress(stage, each.why)
    book = book.at(now)
    last = book.ended.why if book.ended else ""
    if failures := book.given_up(now):
        then = datetime.fromtimestamp(failures.tried_again, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return Progress(
            Stage.REFUSED,
            f"{failures.count} builds came to nothing, the last: {last}. Another is tried after {then};"
            " on the service's own machine `jboost build --again` does so at once",
        )
    if book.ended is not None and book.failed:
        return Progress(Stage.LEARNING, f"the last build came to nothing: {last}")
    return Progress(Stage.LEARNING, f"{recordings} of {wanted} recordings are there")

"""Points in time: Unix seconds inside, RFC 3339 in UTC at the edge."""

from __future__ import annotations

from datetime import UTC, datetime


def parse(text: str | None) -> float | None:
    """Unix seconds of an RFC 3339 time; None for nothing or for something else."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def text(moment: float) -> str:
    """RFC 3339 with whole seconds. What a status stores, so that reading it back changes nothing."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def optional(moment: float | None) -> str | None:
    """`text`, or None for None."""
    return None if moment is None else text(moment)

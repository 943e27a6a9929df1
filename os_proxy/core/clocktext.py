"""Instants as the API spells them (RFC 3339, UTC, whole seconds) and as the engine counts them (seconds)."""

from __future__ import annotations

from datetime import UTC, datetime


def spell(instant: float) -> str:
    """`2026-11-25T02:13:48Z` for seconds since 1970."""
    return datetime.fromtimestamp(int(instant), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(text: str) -> float:
    """Seconds since 1970.

    Raises:
        ValueError: not RFC 3339, or without a time zone.
    """
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return parsed.timestamp()

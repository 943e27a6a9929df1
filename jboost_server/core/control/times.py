"""Times as the API has them, and as we count: Unix seconds."""

from __future__ import annotations

from datetime import UTC, datetime


def instant(text: str) -> float:
    """Unix seconds of a time as the API server writes it; 0 if it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def when(seconds: float) -> str:
    """A time in Unix seconds as the API has it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

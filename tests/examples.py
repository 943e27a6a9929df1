"""How many examples a property is worth."""

from __future__ import annotations

from hypothesis import settings

_OF_OTHERS = 100


def examples(count: int) -> settings:
    """`count` of them where others have 100, and as much fewer in a quick run as those have then."""
    return settings(max_examples=max(1, count * settings().max_examples // _OF_OTHERS))

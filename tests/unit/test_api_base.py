"""Durations, quantities, shares and selectors mean what rollout.md and Kubernetes say."""

from __future__ import annotations

import pytest

from warmroot.api.base import LabelSelector, quantity, seconds, share


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172800), ("500ms", 0.5)]
)
def test_a_duration_is_read_in_seconds(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "90", "4x", "-1s", "1h 30m"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="not a duration"):
        seconds(text)


def test_binary_and_decimal_quantities_differ():
    assert (quantity("200Mi"), quantity("200M"), quantity("7")) == (209715200, 200000000, 7)


@pytest.mark.parametrize(
    ("value", "total", "budget", "wave"),
    [
        (1, 40, 1, 1),
        ("10%", 40, 4, 4),
        ("10%", 5, 1, 1),
        ("50%", 5, 2, 3),
        ("1%", 3, 1, 1),
        ("100%", 7, 7, 7),
    ],
)
def test_a_budget_rounds_down_and_a_wave_up_and_neither_is_below_one(value, total, budget, wave):
    assert share(value, total, round_up=False) == budget
    assert share(value, total, round_up=True) == wave


@pytest.mark.parametrize("value", [0, -1, "0%", "101%", "ten", "10"])
def test_what_is_no_share_is_refused(value):
    with pytest.raises(ValueError):
        share(value, 10, round_up=True)


def test_a_selector_needs_all_labels_and_all_expressions():
    selector = LabelSelector.model_validate(
        {
            "matchLabels": {"tier": "canary"},
            "matchExpressions": [
                {"key": "zone", "operator": "In", "values": ["a", "b"]},
                {"key": "gpu", "operator": "DoesNotExist"},
            ],
        }
    )

    assert selector.matches({"tier": "canary", "zone": "a"})
    assert not selector.matches({"tier": "canary", "zone": "c"})
    assert not selector.matches({"tier": "canary", "zone": "a", "gpu": "1"})
    assert not selector.matches({"zone": "a"})

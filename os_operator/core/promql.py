"""PromQL with a node's name in it, and what Prometheus's answer to a query comes to.

A placeholder stands for something only inside of quotes, and is escaped for them: nothing that a node says of
itself can become a part of the query's grammar.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from os_operator.core.world import Answer
from warmroot.api.health import CheckReason, PrometheusCheck

_LITERAL = re.compile(
    r"""(?P<regex>[=!]~)?(?P<gap>\s*)(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)"""
)
_PLACEHOLDER = re.compile(r"\{(nodeName|nodeIP)\}(:?)")
_SPECIAL = re.compile(r"([^0-9A-Za-z_-])")
NOT_QUOTED = "{nodeName} and {nodeIP} have to be inside of quotes"


def problem(query: str) -> str:
    """What is wrong with a query, as far as it can be said without Prometheus; or nothing."""
    return NOT_QUOTED if _PLACEHOLDER.search(_LITERAL.sub("", query)) else ""


def with_node(query: str, name: str, address: str) -> str:
    """The query about one node. An IPv6 address gets brackets where a port follows."""

    def value(match: re.Match[str]) -> str:
        text = name if match[1] == "nodeName" else address
        return (f"[{text}]" if match[2] and ":" in text else text) + match[2]

    def literal(match: re.Match[str]) -> str:
        regex, text = match["regex"], match["text"]
        quoting = _escape_for(regex=regex is not None, raw=text.startswith("`"))
        inside = _PLACEHOLDER.sub(lambda found: quoting(value(found)), text)
        return f"{regex or ''}{match['gap']}{inside}"

    return _LITERAL.sub(literal, query)


def _escape_for(*, regex: bool, raw: bool) -> Callable[[str], str]:
    """How a value is written in a literal: `raw` ones know no escapes, those after =~ are expressions."""

    def escape(value: str) -> str:
        if regex:
            value = _SPECIAL.sub(r"\\\1", value)
        return value if raw else re.sub(r"""(["'\\])""", r"\\\1", value)

    return escape


def judge(check: PrometheusCheck, status: int, body: bytes) -> Answer:
    """What the answer to an instant query comes to. Of a vector the worst sample counts."""
    try:
        said = json.loads(body)
        outcome = said["status"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Answer(CheckReason.BAD_ANSWER, f"status {status}, and not what Prometheus's API says")
    if outcome != "success":
        text = str(said.get("error", "")).splitlines()
        return Answer(
            CheckReason.QUERY_FAILED, f"{said.get('errorType', 'error')}: {text[0] if text else ''}"
        )
    try:
        return _samples(check, said["data"]["resultType"], said["data"]["result"])
    except (ValueError, KeyError, TypeError, IndexError):
        return Answer(CheckReason.BAD_ANSWER, "its samples are not as Prometheus's API says")


def _samples(check: PrometheusCheck, kind: str, result: Any) -> Answer:
    if kind == "scalar":
        values = [float(result[1])]
    elif kind == "vector":
        if any("value" not in sample for sample in result):
            return Answer(CheckReason.WRONG_TYPE, "the samples are histograms; make the query give a number")
        values = [float(sample["value"][1]) for sample in result]
    else:
        return Answer(
            CheckReason.WRONG_TYPE, f"the query gives a {str(kind)[:20]}, and not a vector or a scalar"
        )
    if not values:
        return Answer(CheckReason.NO_SAMPLE, "the query found nothing")
    if any(math.isnan(value) for value in values):
        return Answer(CheckReason.NOT_A_NUMBER, "a sample is NaN")
    if check.max is not None:
        worst, bound, over = max(values), check.max, "above max"
        wrong = worst > bound
    else:
        assert check.min is not None
        worst, bound, over = min(values), check.min, "below min"
        wrong = worst < bound
    return Answer(CheckReason.OUT_OF_BOUNDS, f"{worst:.4g} is {over} {bound:g}") if wrong else Answer()

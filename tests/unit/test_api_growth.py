"""Within one API version the CRDs only grow: what was stored once is served, written and understood."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from tests.schemas import narrowed
from warmroot.api.crdgen import DEFINITIONS, crd

FIRST = Path(__file__).resolve().parents[1] / "api" / "data" / "first-crds.yaml"
SHA, TARGET = "^sha256:[0-9a-f]{64}$", r"^sha256:[0-9a-f]{64}(\+[0-9a-f]{16})?$"
WIDER = f"pattern {SHA} -> {TARGET}"
CHECKED = {
    f"oses.status.targetDigest: {WIDER}": "lets the first through",
    f"oses.status.failed[].digest: {WIDER}": "lets the first through",
    f"oses.status.history[].digest: {WIDER}": "lets the first through",
    f"osinstances.spec.barred[]: {WIDER}": "lets the first through",
    "oses.status.waiting[].reason: enum without AdminCordon": "no operator ever wrote it",
    "oses.status.failed[].reason: enum without AdminCordon": "no operator ever wrote it",
    "oses.spec.rollout.waves[].nodes: default 100% -> None": "a wave without it means the same: all nodes",
    "oses.spec.rollout.waves[]: rule a wave has nodes (a number or a percentage) or a selector, not both": (
        "about a field that came with it"
    ),
    "oses.spec.rollout.drain: rule the first rule that matches counts, so only the last one may have an"
    " empty selector": "about a field that came with it",
    "osinstances: rule spec.config needs spec.configRevision, its digest": "about a field that came with it",
}
"""What no program can tell from a narrowing, and why it is none."""


def schema(document):
    [version] = document["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]


@pytest.mark.parametrize(
    "first", list(yaml.safe_load_all(FIRST.read_text())), ids=lambda one: one["metadata"]["name"]
)
def test_what_the_first_crds_let_in_the_models_of_today_let_in(first):
    [definition] = [one for one in DEFINITIONS if one.kind == first["spec"]["names"]["kind"]]
    today = crd(definition)
    assert first["spec"]["names"].items() <= today["spec"]["names"].items()
    assert [one["name"] for one in first["spec"]["versions"]] == ["v1alpha1"]
    found = set(narrowed(schema(first), schema(today), definition.plural))
    assert found - CHECKED.keys() == set(), "see CONTRIBUTING.md, the API only grows"
    assert {one for one in CHECKED if one.startswith(definition.plural)} == found, "what is over is taken out"


OLD = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "maxLength": 8, "pattern": "^a", "default": "a"},
        "kind": {"type": "string", "enum": ["A", "B"]},
        "free": {"type": "string"},
        "list": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "items": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}},
        },
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


def changed(*path, **keys):
    new = deepcopy(OLD)
    at = new
    for part in path:
        at = at[part]
    at.update(keys)
    return new


NAME, LIST, SIZE = (
    ("properties", "name"),
    ("properties", "list"),
    ("properties", "list", "items", "properties", "size"),
)


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (changed(*NAME, type="integer"), ".name: type string -> integer"),
        (changed(*NAME, maxLength=7), ".name: maxLength 8 -> 7"),
        (changed(*NAME, pattern="^b"), ".name: pattern ^a -> ^b"),
        (changed(*NAME, default="b"), ".name: default a -> b"),
        (changed("properties", "free", maxLength=9), ".free: maxLength None -> 9"),
        (changed("properties", "free", enum=["x"]), ".free: enum without anything"),
        (changed("properties", "kind", enum=["B", "C"]), ".kind: enum without A"),
        (changed(*SIZE, minimum=2), ".list[].size: minimum 1 -> 2"),
        (changed(*LIST, **{"x-kubernetes-list-type": "set"}), ".list: x-kubernetes-list-type map -> set"),
        (changed(*LIST, items={"type": "object"}), ".list[].size: removed"),
        (changed("properties", "labels", additionalProperties={"type": "integer"}),
         ".labels{}: type string -> integer"),
        (changed(required=["name", "kind"]), ".kind: required"),
        (changed(**{"x-kubernetes-validations": [{"rule": "false", "message": "never"}]}), ": rule never"),
    ],
)  # fmt: skip
def test_each_kind_of_narrowing_is_found(new, told):
    assert list(narrowed(OLD, new)) == [told]


def test_what_only_grows_is_no_narrowing():
    new = changed(*NAME, maxLength=9)
    new["properties"]["new"] = {"type": "string"}
    new["properties"]["kind"]["enum"].append("C")
    new["required"] = []
    del new["properties"]["list"]["items"]["properties"]["size"]["minimum"]
    assert list(narrowed(OLD, new)) == []

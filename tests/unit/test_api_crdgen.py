"""The CRDs are what the models say, in the dialect that the API server accepts."""

from __future__ import annotations

from typing import Any

import pytest

from warmroot.api import crdgen


def _nodes(schema: Any):
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from _nodes(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _nodes(value)


@pytest.mark.parametrize("definition", crdgen.DEFINITIONS, ids=lambda definition: definition.kind)
def test_no_schema_uses_what_a_structural_schema_cannot_say(definition):
    schema = crdgen.crd(definition)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    forbidden = {"$ref", "$defs", "anyOf", "title", "const"}

    assert [node for node in _nodes(schema) if forbidden & node.keys()] == []


@pytest.mark.parametrize("definition", crdgen.DEFINITIONS, ids=lambda definition: definition.kind)
def test_every_field_has_a_description(definition):
    schema = crdgen.crd(definition)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    def undescribed(node: dict[str, Any], path: str):
        for name, child in node.get("properties", {}).items():
            here = f"{path}.{name}"
            if "description" not in child:
                yield here
            yield from undescribed(child.get("items", child), here)

    for half in {"spec", "status"} & schema["properties"].keys():
        assert list(undescribed(schema["properties"][half], half)) == []


def test_the_files_in_the_repository_are_what_the_generator_writes():
    written = {path.name: path.read_text() for path in crdgen.CRDS.glob("*.yaml")}

    assert written == crdgen.render()


def test_an_optional_field_is_not_nullable_but_absent():
    digest = crdgen.crd(crdgen.DEFINITIONS[0])["spec"]["versions"][0]["schema"]["openAPIV3Schema"][
        "properties"
    ]["spec"]["properties"]["release"]

    assert "digest" not in digest["required"]
    assert digest["properties"]["digest"]["type"] == "string"

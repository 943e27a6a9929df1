"""Writes `docs/reference.md`: every field of our kinds and every word that they use, from the models.

python -m warmroot.api.reference            write
python -m warmroot.api.reference --check    exit 1 if what is there differs
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from warmroot.api import base, health, javacache, os, osinstance, reasons, waves
from warmroot.api.crdgen import DEFINITIONS, Definition, Schema, crd

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference.md"
MODULES = (os, osinstance, javacache, waves, health, reasons, base)
HEAD = """# Fields and words of the API
Written by `python -m warmroot.api.reference` from the models; never edited by hand. `kubectl explain os.spec`
says the same of fields. What a field does in the whole is told in [rollouts](rollouts.md),
[health checks](health-checks.md), [settings of nodes](node-configuration.md), [the protocol of
nodes](node-protocol.md) and, for JavaCaches, [injection](java-injection.md) and
[the controller](java-controller.md).
"""


def enums() -> dict[str, type[StrEnum]]:
    """Every enumeration of the API, by its name."""
    return {
        name: value
        for module in MODULES
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, StrEnum) and value.__module__ == module.__name__
    }


def meanings(words: type[StrEnum]) -> dict[str, str]:
    """What each member means: the text below it in the source. A member without one is not in it."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(words)))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef))
    found = {}
    for member, text in pairwise(body):
        match member, text:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(said))):
                found[words[name].value] = " ".join(said.split())
    return found


def render() -> str:
    """The page."""
    known = {frozenset(words): name for name, words in enums().items()}
    parts = [HEAD]
    for definition in DEFINITIONS:
        parts += [f"## {definition.kind}\n{definition.description}\n", *_kind(definition, known)]
    parts.append("## Words\n")
    for name, words in sorted(enums().items()):
        said = meanings(words)
        rows = "".join(f"| `{word}` | {said.get(word, '')} |\n" for word in words)
        parts.append(f"### {name}\n{inspect.getdoc(words)}\n\n| word | meaning |\n| --- | --- |\n{rows}")
    return "\n".join(parts)


def _kind(definition: Definition, known: Mapping[frozenset[StrEnum], str]) -> Iterator[str]:
    (version,) = crd(definition)["spec"]["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    for part in ("spec", "status"):
        if part not in properties:
            continue
        rows = "".join(
            f"| `{path}` | {_type(field, known)} | {_default(field)} | {_text(field)} |\n"
            for path, field in _fields(part, properties[part])
        )
        yield f"| field | type | default | |\n| --- | --- | --- | --- |\n{rows}"


def _fields(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        inner = field
        while inner.get("type") == "array":
            inner = inner["items"]
        yield from _fields(f"{path}.{name}{'[]' if inner is not field else ''}", inner)


def _type(field: Schema, known: Mapping[frozenset[StrEnum], str]) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if field.get("type") == "array":
        return f"list of {_type(field['items'], known)}"
    if "enum" in field:
        name = known.get(frozenset(field["enum"]))
        return f"[{name}](#{name.lower()})" if name else " or ".join(f"`{one}`" for one in field["enum"])
    return str(field.get("type", "any"))


def _default(field: Schema) -> str:
    return f"`{json.dumps(field['default'])}`" if "default" in field else ""


def _text(field: Schema) -> str:
    return " ".join(str(field.get("description", "")).split()).replace("|", "\\|")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="reference", description="Writes docs/reference.md.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if it is not up to date")
    check, page = parser.parse_args().check, render()
    if PAGE.exists() and PAGE.read_text() == page:
        return
    if check:
        sys.exit("docs/reference.md is not up to date; run python -m warmroot.api.reference")
    PAGE.write_text(page)


if __name__ == "__main__":
    main()

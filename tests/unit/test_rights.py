"""Each program has the rights that its code calls for, and not one more.

That nothing is missing shows wherever a test runs a program under its role. What nobody calls would never
show, so calls are read out of the sources: the verb, the kind, the subresource.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from os_operator.shell.gather import KINDS
from warmroot.kube.cluster import EVENT, JAVA_CACHE, LEASE, OS, Kind

ROOT = Path(__file__).parents[2]
Right = tuple[str, str, str]
"""API group, resource with its subresource, verb."""
VERBS = {
    "get": ["get"],
    "list": ["list"],
    "pages": ["list"],
    "watch": ["watch"],
    "create": ["create"],
    "replace": ["update"],
    "patch": ["patch"],
    "delete": ["delete"],
    "apply": ["patch"],
}
"""What a method of Cluster asks of the API server."""
ANY: tuple[Kind, ...] = ()
"""Kinds that the author of a health check names, and grants."""


@dataclass(frozen=True)
class Program:
    """What is read: folders of sources, and what shared parts call for it; what it is granted."""

    sources: tuple[str, ...]
    manifests: tuple[str, ...]
    informed: tuple[Kind, ...] = ()
    elected: bool = False
    tells: bool = False
    files: tuple[str, ...] = ()
    """Of a folder of which it uses no more than these."""
    variable: tuple[tuple[str, str, tuple[Kind, ...]], ...] = ()
    """Calls whose kind is a variable: module, method, and which kinds it can be."""
    granted_on_request: tuple[Right, ...] = ()
    """What administrators grant who use what needs it, in a namespace or by name."""
    created_by_apply: tuple[str, ...] = ()
    """Resources that a server-side apply may have to make."""


PROGRAMS = {
    "operator": Program(
        ("os_operator/shell",),
        ("base/operator-rbac.yaml", "node-conditions/rbac.yaml"),
        informed=(*KINDS, OS),  # and kopf
        elected=True,
        tells=True,
        variable=(
            ("os_operator/shell/cache.py", "get", KINDS),
            ("os_operator/shell/ask_cluster.py", "get", ANY),
            ("os_operator/shell/ask_cluster.py", "list", ANY),
        ),
        granted_on_request=(("", "secrets", "get"),),  # tokens and authorities of health checks
    ),
    "dashboard": Program(
        (),
        ("dashboard/rbac.yaml",),
        informed=(*KINDS, JAVA_CACHE),
        files=(
            "os_operator/plugin/watching.py",
            "os_operator/shell/gather.py",
            "os_operator/shell/volumes.py",
        ),
        variable=(("os_operator/plugin/watching.py", "pages", KINDS),),
    ),
    "proxy": Program(("os_proxy/backends",), ("base/proxy-rbac.yaml",)),
    "cache service": Program(("jboost_server/web",), ("jboost/rbac.yaml",)),
    "webhook": Program(("jboost_server/webhook",), ("jboost/webhook-rbac.yaml",), informed=(JAVA_CACHE,)),
    "controller": Program(
        ("jboost_server/controller",),
        ("jboost/controller-rbac.yaml",),
        informed=(JAVA_CACHE, Kind("batch", "v1", "jobs", "Job")),
        elected=True,
        tells=True,
        created_by_apply=("networkpolicies",),
    ),
}


def called(program: Program) -> Iterator[Right]:
    for kind in program.informed:
        yield from ((kind.group, kind.plural, verb) for verb in ("list", "watch"))
    if program.elected:
        yield from of_file(ROOT / "warmroot/kube/lease.py", program)
    if program.tells:
        yield EVENT.group, EVENT.plural, "create"
    for folder in program.sources:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield from of_file(path, program)
    for name in program.files:
        yield from of_file(ROOT / name, program)


def of_file(path: Path, program: Program) -> Iterator[Right]:
    name = str(path.relative_to(ROOT))
    module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    for node in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        method, on = node.func.attr, ast.unparse(node.func.value)
        if method not in VERBS or on.rpartition(".")[2] not in {"cluster", "_cluster"}:
            continue
        below = [ast.literal_eval(one.value) for one in node.keywords if one.arg == "subresource"]
        for kind in kinds(node.args[0], module, (name, method), program):
            resource = "/".join((kind.plural, *below))
            made = ["create"] if method == "apply" and resource in program.created_by_apply else []
            yield from ((kind.group, resource, verb) for verb in (*VERBS[method], *made))


def kinds(argument: ast.expr, module: object, call: tuple[str, str], program: Program) -> Iterable[Kind]:
    name = ast.unparse(argument)
    found = getattr(module, name, None)
    if isinstance(found, Kind):
        return (found,)
    known = [of for where, method, of in program.variable if (where, method) == call]
    assert known, f"{call[0]}: nobody said which kinds `{name}` of .{call[1]}() can be"
    return known[0]


def granted(program: Program) -> Iterator[Right]:
    for path in program.manifests:
        for document in yaml.safe_load_all((ROOT / "deploy" / path).read_text()):
            for rule in document.get("rules") or ():
                for group in rule["apiGroups"]:
                    yield from ((group, to, verb) for to in rule["resources"] for verb in rule["verbs"])


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_has_the_rights_that_its_code_calls_for_and_no_more(name):
    program = PROGRAMS[name]
    wanted, has = set(called(program)), set(granted(program))
    assert has - wanted == set(), "granted, and nothing calls it"
    assert wanted - has == set(program.granted_on_request), "called, and not granted"


def test_no_role_has_a_wildcard_or_reads_secrets_of_others():
    for program in PROGRAMS.values():
        for path in program.manifests:
            for document in yaml.safe_load_all((ROOT / "deploy" / path).read_text()):
                for rule in document.get("rules") or ():
                    assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}, path
                    if "secrets" in rule["resources"] and {*rule["verbs"]} - {"create"}:
                        assert rule["resourceNames"], path


def test_a_lease_is_one_of_our_own():
    assert (LEASE.group, LEASE.plural, "get") in set(granted(PROGRAMS["operator"]))

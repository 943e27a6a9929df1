"""Public functions name the errors that they raise: `python -m scripts.check_raises [PATH …]`.

A docstring names an error, or one of its ancestors, or says whose promise it keeps ("See `Port.method`.",
"See `module.function`.", "As the port says."). Errors that come from further below are the author's to name:
nothing but a reader sees them all. Commands are exempt: their docstring is their help, and the entry point
shows every error.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from scripts.check_sizes import ours

PARTS = ("warmroot", "os_operator", "os_proxy", "jboost_server", "jboost_agent", "images", "testbed")
_PROMISE = re.compile(r"\bSee `(\w+)\.(\w+)`|\bAs the port says")
_CAPITAL = re.compile(r"[A-Z]\w+")
Def = ast.FunctionDef | ast.AsyncFunctionDef


def judge(modules: dict[Path, str]) -> list[str]:
    """What is not said, one line each."""
    trees = {path: ast.parse(text, str(path)) for path, text in modules.items()}
    parents = _parents(trees.values())
    known = {
        f"{owner or path.stem}.{node.name}" for path, tree in trees.items() for owner, node in _public(tree)
    }
    found = []
    for path, tree in trees.items():
        if path.name.startswith("cli"):
            continue
        for _owner, node in _public(tree):
            said = ast.get_docstring(node) or ""
            promise = _PROMISE.search(said)
            if promise and promise[1] and f"{promise[1]}.{promise[2]}" not in known:
                found.append(f"{path}:{node.lineno}: there is no {promise[1]}.{promise[2]} to see")
            missing = {name for name in _raised(node) if not _named(name, said, parents)}
            if missing and not promise:
                names = ", ".join(sorted(missing))
                found.append(f"{path}:{node.lineno}: {node.name} does not say that it raises {names}")
    return found


def _named(error: str, said: str, parents: dict[str, set[str]]) -> bool:
    """Whether the docstring names the error or an ancestor; of what a function returns, any error will do."""
    words = set(_CAPITAL.findall(said.partition("Raises")[2]))
    if not _CAPITAL.fullmatch(error):
        return bool(words)
    wanted = {error}
    while wanted and not wanted & words:
        wanted = {parent for name in wanted for parent in parents.get(name, ())}
    return bool(wanted)


def _parents(trees: Iterable[ast.Module]) -> dict[str, set[str]]:
    parents: dict[str, set[str]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                parents.setdefault(node.name, set()).update(map(_last, node.bases))
    return parents


def _public(tree: ast.Module) -> Iterator[tuple[str, Def]]:
    """Public functions of a module and methods of its public classes, each with its class's name."""
    for node in tree.body:
        if isinstance(node, Def) and not node.name.startswith("_"):
            yield "", node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from (
                (node.name, each)
                for each in node.body
                if isinstance(each, Def) and not each.name.startswith("_")
            )


def _raised(node: ast.AST, caught: frozenset[str] = frozenset()) -> Iterator[str]:
    """The names in the `raise` statements of a function that it does not catch itself.

    Functions inside it don't count, and neither does what is only passed on.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Def | ast.Lambda):
            continue
        if isinstance(child, ast.Try):
            inside = caught.union(*(map(_last, _types(handler)) for handler in child.handlers))
            for statement in child.body:
                yield from _raised(ast.Module([statement], []), inside)
            rest: list[ast.stmt] = [*child.orelse, *child.finalbody]
            yield from _raised(ast.Module(rest, []), caught)
            for handler in child.handlers:
                yield from _raised(handler, caught | {handler.name or ""})
            continue
        if isinstance(child, ast.Raise) and child.exc is not None:
            name = _last(child.exc.func if isinstance(child.exc, ast.Call) else child.exc)
            if name not in caught:
                yield name
        yield from _raised(child, caught)


def _types(handler: ast.ExceptHandler) -> list[ast.expr]:
    if handler.type is None:
        return []
    return handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]


def _last(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value):
            return _last(value)
    return ""


def main(arguments: Sequence[str]) -> int:
    """Entry point. Exit code 1 if something is not said."""
    paths = [Path(name) for name in arguments] or [path for path in ours() if path.parts[0] in PARTS]
    found = judge({path: path.read_text() for path in paths})
    print("\n".join(found) or f"{len(paths)} modules name their errors")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`jboost gc`: what no start will use any more goes; each with its reason and its bytes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import typer

from jboost_server.core.retention import Retention
from jboost_server.garbage import Deleted, collect
from jboost_server.local import extraction
from jboost_server.local.home import Home, named_errors
from jboost_server.local.status import size
from jboost_server.store.directory import DirectoryStore
from jboost_server.web.tenancy import LOCAL

POLICY = Retention()
_DAY = 86_400


def show(home: Home, *, dry_run: bool) -> None:
    """Deletes and prints; with `dry_run` prints alone.

    Raises:
        StoreError, UserError: something can't be read or deleted.
    """
    if not home.root.exists():
        typer.echo(f"there is nothing in {home.root}")
        return
    now = time.time()
    found: list[Deleted] = []
    if home.store.exists():
        store = DirectoryStore(home.store)
        found += collect(store, POLICY, int(now), tenant=LOCAL, dry_run=dry_run)
        if not dry_run:
            store.sweep()
    with named_errors(home.root):
        for path, why in _unused(home, now):
            found.append(Deleted(str(path.relative_to(home.root)), why, _bytes(path)))
            if not dry_run:
                _remove(path)
    verb = "would delete" if dry_run else "deleted"
    for each in found:
        typer.echo(f"{verb} {each.what} ({size(each.size)}): {each.why}")
    typer.echo(f"{verb} {size(sum(each.size for each in found))} in all" if found else "nothing to delete")


def _unused(home: Home, now: float) -> Iterator[tuple[Path, str]]:
    """Copies of archives that the last start of their application did not use, and extracted jars."""
    days = POLICY.unused_for // _DAY
    for app in sorted((home.root / "apps").glob("*")):
        used = _archive_of_last_start(app)
        for path in sorted((app / "archives").glob("*")):
            if path.name.partition(".")[0] != used and now - path.stat().st_mtime > POLICY.grace:
                yield path, "a copy that the last start did not use"
    for folder in filter(Path.is_dir, sorted(home.extracted().glob("*/*"))):
        with extraction.unheld(folder) as free:
            if free and now - folder.stat().st_mtime > POLICY.unused_for:
                yield folder, f"an extracted jar that was not started for {days} days"


def _archive_of_last_start(app: Path) -> str:
    with suppress(OSError, ValueError):
        found = json.loads((app / "report.json").read_bytes())
        if isinstance(found, dict):
            return str(found.get("archive") or "")
    return ""


def _bytes(path: Path) -> int:
    every = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in every if each.is_file())


def _remove(path: Path) -> None:
    if path.is_dir():
        extraction.delete(path)
    else:
        path.unlink()

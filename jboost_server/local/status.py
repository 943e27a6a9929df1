"""`jboost status`: what the service knows, as a table or as the protocol has it."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jboost_server.local.home import Home
from jboost_server.local.known import here
from jboost_server.local.service import token_of
from warmroot.cli import Output, document
from warmroot.errors import NetworkError, UserError

FIRST_STEP = "jboost run --ready-url http://127.0.0.1:8080/ -- java -jar app.jar"
PATIENCE = 30.0
"""Seconds for one answer."""
_MAX_ANSWER = 64 * 2**20


def ask(server: str, token: Path | None, group: str | None) -> dict[str, Any]:
    """The service's answer to `GET /v1/status`.

    Raises:
        NetworkError: it does not answer, or not sensibly.
        UserError: the token can't be read.
    """
    if not server.startswith(("http://", "https://")):
        raise UserError(f"{server} is no address", hint="give --server as http://host:port")
    query = "?" + urllib.parse.urlencode({"group": group}) if group else ""
    request = urllib.request.Request(f"{server}/v1/status{query}")  # noqa: S310 - http or https, below
    if token is not None:
        request.add_header("Authorization", f"Bearer {token_of(token)}")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            found = json.loads(answer.read(_MAX_ANSWER))
    except urllib.error.HTTPError as error:
        raise _refused(server, error) from error
    except OSError as error:
        why = getattr(error, "reason", error)  # urllib's own error wraps what happened
        words = getattr(why, "strerror", None) or why
        raise NetworkError(
            f"{server} does not answer: {words}", hint="check the address, and whether the service runs"
        ) from error
    except ValueError as error:
        raise NetworkError(f"{server} answers with no JSON: {error}", hint="check the address") from error
    if not isinstance(found, dict) or not isinstance(found.get("groups"), list):
        raise NetworkError(f"{server} is no cache service of ours", hint="check the address")
    return found


def _refused(server: str, error: urllib.error.HTTPError) -> NetworkError:
    try:
        told = json.loads(error.read(_MAX_ANSWER))["error"]
        words = f"{server} refuses: {told['reason']}: {told['message']}"
    except (OSError, ValueError, KeyError, TypeError):
        return NetworkError(
            f"{server} answers {error.code}, and not as a cache service", hint="check the address"
        )
    shown = error.code in {401, 403}
    return NetworkError(
        words, hint="show it a token that it knows: --token FILE" if shown else told.get("hint")
    )


def show(home: Home, server: str | None, token: Path | None, group: str | None, output: Output) -> None:
    """Prints what is known.

    Raises:
        NetworkError, UserError, StoreError: nothing can be known.
    """
    found = ask(server.rstrip("/"), token, group) if server is not None else here(home, group)
    if output is not Output.TEXT:
        typer.echo(document(found, output))
        return
    rows = [(one["group"], key) for one in found["groups"] for key in one["keys"]]
    if not rows:
        where = f"for {group} " if group else ""
        typer.echo(f"nothing is known {where}yet in {server or home.root}; next: {FIRST_STEP}")
        return
    Console(highlight=False, soft_wrap=not sys.stdout.isatty()).print(_table(rows))
    for name, key in rows:
        if key.get("why"):
            typer.echo(f"{name} on {key['jdk']}: {key['why']}")


def _table(rows: list[tuple[str, dict[str, Any]]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("GROUP", overflow="fold")
    table.add_column("JDK", no_wrap=True)
    table.add_column("STATE", no_wrap=True)
    for title in ("RECORDED", "ARCHIVE", "PLAIN", "WARM", "HITS"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("MISSES", overflow="fold")
    for group, key in rows:
        archive = key.get("archive") or {}
        table.add_row(
            escape(group),
            escape(str(key["jdk"])),
            escape(str(key["state"])),
            str(key["recordings"]),
            size(archive["size"]) if archive else "–",
            seconds(archive.get("plain")),
            seconds(archive.get("warm")),
            str(key["hits"]),
            escape(", ".join(f"{name} {count}" for name, count in sorted(key["misses"].items()))) or "–",
        )
    return table


def size(count: int) -> str:
    """Bytes as a person reads them."""
    number = float(count)
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def seconds(milliseconds: int | None) -> str:
    """`4.62 s`, or a dash where nothing was measured."""
    return f"{milliseconds / 1000:.2f} s" if milliseconds else "–"

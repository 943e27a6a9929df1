"""`python -m jboost_server.web`: the service alone, on loopback, for whoever reaches it there.

Tests, benchmarks and the demo start it so. People and containers use `jboost serve`, which knows tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jboost_server.settings import Policy
from jboost_server.web.main import Options, serve
from warmroot.cli import run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    store: Annotated[str, typer.Option(help="A folder, or s3://bucket/prefix.")],
    listen: Annotated[str, typer.Option(help="host:port; port 0 takes a free one.")] = "127.0.0.1:8780",
    key: Annotated[
        list[Path] | None, typer.Option(help="Private Ed25519 key (PEM); twice while keys rotate.")
    ] = None,
    public_keys: Annotated[
        Path | None, typer.Option(help="Where to write the public keys for agents.")
    ] = None,
    recorders: Annotated[int, typer.Option(help="Recordings of one key.")] = 1,
    settle: Annotated[int, typer.Option(help="Seconds that a recorder goes on after it is ready.")] = 60,
    min_gain: Annotated[int, typer.Option(help="Percent by which an archive has to be faster.")] = 10,
    redirect: Annotated[
        bool, typer.Option("--redirect", help="Let readers fetch from S3 itself, by presigned addresses.")
    ] = False,
) -> None:
    """Serve archives, learn from Java processes."""
    policy = Policy(recorders=recorders, settle=settle, min_gain=min_gain)
    serve(
        Options(
            store=store,
            listen=listen,
            keys=tuple(key or ()),
            public_keys=public_keys,
            policy=policy,
            redirect=redirect,
        )
    )


if __name__ == "__main__":
    run(app, "jboost_server.web")

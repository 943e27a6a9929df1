"""`python -m jboost_server.web`: the service in a container."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from jboost_server.settings import Policy
from jboost_server.web.main import Options, serve
from warmroot.cli import run

RECORDERS_OF_A_CLUSTER = 3
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
    s3_endpoint: Annotated[str, typer.Option(help="Address of an S3 server that is not AWS.")] = "",
    tenancy: Annotated[Literal["local", "kubernetes"], typer.Option(help="Who may ask.")] = "local",
    token_file: Annotated[
        Path | None, typer.Option(help="A shared token; needed with local tenancy beyond loopback.")
    ] = None,
    kubeconfig: Annotated[Path | None, typer.Option(help="For the API server, outside of a pod.")] = None,
    recorders: Annotated[
        int | None, typer.Option(help="Recordings of one key; 1, or 3 in a cluster.")
    ] = None,
    settle: Annotated[int, typer.Option(help="Seconds that a recorder goes on after it is ready.")] = 60,
    lease: Annotated[int, typer.Option(help="Seconds that a recorder has in all.")] = 1800,
    min_gain: Annotated[int, typer.Option(help="Percent by which an archive has to be faster.")] = 10,
    samples: Annotated[int, typer.Option(help="Starts a side that builders measure.")] = 5,
    redirect: Annotated[bool, typer.Option(help="Send readers of archives to the S3 store.")] = False,
) -> None:
    """Serve archives, learn from Java pods."""
    chosen = recorders if recorders is not None else 1 if tenancy == "local" else RECORDERS_OF_A_CLUSTER
    serve(
        Options(
            store=store,
            listen=listen,
            keys=tuple(key or ()),
            public_keys=public_keys,
            s3_endpoint=s3_endpoint,
            tenancy=tenancy,
            token_file=token_file,
            kubeconfig=kubeconfig,
            redirect=redirect,
            policy=Policy(recorders=chosen, settle=settle, lease=lease, min_gain=min_gain, samples=samples),
        )
    )


if __name__ == "__main__":
    run(app, "jboost_server.web")

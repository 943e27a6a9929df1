"""`warmroot image`: build a release from a recipe, look into one, print the recipe's schema."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from images import build as building
from images import recipe as recipes
from warmroot.errors import SourceError, UserError
from warmroot.release import manifest as manifests

app = typer.Typer(help="Build OS images.", no_args_is_help=True)


class Output(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print the result.")]


@app.command()
def build(
    recipe: Annotated[Path, typer.Argument(help="The recipe (YAML).")],
    out: Annotated[Path, typer.Option("--out", help="New folder for the release.")],
    output: OutputOption = Output.TEXT,
) -> None:
    """Build root.img, boot.img and manifest.json from RECIPE."""
    built = building.build(recipes.load(recipe), out)
    _show(
        {
            "release": built.manifest.target,
            "digest": built.digest,
            "directory": str(built.dir),
            "rootBytes": built.manifest.root.size,
            "bootBytes": built.manifest.boot.size,
            "seconds": {step: round(seconds, 3) for step, seconds in built.timings.items()},
        },
        output,
    )
    if output is Output.TEXT:
        typer.echo(f"next: warmroot release publish REPOSITORY {built.dir} --keys KEYS")


@app.command()
def schema() -> None:
    """Print the recipe's JSON schema, for editors."""
    typer.echo(json.dumps(recipes.schema(), indent=2))


@app.command()
def inspect(
    release: Annotated[Path, typer.Argument(help="Folder of a built release.")],
    output: OutputOption = Output.TEXT,
) -> None:
    """Print a built release's manifest, after reading every block against it."""
    from warmroot.release.repository import check_boot, check_root

    try:
        data = (release / "manifest.json").read_bytes()
        manifest = manifests.decode(data)
        check_root(release / "root.img", manifest)
        check_boot(release / "boot.img", manifest)
    except OSError as error:
        raise UserError(
            f"{error.filename}: {error.strerror}", hint="name a folder that `warmroot image build` made"
        ) from error
    except SourceError as error:
        raise UserError(f"{release} is not whole: {error.message}", hint="build it again") from error
    _show({"digest": manifests.digest(data), "verified": True, "manifest": json.loads(data)}, output)


def _show(result: dict[str, Any], output: Output) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps(result, indent=2))
        return
    for key, value in result.items():
        typer.echo(f"{key}: {json.dumps(value) if isinstance(value, dict) else value}")

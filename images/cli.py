"""`warmroot image`: build a release from a recipe, look into one, print the recipe's schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from images import build as building
from images import cves as feeds
from images import diff as diffing
from images import recipe as recipes
from images.timing import Report, State, Steps
from warmroot import __version__
from warmroot.cli import Output, OutputOption, print_result
from warmroot.errors import SourceError, UserError
from warmroot.release import manifest as manifests

app = typer.Typer(help="Build OS images.", no_args_is_help=True)
_WIDTH = 80
"""Of what a program says while it works; a package's name fits."""


@app.command()
def build(
    recipe: Annotated[str, typer.Argument(help="The recipe: a YAML file, or the name of a shipped one.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="New folder for the release (default: PRODUCT-VERSION).")
    ] = None,
    formats: Annotated[
        list[building.Format] | None,
        typer.Option("--format", help="Also make a disk, or a file for a registry; may be given again."),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Build root.img, boot.img and manifest.json from RECIPE, and disks that boot it.

    A recipe of Debian packages gives a raw disk where no format is named.
    """
    loaded = recipes.find(recipe)
    wanted = formats or ([building.Format.RAW] if loaded.debian is not None else [])
    folder = out or Path(f"{loaded.product}-{loaded.version}")
    built = building.build(loaded, folder, Steps(_report), formats=wanted)
    _show(
        {
            "release": built.manifest.target,
            "digest": built.digest,
            "directory": str(built.dir),
            "rootBytes": built.manifest.root.size,
            "bootBytes": built.manifest.boot.size,
            "files": {name: str(path) for name, path in built.others.items()},
            "seconds": {step: round(seconds, 3) for step, seconds in built.timings.items()},
        },
        output,
    )
    if output is Output.TEXT:
        typer.echo(f"next: warmroot release publish REPOSITORY {built.dir} --keys KEYS")


@app.command("create-keys")
def create_keys(
    folder: Annotated[Path, typer.Argument(help="A new folder; nobody but you should read it.")],
    owner: Annotated[
        str, typer.Option(help="Whose keys they are, as firmware's menu shows it.")
    ] = "warmroot",
    output: OutputOption = Output.TEXT,
) -> None:
    """Make keys of UEFI Secure Boot in FOLDER, and what a machine needs to learn them.

    NAME.key is secret; of these a build reads db.key alone. NAME.auth is for `efi-updatevar` and its like,
    NAME.cer for firmware's own menu.
    """
    from images.secureboot import keys

    keys.create(folder, owner)
    _show({"keys": str(folder), "names": list(keys.NAMES)}, output)
    if output is Output.TEXT:
        typer.echo(
            f"next: move {folder}/PK.key and KEK.key offline; name {folder} as secureBoot.keys in a recipe"
        )


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="Folder of a built release.")],
    new: Annotated[Path, typer.Argument(help="Folder of another.")],
    cves: Annotated[
        Path | None, typer.Option("--cves", help="A copy of the Debian security tracker's JSON.")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Print what NEW changes: versions, sizes, packages, CVEs, kernel options and arguments, files.

    A CVE with + is not fixed in NEW and was no matter of OLD; one with - is fixed.
    """
    difference = diffing.between(old, new, feeds.read(cves) if cves else None).as_dict()
    print_result(difference, output, lambda: "\n".join(_changes(difference)))


def _changes(difference: dict[str, Any]) -> Iterator[str]:
    for kind, changes in difference.items():
        if changes is None:
            yield f"{kind}: not asked for, see --cves"
            continue
        yield f"{kind}: {f'{len(changes)} changed' if changes else 'the same'}"
        yield from (f"  {_change(**change)}" for change in changes)


def _change(name: str, before: str | None, after: str | None) -> str:
    if before is None:
        return f"+ {name}" + (f" {after}" if after != name else "")
    if after is None:
        return f"- {name}" + (f" {before}" if before != name else "")
    return f"~ {name} {before} -> {after}"


@app.command()
def containers(
    out: Annotated[Path, typer.Option("--out", help="New folder for the images.")] = Path("containers"),
    prefix: Annotated[
        str, typer.Option(help="What their names begin with: a registry and a folder of it.")
    ] = "localhost/warmroot",
    version: Annotated[str, typer.Option(help="What their names end with.")] = __version__,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="operator, jboost or jboost-agent; may be given again."),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Build the container images of our own programs, without an engine: an OCI archive and an SBOM each.

    `skopeo copy oci-archive:FILE docker://NAME` puts one into a registry, `ctr images import FILE` onto a
    node.
    """
    from images.containers import build as ours

    if unknown := sorted(set(only or ()) - set(ours.NAMES)):
        raise UserError(f"there is no image {unknown[0]}", hint=f"there are {', '.join(ours.NAMES)}")
    steps = Steps(_report)
    built = ours.build(out, steps, prefix=prefix, version=version, wanted=only or ours.NAMES)
    told = [
        {
            "name": one.name,
            "digest": one.written.digest,
            "bytes": one.written.size,
            "file": str(one.file),
            "sbom": str(one.bill),
        }
        for one in built
    ]
    lines = [f"{one.file}: {one.written.size / 1e6:.1f} MB, {one.name}@{one.written.digest}" for one in built]
    print_result({"images": told, "seconds": steps.seconds}, output, lambda: "\n".join(lines))


@app.command("list-recipes")
def list_recipes(output: OutputOption = Output.TEXT) -> None:
    """Print the shipped recipes and what each is for."""
    _show(dict(recipes.shipped()), output)


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


def _report(report: Report) -> None:
    """On standard error: standard output belongs to the result."""
    words = {
        State.BEGUN: f"{report.step} …",
        State.WORKING: f"{report.step}, {report.seconds:.0f} s: {report.doing[:_WIDTH]}",
        State.DONE: f"{report.step}: {report.seconds:.1f} s",
        State.FAILED: f"{report.step} failed after {report.seconds:.1f} s",
    }
    typer.echo(f"  {words[report.state]}", err=True)


def _show(result: dict[str, Any], output: Output) -> None:
    print_result(result, output, lambda: "\n".join(map(_line, result.items())))


def _line(pair: tuple[str, Any]) -> str:
    name, value = pair
    return f"{name}: {json.dumps(value) if isinstance(value, dict) else value}"

"""`warmroot release`: keep a release repository."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warmroot.cli import Output, OutputOption, print_result
from warmroot.errors import UserError

if TYPE_CHECKING:
    from warmroot.release.repository import Published, Repository, RoleState, Signers

app = typer.Typer(help="Sign, publish and check releases.", no_args_is_help=True)


RepositoryArgument = Annotated[Path, typer.Argument(metavar="REPOSITORY", help="The repository's folder.")]
KeysOption = Annotated[Path, typer.Option("--keys", help="Folder of PEM keys; never inside the repository.")]
RootDays = Annotated[int, typer.Option(min=1, help="Days until the root expires.")]
TargetsDays = Annotated[int, typer.Option(min=1, help="Days until the list of releases expires.")]
SnapshotDays = Annotated[int, typer.Option(min=1, help="Days until the snapshot expires.")]
TimestampDays = Annotated[int, typer.Option(min=1, help="Days until the timestamp expires.")]


@app.command()
def init(
    repository: RepositoryArgument,
    keys: KeysOption,
    root_keys: Annotated[int, typer.Option(min=1, help="Root keys to make.")] = 3,
    root_threshold: Annotated[int, typer.Option(min=1, help="Root keys that must sign a root.")] = 2,
    root_days: RootDays = 365,
    targets_days: TargetsDays = 90,
    snapshot_days: SnapshotDays = 30,
    timestamp_days: TimestampDays = 7,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a repository, and its keys in a new folder (encrypted if a passphrase is set).

    The passphrase is WARMROOT_KEY_PASSPHRASE, or in the file that WARMROOT_KEY_PASSPHRASE_FILE names.
    """
    from warmroot.release import keys as keyring
    from warmroot.release.repository import ONLINE, Expiry, Repository

    _refuse_inside(repository, keys)
    if root_threshold > root_keys:
        raise UserError(f"--root-threshold {root_threshold} can't be met by --root-keys {root_keys}")
    if (repository / "metadata").exists():
        raise UserError(f"{repository} is a release repository already", hint="name a new folder")
    secret = keyring.passphrase()
    signers: dict[str, Any] = {"root": keyring.create_role(keys, "root", root_keys, secret)}
    signers |= {role: keyring.create_role(keys, role, 1, secret) for role in ONLINE}
    expiry = Expiry(root_days, targets_days, snapshot_days, timestamp_days)
    Repository.create(repository, signers, threshold=root_threshold, expiry=expiry)
    anchor = repository / "metadata" / "1.root.json"
    _print({"repository": str(repository), "keys": str(keys), "trustedRoot": str(anchor)}, output)
    if output is Output.TEXT:
        typer.echo(f"next: move {keys}/root*.pem offline; name {anchor} as trustedRoot in the recipe")


@app.command()
def publish(
    repository: RepositoryArgument,
    release: Annotated[Path, typer.Argument(help="Folder of a built release.")],
    keys: KeysOption,
    targets_days: TargetsDays = 90,
    snapshot_days: SnapshotDays = 30,
    timestamp_days: TimestampDays = 7,
    output: OutputOption = Output.TEXT,
) -> None:
    """Add a built release. Doing it again changes nothing."""
    from warmroot.release.repository import ONLINE, Expiry

    signers = _signers(repository, keys, ONLINE)
    expiry = Expiry(targets=targets_days, snapshot=snapshot_days, timestamp=timestamp_days)
    published = _open(repository, expiry).publish(release, signers)
    _print(_row(published) | {"fresh": published.fresh}, output)


@app.command()
def show(repository: RepositoryArgument, output: OutputOption = Output.TEXT) -> None:
    """List the published releases."""
    found = [_row(one) for one in _open(repository).releases()]
    lines = [
        f"{row['release']}  seq {row['releaseSeq']}  {row['digest']}  root {row['rootBytes']} bytes"
        for row in found
    ]
    nothing = "nothing is published; next: warmroot release publish"
    print_result(found, output, lambda: "\n".join(lines) or nothing)


@app.command()
def keys(repository: RepositoryArgument, output: OutputOption = Output.TEXT) -> None:
    """List each role's trusted keys, its threshold, and when its metadata expires."""
    roles = _open(repository).roles()
    rows = [asdict(one) | {"expires": one.expires.isoformat()} for one in roles]
    print_result(rows, output, lambda: "\n".join(_role_lines(roles)))


def _role_lines(roles: Sequence[RoleState]) -> Iterator[str]:
    for one in roles:
        yield f"{one.role} version {one.version}, expires {one.expires}, needs {one.threshold} of:"
        yield from (f"  {key}" for key in one.keys)


@app.command()
def verify(
    repository: RepositoryArgument,
    root: Annotated[
        Path | None, typer.Option(help="The root to begin with (default: the repository's first).")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Check everything as a node would, every block of every release included."""
    try:
        anchor = root.read_bytes() if root else None
    except OSError as error:
        raise UserError(f"{root} can't be read: {error.strerror}", hint="check --root") from error
    checked = _open(repository).verify(anchor)
    _print({"verified": [one.manifest.target for one in checked]}, output)


@app.command()
def refresh(
    repository: RepositoryArgument,
    keys: KeysOption,
    targets: Annotated[bool, typer.Option(help="Sign the list of releases again too.")] = False,
    targets_days: TargetsDays = 90,
    snapshot_days: SnapshotDays = 30,
    timestamp_days: TimestampDays = 7,
    output: OutputOption = Output.TEXT,
) -> None:
    """Sign snapshot and timestamp again before they expire; needs only their keys."""
    from warmroot.release.repository import Expiry

    roles = (*(("targets",) if targets else ()), "snapshot", "timestamp")
    expiry = Expiry(targets=targets_days, snapshot=snapshot_days, timestamp=timestamp_days)
    opened = _open(repository, expiry)
    opened.refresh(_signers(repository, keys, roles))
    _print({one.role: one.expires.isoformat() for one in opened.roles()}, output)


@app.command()
def rotate(
    repository: RepositoryArgument,
    keys: KeysOption,
    new_keys: Annotated[Path, typer.Option(help="Folder of the new keys: those of every role that changes.")],
    root_threshold: Annotated[
        int | None, typer.Option(min=1, help="New threshold (default: as it is).")
    ] = None,
    root_days: RootDays = 365,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a new root with the keys of --new-keys, signed by those of --keys and by the new root keys."""
    from warmroot.release import keys as keyring
    from warmroot.release.repository import ONLINE, Expiry

    _refuse_inside(repository, new_keys)
    secret = keyring.passphrase()
    found = {role: sorted(new_keys.glob(f"{role}*.pem")) for role in ("root", *ONLINE)}
    new: Signers = {role: keyring.load_role(new_keys, role, secret) for role, files in found.items() if files}
    if not new:
        raise UserError(f"{new_keys} has no keys", hint="put root*.pem, targets.pem, … there")
    old = _signers(repository, keys, ("root",))["root"]
    version = _open(repository, Expiry(root=root_days)).rotate(old, new, threshold=root_threshold)
    _print({"rootVersion": version, "newKeys": sorted(new)}, output)


def _open(folder: Path, expiry: Any = None) -> Repository:
    from warmroot.release.repository import Expiry, Repository

    return Repository(folder, expiry=expiry or Expiry())


def _signers(repository: Path, folder: Path, roles: tuple[str, ...]) -> Signers:
    from warmroot.release import keys as keyring

    _refuse_inside(repository, folder)
    secret = keyring.passphrase()
    return {role: keyring.load_role(folder, role, secret) for role in roles}


def _refuse_inside(repository: Path, folder: Path) -> None:
    if folder.resolve().is_relative_to(repository.resolve()):
        raise UserError(
            f"{folder} is inside the repository, which is served", hint="keep private keys somewhere else"
        )


def _row(published: Published) -> dict[str, Any]:
    manifest = published.manifest
    return {
        "release": manifest.target,
        "releaseSeq": manifest.release_seq,
        "digest": published.digest,
        "rootBytes": manifest.root.size,
        "bootBytes": manifest.boot.size,
    }


def _print(result: dict[str, Any], output: Output) -> None:
    lines = [
        f"{key}: {', '.join(value) if isinstance(value, list) else value}" for key, value in result.items()
    ]
    print_result(result, output, lambda: "\n".join(lines))

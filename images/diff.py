"""What changed between two releases: packages, files, sizes, versions, kernel arguments."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from images import command, cves, inventory
from images.cves import Feed
from images.debian.system import Installed
from images.inventory import Entry
from images.secureboot import uki
from warmroot.disk.bootrecord import Slot
from warmroot.errors import SourceError, UserError
from warmroot.release import manifest as manifests
from warmroot.release.manifest import Manifest

KERNEL_OPTIONS = "kernel.config"
"""The kernel's build options, in a release's folder."""
_VERSIONS = ("version", "release_seq", "min_seq", "kernel", "kubelet", "config_schema")


@dataclass(frozen=True)
class Change:
    """One thing before and after; None where there was, or is, none."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Difference:
    """All changes, each list sorted by name. Sizes in bytes."""

    versions: tuple[Change, ...]
    sizes: tuple[Change, ...]
    packages: tuple[Change, ...]
    cves: tuple[Change, ...] | None
    """What was not fixed in one of them; None where no feed was given."""
    kernel_options: tuple[Change, ...]
    kernel_arguments: tuple[Change, ...]
    files: tuple[Change, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def between(old: Path, new: Path, feed: Feed | None = None) -> Difference:
    """What `new` changes, two folders that a build made. With a feed also which CVEs it closes and opens.

    Raises:
        UserError: a folder is not a release, or lacks a list.
        NotInstalled, StepFailed: mtools is missing, or can't read a boot image.
    """
    before, after = _manifest(old), _manifest(new)
    listed = [_packages(one) for one in (old, new)]
    return Difference(
        versions=_changes(*({name: str(getattr(m, name)) for name in _VERSIONS} for m in (before, after))),
        sizes=_changes(*({"root": str(m.root.size), "boot": str(m.boot.size)} for m in (before, after))),
        packages=_changes(*(_versions(packages) for _, packages in listed)),
        cves=_changes(*(cves.open_in(feed, *one) for one in listed)) if feed is not None else None,
        kernel_options=_changes(*(_kernel_options(one) for one in (old, new))),
        kernel_arguments=_changes(*({word: word for word in _arguments(one)} for one in (old, new))),
        files=_changes(*(_files(one) for one in (old, new))),
    )


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...]:
    return tuple(
        Change(name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )


def _files(release: Path) -> dict[str, str]:
    return {entry.path: _described(entry) for entry in inventory.read(release / inventory.NAME)}


def _described(entry: Entry) -> str:
    """What is compared: rights and owners count like bytes, and a new time stamp would not."""
    owner = f"{entry.mode} {entry.uid}:{entry.gid}"
    return f"{entry.kind} {owner} {entry.size} {entry.content}".rstrip()


def _manifest(release: Path) -> Manifest:
    try:
        return manifests.decode((release / "manifest.json").read_bytes())
    except OSError as error:
        raise _no_release(error) from error
    except SourceError as error:
        raise UserError(f"{release} is not whole: {error.message}", hint="build it again") from error


def _packages(release: Path) -> tuple[str, tuple[Installed, ...]]:
    """The Debian release and the packages; none for a release that was made of files alone."""
    try:
        listed: dict[str, Any] = json.loads((release / "packages.json").read_text())
        return str(listed["suite"]), tuple(Installed(**one) for one in listed["packages"])
    except FileNotFoundError:
        return "", ()
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{release}/packages.json is no list: {error}", hint="build it again") from error


def _versions(packages: Iterable[Installed]) -> dict[str, str]:
    return {(one.name if one.kind == "deb" else f"{one.kind}:{one.name}"): one.version for one in packages}


def _arguments(release: Path) -> list[str]:
    """What GRUB would start; without slot, root hash and their like, which always differ."""
    return [word for word in _command_line(release / "boot.img").split() if not word.startswith("wr.")]


def _command_line(image: Path) -> str:
    step = "reading the boot image"
    names = command.run(step, ["mdir", "-b", "-i", image, "::/"], package="mtools").split()
    if f"::/{uki.NAME}" in names:
        with tempfile.TemporaryDirectory() as work:
            copy = Path(work) / uki.NAME
            command.run(step, ["mcopy", "-i", image, f"::/{uki.NAME}", copy], package="mtools")
            return uki.command_lines(copy.read_bytes())[Slot.A]
    text = command.run(step, ["mtype", "-i", image, "::/slot.cfg"], package="mtools")
    _, _, quoted = text.partition('"')
    return quoted.rstrip().rstrip('"')


def _kernel_options(release: Path) -> dict[str, str]:
    """None where the kernel did not come with them."""
    try:
        lines = (release / KERNEL_OPTIONS).read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {name: value for name, _, value in (line.partition("=") for line in lines if line[:1] == "C")}


def _no_release(error: OSError) -> UserError:
    return UserError(
        f"{error.filename}: {error.strerror}", hint="name a folder that `warmroot image build` made"
    )

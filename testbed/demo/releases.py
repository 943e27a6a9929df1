"""Releases to roll out: built from the test bed's recipe, signed with this run's keys, published as files."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from images import recipe
from images.build import BuiltRelease, build
from images.disk import install
from os_proxy.core.receipts import Receipt, SlotContent, encode
from testbed.machine.machine import Paths
from warmroot.disk import layout
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import MIB
from warmroot.release import keys
from warmroot.release.repository import ONLINE, Repository

ROOT_KEYS, ROOT_THRESHOLD = 2, 2
CHANGES = "/usr/lib/extra.bin"
"""The generated file that differs from release to release; everything else is equal and is reused."""
DATA_SIZE, ESP_SIZE = 16 * MIB, 1 * MIB


@dataclass(frozen=True)
class Release:
    """One published release. `system` is the name that its nodes show, `root_hash` hex."""

    version: str
    digest: str
    root_hash: str
    system: str
    sequence: int
    directory: Path


class Shelf:
    """A release repository of this run, and what makes releases for it."""

    def __init__(self, directory: Path) -> None:
        self.repository = directory / "repository"
        self.made: dict[str, Release] = {}
        self._directory = directory
        self._keys = directory / "keys"
        self._signers = {
            "root": keys.create_role(self._keys, "root", ROOT_KEYS),
            **{role: keys.create_role(self._keys, role, 1) for role in ONLINE},
        }
        self._published = Repository.create(self.repository, self._signers, threshold=ROOT_THRESHOLD)
        self._anchor = directory / "root.json"
        self._anchor.write_bytes(self._published.root_bytes())
        self._recipe: dict[str, Any] = yaml.safe_load(
            (files("images") / "recipes" / "testbed.yaml").read_text()
        )

    def make(self, version: str, *, behaviour: str = "ok") -> Release:
        """Builds, signs and publishes the next release; `behaviour` is its kernel's.

        Raises:
            UserError: the version is taken.
            NotInstalled, StepFailed: a tool of the image builder is missing or failed.
        """
        built = build(self._next(version, behaviour), self._directory / f"built-{version}")
        self._published.publish(built.dir, self._signers)
        release = _released(version, built)
        self.made[version] = release
        return release

    def install(self, release: Release, machine: Paths) -> None:
        """A new machine as an installer leaves it: the release in slot A, confirmed, and its receipt."""
        sizes = self._recipe["partitions"]
        planned = layout.plan(
            boot_size=sizes["boot"], root_size=sizes["root"], data_size=DATA_SIZE, esp_size=ESP_SIZE
        )
        images = {Slot.A: (release.directory / "boot.img", release.directory / "root.img")}
        install(machine.disk, planned, images, BootRecord(1, Slot.A), grub=None)
        receipt = Receipt(release.digest, release.version, release.sequence, SlotContent.VERIFIED)
        manifest = (release.directory / "manifest.json").read_bytes()
        name = release.digest.removeprefix("sha256:")
        for path, data in (("receipts/A", encode(receipt)), (f"manifests/{name}", manifest)):
            file = machine.data / f"{path}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)

    def _next(self, version: str, behaviour: str) -> recipe.Recipe:
        tree = dict(self._recipe)
        tree["version"] = version
        tree["releaseSeq"] = len(self.made) + 1
        tree["trustedRoot"] = str(self._anchor)
        tree["kernel"] = {**tree["kernel"], "stub": {**tree["kernel"]["stub"], "behaviour": behaviour}}
        tree["files"] = [_changed(file, version) for file in tree["files"]]
        return recipe.parse(tree, base=self._directory, name="the test bed's recipe")


def _changed(file: dict[str, Any], version: str) -> dict[str, Any]:
    if file["path"] != CHANGES:
        return file
    return {**file, "generate": {**file["generate"], "seed": f"extra-{version}"}}


def _released(version: str, built: BuiltRelease) -> Release:
    manifest = built.manifest
    return Release(
        version,
        built.digest,
        manifest.root.root_hash.hex(),
        f"{manifest.product} {manifest.version}",
        manifest.release_seq,
        built.dir,
    )

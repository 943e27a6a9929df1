"""From a recipe to a release: root.img (EROFS, then its verity tree), boot.img (FAT) and manifest.json.

Same recipe, same bytes: every time stamp, identifier and owner is fixed, and the programs see no environment.
The version of mkfs.erofs is an input too (node.md, Image). A build happens in `DIR.partial` and is renamed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from images import command, datafs, disk, grub, inventory, oci, pxe, tree
from images.command import EPOCH
from images.debian.system import as_json
from images.diff import KERNEL_OPTIONS
from images.recipe import Compression, Recipe
from images.secureboot import keys, loaders, signing, uki
from images.secureboot.programs import Programs
from images.timing import Steps
from images.tree import Assembled
from warmroot.disk import layout
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.errors import UserError
from warmroot.release import manifest as manifests
from warmroot.release import verity
from warmroot.release.manifest import Manifest
from warmroot.release.verity import BLOCK, Tree

MIB = 1 << 20
_EROFS_UUID = "7761726d-726f-4f74-8000-000000000002"
_FAT_SERIAL = "57520002"
_FAT_SLACK = 256 * 1024
_EROFS_FLAGS = {
    Compression.LZ4HC: ["-zlz4hc", "-C65536"],
    Compression.LZ4: ["-zlz4", "-C65536"],
    Compression.NONE: [],
}


class Format(StrEnum):
    """What a build gives besides: a disk with the release in slot A (raw, qcow2), what installs it from the
    network (pxe), or the release for a registry (oci).
    """

    RAW = "raw"
    QCOW2 = "qcow2"
    OCI = "oci"
    PXE = "pxe"


_FILES = {Format.RAW: "disk.raw", Format.QCOW2: "disk.qcow2", Format.OCI: oci.NAME, Format.PXE: pxe.NAME}


@dataclass(frozen=True)
class BuiltRelease:
    """A release in a folder. `timings` are seconds by step, `others` files by format."""

    dir: Path
    manifest: Manifest
    digest: str
    timings: dict[str, float] = field(default_factory=dict)
    others: dict[Format, Path] = field(default_factory=dict)


def build(
    recipe: Recipe, out: Path, steps: Steps | None = None, *, formats: Collection[Format] = ()
) -> BuiltRelease:
    """Builds a release into the new folder `out`, and disks with it.

    Raises:
        UserError: `out` exists, a source file is missing, or an image does not fit its partition.
        NotInstalled: mkfs.erofs, mkfs.vfat or mtools is missing; for `debian` mmdebstrap; for `formats`
            GRUB's tools, mke2fs or qemu-img.
        StepFailed: one of them failed; the message has its command and last lines.
    """
    steps = steps or Steps()
    partial = out.with_name(f"{out.name}.partial")
    mask = os.umask(0o022)  # rights in the image must not depend on who builds
    try:
        if out.exists():
            raise UserError(f"{out} exists already", hint="name a new folder, or remove this one first")
        if Format.PXE in formats and recipe.debian is None:
            raise UserError("the format pxe needs a recipe with debian: its programs install a machine")
        tree.check(recipe)
        _check_space(recipe, out.parent, formats)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        manifest, assembled = _build(recipe, partial, steps, installer=Format.PXE in formats)
        data = manifest.encode()
        (partial / "manifest.json").write_bytes(data)
        _make_others(recipe, partial, frozenset(formats), assembled.programs, steps)
        if Format.PXE in formats:
            with steps.step("pxe"):
                pxe.write(partial, manifest, assembled.vmlinuz, assembled.installer)
        if Format.RAW not in formats:
            (partial / _FILES[Format.RAW]).unlink(missing_ok=True)
        partial.rename(out)
    except OSError as error:
        raise UserError(
            f"{error.filename or out}: {error.strerror}", hint="check the path and the space on the disk"
        ) from error
    finally:
        os.umask(mask)
        shutil.rmtree(partial, ignore_errors=True)
    others = {each: out / _FILES[each] for each in sorted(formats)}
    return BuiltRelease(out, manifest, manifests.digest(data), dict(steps.seconds), others)


def _build(recipe: Recipe, folder: Path, steps: Steps, *, installer: bool) -> tuple[Manifest, Assembled]:
    """Everything but the manifest, into `folder`."""
    work = folder / "work"
    work.mkdir()
    assembled = tree.assemble(recipe, work / "tree", steps, installer=installer)
    with steps.step("erofs"):
        _erofs(recipe, work / "tree", folder / "root.img")
    with steps.step("verity"):
        hashes = _append_tree(folder / "root.img", bytes.fromhex(recipe.salt))
    _check_fit("root", folder / "root.img", recipe.partitions.root)
    with steps.step("boot"):
        _boot(recipe, assembled, hashes, work, folder / "boot.img")
    _check_fit("boot", folder / "boot.img", recipe.partitions.boot)
    manifest = _manifest(recipe, assembled, hashes, folder)
    with steps.step("lists"):
        entries = inventory.take(work / "tree", owned_by_root=recipe.debian is None)
        inventory.write(entries, folder / inventory.NAME)
        if recipe.debian is not None:
            _list_packages(manifest, recipe.debian.suite, assembled, folder)
    shutil.rmtree(work)
    return manifest, assembled


def _check_fit(name: str, image: Path, limit: int) -> None:
    size = image.stat().st_size
    if size > limit:
        raise UserError(
            f"{name}.img has {size} bytes, partitions.{name} has {limit}",
            hint=f"put less into it, or raise partitions.{name} for nodes that have that much",
        )


def _list_packages(manifest: Manifest, suite: str, assembled: Assembled, folder: Path) -> None:
    from images import sbom  # slow to import, and only releases of packages have a bill

    (folder / "packages.json").write_text(as_json(suite, assembled.packages))
    (folder / sbom.NAME).write_text(sbom.write(manifest, suite, assembled.packages))
    (folder / KERNEL_OPTIONS).write_text(assembled.kernel_options)


def _check_space(recipe: Recipe, folder: Path, formats: Collection[Format]) -> None:
    """What a build needs at once: the tree, its image, that image's copies on a disk and in chunks."""
    # A recipe of files alone is small.
    if recipe.debian is None:
        return
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    needed = (4 + (Format.PXE in formats)) * recipe.partitions.root
    free = shutil.disk_usage(there).free
    if free < needed:
        raise UserError(
            f"{folder} has {free // MIB} MiB free, and a build takes up to {needed // MIB}",
            hint="free space, or name a folder on another disk with --out",
        )


def _make_others(
    recipe: Recipe, folder: Path, formats: frozenset[Format], programs: Programs | None, steps: Steps
) -> None:
    if Format.OCI in formats:
        with steps.step("oci"):
            oci.write(folder, folder / _FILES[Format.OCI])
    if not formats - {Format.OCI}:
        return
    raw = folder / _FILES[Format.RAW]
    with steps.step("disk"):
        _make_disk(recipe, folder, programs, raw)
    if Format.QCOW2 in formats:
        with steps.step("qcow2"):
            command.run(
                "converting the disk",
                ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, folder / _FILES[Format.QCOW2]],
                package="qemu-utils",
            )


def _make_disk(recipe: Recipe, folder: Path, programs: Programs | None, raw: Path) -> None:
    sizes = recipe.partitions
    planned = layout.plan(boot_size=sizes.boot, root_size=sizes.root, data_size=sizes.data)
    release = (folder / "boot.img", folder / "root.img")
    notes = datafs.installed(Slot.A, (folder / "manifest.json").read_bytes())
    record = BootRecord(gen=1, good=Slot.A)
    disk.install(raw, planned, {Slot.A: release}, record, grub=_loaders(recipe, programs), notes=notes)


def _loaders(recipe: Recipe, programs: Programs | None) -> disk.Loaders:
    if recipe.secure_boot is None:
        return grub.build()
    assert programs is not None
    return loaders.build(programs, keys.load(recipe.secure_boot.keys))


def _erofs(recipe: Recipe, source: Path, image: Path) -> None:
    """A recipe's own files have no owners: all belong to root, whoever builds. No attributes of its host."""
    flags = ["-x-1", f"-T{EPOCH}", f"-U{_EROFS_UUID}", "--quiet"]
    flags += [] if recipe.debian is not None else ["--all-root"]
    command.run(
        "making the root file system",
        ["mkfs.erofs", *_EROFS_FLAGS[recipe.compression], *flags, image, source],
        package="erofs-utils",
    )


def _append_tree(image: Path, salt: bytes) -> Tree:
    with image.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        blocks = -(-size // BLOCK)
        file.truncate(blocks * BLOCK)
        file.seek(0)
        hashes = verity.build(file, data_blocks=blocks, salt=salt)
        file.seek(blocks * BLOCK)
        file.write(hashes.encode())
    return hashes


def sums(contents: Mapping[str, bytes]) -> bytes:
    """What GRUB holds the files of a boot partition against: as `sha256sum` prints it."""
    return "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in contents.items()
    ).encode()


def kernel_arguments(recipe: Recipe, hashes: Tree) -> list[str]:
    """A release's kernel arguments; the slot's letter, which comes first, is not a release's affair."""
    return [
        f"wr.hash={hashes.root_hash.hex()}",
        f"wr.off={hashes.data_blocks * BLOCK}",
        f"wr.salt={hashes.salt.hex()}",
        *recipe.kernel_arguments,
    ]


def slot_configuration(recipe: Recipe, hashes: Tree) -> str:
    """What GRUB sources from a slot's boot partition; the slot's letter comes from GRUB itself."""
    return f'set slotargs="{" ".join(kernel_arguments(recipe, hashes))}"\n'


def _boot_files(recipe: Recipe, assembled: Assembled, hashes: Tree) -> dict[str, bytes]:
    if recipe.secure_boot is None:
        return {
            "vmlinuz": assembled.vmlinuz,
            "initrd": assembled.initrd,
            "slot.cfg": slot_configuration(recipe, hashes).encode(),
        }
    assert assembled.programs is not None
    image = uki.build(
        assembled.programs,
        kernel=assembled.vmlinuz,
        initrd=assembled.initrd,
        version=assembled.kernel_version,
        os_release=tree.os_release(recipe),
        arguments=kernel_arguments(recipe, hashes),
    )
    return {uki.NAME: signing.sign(image, keys.load(recipe.secure_boot.keys))}


def _boot(recipe: Recipe, assembled: Assembled, hashes: Tree, work: Path, image: Path) -> None:
    contents = _boot_files(recipe, assembled, hashes)
    contents["sums"] = sums(contents)
    (work / "boot").mkdir()
    for name, data in contents.items():
        (work / "boot" / name).write_bytes(data)
        os.utime(work / "boot" / name, (EPOCH, EPOCH))
    used = sum(-(-len(data) // BLOCK) * BLOCK for data in contents.values())
    size = -(-(used + _FAT_SLACK) // MIB) * MIB
    command.run(
        "making the boot file system",
        ["mkfs.vfat", "--invariant", "-i", _FAT_SERIAL, "-n", "WRBOOT", "-C", image, str(size // 1024)],
        package="dosfstools",
    )
    command.run(
        "filling the boot file system",
        ["mcopy", "-m", "-i", image, *(work / "boot" / name for name in contents), "::/"],
        package="mtools",
    )


def _manifest(recipe: Recipe, assembled: Assembled, hashes: Tree, folder: Path) -> Manifest:
    root_size, boot_size = ((folder / name).stat().st_size for name in ("root.img", "boot.img"))
    with (folder / "boot.img").open("rb") as file:
        boot_hash = hashlib.file_digest(file, "sha256").digest()
    try:
        return Manifest(
            product=recipe.product,
            arch=recipe.arch,
            version=recipe.version,
            release_seq=recipe.release_seq,
            min_seq=recipe.min_seq,
            root=manifests.Root(root_size, hashes.data_blocks, hashes.salt, hashes.root_hash),
            boot=manifests.Boot(boot_size, boot_hash),
            kernel=assembled.kernel_version,
            kubelet=recipe.kubelet,
            kubernetes=manifests.Skew(recipe.kubernetes.min, recipe.kubernetes.max),
            config_schema=recipe.config_schema,
            allow_downgrade_from=recipe.allow_downgrade_from,
        )
    except ValueError as error:
        raise UserError(f"the recipe gives no manifest: {error}", hint="correct that field") from error

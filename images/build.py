"""From a recipe to a release: root.img (EROFS, then its verity tree), boot.img (FAT) and manifest.json.

Same recipe, same bytes: every time stamp, identifier and owner is fixed, and the programs see no environment.
The version of mkfs.erofs is an input too (node.md, Image). A build happens in `DIR.partial` and is renamed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from images import command
from images.recipe import Compression, File, Recipe
from warmroot.errors import UserError
from warmroot.release import manifest as manifests
from warmroot.release import verity
from warmroot.release.manifest import Manifest
from warmroot.release.verity import BLOCK, Tree

EPOCH = 1767225600
"""The time stamp of everything: 2026-01-01, UTC."""
MIB = 1 << 20
_EROFS_UUID = "7761726d-726f-4f74-8000-000000000002"
_FAT_SERIAL = "57520002"
_FAT_SLACK = 256 * 1024
_STUB_KERNEL = "WARMROOT-STUB-KERNEL\n"
_STUB_INITRD = b"WARMROOT-STUB-INITRD\n"
_EROFS_FLAGS = {
    Compression.LZ4HC: ["-zlz4hc", "-C65536"],
    Compression.LZ4: ["-zlz4", "-C65536"],
    Compression.NONE: [],
}


@dataclass(frozen=True)
class BuiltRelease:
    """A release in a folder. `timings` are seconds by step."""

    dir: Path
    manifest: Manifest
    digest: str
    timings: dict[str, float] = field(default_factory=dict)


def build(recipe: Recipe, out: Path) -> BuiltRelease:
    """Builds a release into the new folder `out`.

    Raises:
        UserError: `out` exists, a source file is missing, or an image does not fit its partition.
        NotInstalled: mkfs.erofs, mkfs.vfat or mtools is missing.
        StepFailed: one of them failed; the message has its command and last lines.
    """
    if out.exists():
        raise UserError(f"{out} exists already", hint="name a new folder, or remove this one first")
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    timings: dict[str, float] = {}
    try:
        partial.mkdir(parents=True)
        with _timed(timings, "tree"):
            _assemble(recipe, partial / "tree")
        with _timed(timings, "erofs"):
            _erofs(recipe, partial / "tree", partial / "root.img")
        with _timed(timings, "verity"):
            tree = _append_tree(partial / "root.img", bytes.fromhex(recipe.salt))
        with _timed(timings, "boot"):
            _boot(recipe, tree, partial)
        for scratch in ("tree", "boot"):
            shutil.rmtree(partial / scratch)
        manifest = _manifest(recipe, tree, partial)
        data = manifest.encode()
        (partial / "manifest.json").write_bytes(data)
        partial.rename(out)
    except OSError as error:
        raise UserError(
            f"{error.filename or out}: {error.strerror}", hint="check the path and the space on the disk"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return BuiltRelease(out, manifest, manifests.digest(data), timings)


def os_release(recipe: Recipe) -> str:
    """What `/usr/lib/os-release` says; the proxy reads product and version from it."""
    return (
        f'ID=warmroot\nNAME="{recipe.product}"\nPRETTY_NAME="{recipe.product} {recipe.version}"\n'
        f"VERSION_ID={recipe.version}\nIMAGE_ID={recipe.product}\nIMAGE_VERSION={recipe.version}\n"
        f"ARCHITECTURE={recipe.arch}\n"
    )


def _assemble(recipe: Recipe, tree: Path) -> None:
    tree.mkdir()
    for file in recipe.files:
        _put(tree / file.path[1:], _content(file), int(file.mode, 8))
    _put(tree / "usr/lib/os-release", os_release(recipe).encode(), 0o644)
    if recipe.trusted_root is not None:
        _put(tree / "usr/share/warmroot/root.json", _read(recipe.trusted_root, "trustedRoot"), 0o644)
    for folder in (tree, *(path for path in tree.rglob("*") if path.is_dir())):
        folder.chmod(0o755)


def _put(path: Path, data: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise UserError(
            f"files: {error.filename} is both a file and a folder", hint="correct the paths in files"
        ) from error
    path.chmod(mode)


def _content(file: File) -> bytes:
    if file.generate is not None:
        return hashlib.shake_128(file.generate.seed.encode()).digest(file.generate.bytes)
    if file.from_ is not None:
        return _read(file.from_, f"files {file.path}")
    return (file.content or "").encode()


def _read(path: Path, field_name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{field_name}: {path} can't be read: {error.strerror}",
            hint="a relative path begins at the recipe's folder",
        ) from error


def _erofs(recipe: Recipe, tree: Path, image: Path) -> None:
    """A recipe's files have no owners, so all belong to root, whoever builds; no attributes of the host."""
    flags = ["-x-1", f"-T{EPOCH}", f"-U{_EROFS_UUID}", "--all-root", "--quiet"]
    command.run(
        "making the root file system",
        ["mkfs.erofs", *_EROFS_FLAGS[recipe.compression], *flags, image, tree],
        package="erofs-utils",
    )


def _append_tree(image: Path, salt: bytes) -> Tree:
    with image.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        blocks = -(-size // BLOCK)
        file.truncate(blocks * BLOCK)
        file.seek(0)
        tree = verity.build(file, data_blocks=blocks, salt=salt)
        file.seek(blocks * BLOCK)
        file.write(tree.encode())
    return tree


def slot_configuration(recipe: Recipe, tree: Tree) -> str:
    """What GRUB sources from a slot's boot partition; the slot's letter comes from GRUB itself."""
    words = [
        f"wr.hash={tree.root_hash.hex()}",
        f"wr.off={tree.data_blocks * BLOCK}",
        *recipe.kernel_arguments,
    ]
    return f'set slotargs="{" ".join(words)}"\n'


def _boot(recipe: Recipe, tree: Tree, folder: Path) -> None:
    kernel = recipe.kernel
    if kernel.stub is not None:
        stub = kernel.stub
        text = f"{_STUB_KERNEL}behaviour={stub.behaviour}\nboot_seconds={stub.boot_seconds}\n"
        vmlinuz, initrd = text.encode(), _STUB_INITRD
    else:
        assert kernel.file is not None
        assert kernel.initrd is not None
        vmlinuz, initrd = _read(kernel.file, "kernel.file"), _read(kernel.initrd, "kernel.initrd")
    contents = {"vmlinuz": vmlinuz, "initrd": initrd, "slot.cfg": slot_configuration(recipe, tree).encode()}
    (folder / "boot").mkdir()
    for name, data in contents.items():
        (folder / "boot" / name).write_bytes(data)
        os.utime(folder / "boot" / name, (EPOCH, EPOCH))
    used = sum(-(-len(data) // BLOCK) * BLOCK for data in contents.values())
    size = -(-(used + _FAT_SLACK) // MIB) * MIB
    image = folder / "boot.img"
    command.run(
        "making the boot file system",
        ["mkfs.vfat", "--invariant", "-i", _FAT_SERIAL, "-n", "WRBOOT", "-C", image, str(size // 1024)],
        package="dosfstools",
    )
    command.run(
        "filling the boot file system",
        ["mcopy", "-m", "-i", image, *(folder / "boot" / name for name in contents), "::/"],
        package="mtools",
    )


def _manifest(recipe: Recipe, tree: Tree, folder: Path) -> Manifest:
    root_size, boot_size = ((folder / name).stat().st_size for name in ("root.img", "boot.img"))
    for name, size, limit in (
        ("boot", boot_size, recipe.partitions.boot),
        ("root", root_size, recipe.partitions.root),
    ):
        if size > limit:
            raise UserError(
                f"{name}.img has {size} bytes, partitions.{name} has {limit}",
                hint=f"put less into it, or raise partitions.{name} for nodes that have that much",
            )
    with (folder / "boot.img").open("rb") as file:
        boot_hash = hashlib.file_digest(file, "sha256").digest()
    try:
        return Manifest(
            product=recipe.product,
            arch=recipe.arch,
            version=recipe.version,
            release_seq=recipe.release_seq,
            min_seq=recipe.min_seq,
            root=manifests.Root(root_size, tree.data_blocks, tree.salt, tree.root_hash),
            boot=manifests.Boot(boot_size, boot_hash),
            kernel=recipe.kernel.version,
            kubelet=recipe.kubelet,
            kubernetes=manifests.Skew(recipe.kubernetes.min, recipe.kubernetes.max),
            config_schema=recipe.config_schema,
            allow_downgrade_from=recipe.allow_downgrade_from,
        )
    except ValueError as error:
        raise UserError(f"the recipe gives no manifest: {error}", hint="correct that field") from error


@contextmanager
def _timed(timings: dict[str, float], step: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    timings[step] = time.monotonic() - began

"""The verity tree against one bare sha256 pass and against veritysetup; what publishing and checking cost."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from securesystemslib.signer import CryptoSigner

from bench.report import Row
from warmroot.release.manifest import Boot, Manifest, Root, Skew
from warmroot.release.repository import ONLINE, Repository
from warmroot.release.verity import BLOCK, FIXED, build, tree_size

BLOCKS = 32768
"""128 MiB: large against every start-up cost, small against memory, so that no disk is measured."""
ROUNDS = 3
SALT = b"warmroot" * 4


def run() -> list[Row]:
    """The rows; MB are 10^6 bytes."""
    with tempfile.TemporaryDirectory(prefix="warmroot-bench-") as scratch:
        folder = Path(scratch)
        image = folder / "root.img"
        with image.open("wb") as file:
            for number in range(BLOCKS * BLOCK >> 20):
                file.write(hashlib.shake_128(number.to_bytes(4, "big")).digest(1 << 20))
        return [*_tree(image), *_repository(folder, image)]


def _tree(image: Path) -> list[Row]:
    ours = _rate(lambda: _ours(image))
    bare = _rate(lambda: _bare(image))
    rows = [
        Row(
            "verity", "tree", ours, "MB/s", better="higher", against=f"one bare sha256 pass: {bare:.0f} MB/s"
        ),
        Row("verity", "tree / bare sha256 pass", ours / bare, "ratio", better="higher"),
    ]
    if shutil.which("veritysetup") is None:
        return rows
    peer = _rate(lambda: _veritysetup(image))
    against = f"veritysetup format: {peer:.0f} MB/s"
    return [
        *rows,
        Row("verity", "tree / veritysetup", ours / peer, "ratio", better="higher", against=against),
    ]


def _rate(work: Callable[[], object]) -> float:
    return BLOCKS * BLOCK / 1e6 / min(_seconds(work) for _ in range(ROUNDS))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _ours(image: Path) -> bytes:
    with image.open("rb") as file:
        return build(file, data_blocks=BLOCKS, salt=SALT).root_hash


def _bare(image: Path) -> bytes:
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _veritysetup(image: Path) -> None:
    tree = image.with_suffix(".tree")
    command = ["veritysetup", "format", f"--salt={SALT.hex()}", f"--uuid={FIXED}", str(image), str(tree)]
    subprocess.run(command, check=True, capture_output=True)


def _repository(folder: Path, image: Path) -> list[Row]:
    with image.open("rb") as file:
        tree = build(file, data_blocks=BLOCKS, salt=SALT)
    with image.open("ab") as file:
        file.write(tree.encode())
    (folder / "boot.img").write_bytes(b"boot")
    manifest = Manifest(
        product="bench",
        arch="amd64",
        version="1",
        release_seq=1,
        min_seq=0,
        root=Root(BLOCKS * BLOCK + tree_size(BLOCKS), BLOCKS, SALT, tree.root_hash),
        boot=Boot(4, hashlib.sha256(b"boot").digest()),
        kernel="1",
        kubelet="1",
        kubernetes=Skew("1.36", "1.39"),
        config_schema=1,
    )
    (folder / "manifest.json").write_bytes(manifest.encode())
    signers = {role: [CryptoSigner.generate_ed25519()] for role in ("root", *ONLINE)}
    repository = Repository.create(folder / "repository", signers)
    size = f"a root of {manifest.root.size >> 20} MiB"
    return [
        Row("verity", "publish", _seconds(lambda: repository.publish(folder, signers)), "s", against=size),
        Row("verity", "verify the repository", _seconds(repository.verify), "s", against=size),
    ]

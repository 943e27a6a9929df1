"""The data partition of a new disk: an ext4 with what a proxy that installed the release would have written.

Without the receipt a node could not say which release it runs: no image holds the digest of its own manifest.
The files are those of docs/node-protocol.md; equal inputs give equal bytes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from images import command
from images.command import EPOCH
from warmroot.disk.bootrecord import Slot
from warmroot.disk.layout import Partition
from warmroot.errors import StepFailed
from warmroot.release import manifest as manifests

_UUID = "7761726d-726f-4f74-8000-000000000003"
_HOME = "/warmroot"
_TIMES = {"E2FSPROGS_FAKE_TIME": str(EPOCH), "SOURCE_DATE_EPOCH": str(EPOCH)}


def installed(slot: Slot, manifest: bytes) -> dict[str, bytes]:
    """The proxy's notes on a node whose `slot` holds this release, verified: bytes by path.

    Raises:
        SourceError: this is no manifest.
    """
    release, digest = manifests.decode(manifest), manifests.digest(manifest)
    receipt = {
        "content": "verified",
        "digest": digest,
        "release_seq": release.release_seq,
        "version": release.version,
    }
    return {
        f"{_HOME}/manifests/{digest.removeprefix('sha256:')}.json": manifest,
        f"{_HOME}/receipts/{slot}.json": json.dumps(receipt, sort_keys=True).encode(),
    }


def make(disk: Path, home: Partition, contents: Mapping[str, bytes]) -> None:
    """Makes the file system in its partition of a disk file, with these files of root's.

    Raises:
        NotInstalled: e2fsprogs is missing.
        StepFailed: it does not fit, or what was written can't be read back.
    """
    command.run(
        "making the data file system",
        [
            *("mke2fs", "-q", "-F", "-t", "ext4", "-L", "data", "-m", "0", "-U", _UUID),
            *("-E", f"offset={home.start},hash_seed={_UUID},root_owner=0:0,nodiscard"),
            *(disk, f"{home.size // 1024}k"),
        ],
        package="e2fsprogs",
        environment=_TIMES,
    )
    with tempfile.TemporaryDirectory() as work:
        orders, image = Path(work) / "orders", f"{disk}?offset={home.start}"
        orders.write_text("".join(f"{line}\n" for line in _orders(Path(work), contents)))
        _debugfs("filling", "-w", "-f", orders, image)
        for number, (path, data) in enumerate(sorted(contents.items())):
            back = Path(work) / f"{number}.back"
            _debugfs("reading back", "-R", f"dump {path} {back}", image)
            if not back.exists() or back.read_bytes() != data:
                raise StepFailed(f"{path} of the data file system is not what was written", hint="report it")


def _orders(work: Path, contents: Mapping[str, bytes]) -> list[str]:
    """What debugfs does: it needs no mount, so no rights, and writes in the order that it is told."""
    folders = sorted({str(parent) for path in contents for parent in PurePosixPath(path).parents} - {"/"})
    lines = [f"set_current_time @{EPOCH}", *(f"mkdir {folder}" for folder in folders)]
    for number, (path, data) in enumerate(sorted(contents.items())):
        source = work / str(number)
        source.write_bytes(data)
        lines += [f"write {source} {path}", f"sif {path} mode 0100600"]
        lines += [f"sif {path} {field} 0" for field in ("uid", "gid")]
    return lines


def _debugfs(step: str, *words: str | Path) -> None:
    command.run(f"{step} the data file system", ["debugfs", *words], package="e2fsprogs", environment=_TIMES)

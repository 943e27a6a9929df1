"""Images of containers, in one file each, without an engine and without a registry (OCI image-spec 1.1).

`ctr images import`, `skopeo copy oci-archive:FILE` and `podman load` take such a file. Equal contents give
equal bytes: every file is root's and of one time.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

from images import oci

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_LEVEL = 9
_AT_ONCE = 1 << 20
NAME = "io.containerd.image.name"
"""The annotation by which `ctr images import` knows what to call an image."""


class Layer:
    """One layer, uncompressed, that is written into a seekable file. A block closes it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._archive = tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self._folders: set[PurePosixPath] = set()

    def __enter__(self) -> Layer:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def folder(self, at: str, mode: int = 0o755) -> None:
        """An empty folder, and those above it."""
        path = PurePosixPath(at)
        self._parents(path)
        if path not in self._folders or mode != 0o755:
            self._add_folder(path, mode)

    def data(self, at: str, content: bytes, mode: int = 0o644) -> None:
        """A file with this content."""
        self._parents(PurePosixPath(at))
        member = oci.member(at, len(content))
        member.mode = mode
        self._archive.addfile(member, io.BytesIO(content))

    def copy(self, at: str, source: Path) -> None:
        """A file of this machine, with its right to be executed; a link's target in the link's place.

        Raises:
            OSError: it can't be read.
        """
        self._parents(PurePosixPath(at))
        with source.open("rb") as content:
            found = os.fstat(content.fileno())
            member = oci.member(at, found.st_size)
            member.mode = 0o755 if found.st_mode & stat.S_IXUSR else 0o644
            self._archive.addfile(member, content)

    def link(self, at: str, target: str) -> None:
        """A symbolic link."""
        self._parents(PurePosixPath(at))
        member = oci.member(at, 0)
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, target, 0o777
        self._archive.addfile(member)

    def tree(self, at: str, source: Path, wanted: Callable[[PurePosixPath], bool] = lambda _: True) -> None:
        """A whole folder of this machine. `wanted` is asked with each path below it, folders included.

        A link to somewhere inside stays one; what is behind a link to the outside is copied, and a link to
        nothing is left out.

        Raises:
            OSError: something in it can't be read.
        """
        root = source.resolve()
        for path in sorted(root.iterdir()):
            self._below(PurePosixPath(at), root, path, wanted)

    def _below(
        self, at: PurePosixPath, root: Path, path: Path, wanted: Callable[[PurePosixPath], bool]
    ) -> None:
        relative = PurePosixPath(path.relative_to(root))
        if not wanted(relative) or not path.exists():
            return
        place = str(at / relative)
        if path.is_symlink() and path.resolve().is_relative_to(root):
            self.link(place, os.path.relpath(path.resolve(), path.parent.resolve()))
        elif path.is_dir():
            self.folder(place)
            for one in sorted(path.iterdir()):
                self._below(at, root, one, wanted)
        else:
            self.copy(place, path)

    def _parents(self, at: PurePosixPath) -> None:
        for folder in reversed(at.parents):
            if folder.parts and folder not in self._folders:
                self._add_folder(folder, 0o755)

    def _add_folder(self, at: PurePosixPath, mode: int) -> None:
        member = oci.member(str(at), 0)
        member.type, member.mode = tarfile.DIRTYPE, mode
        self._archive.addfile(member)
        self._folders.add(at)


@dataclass(frozen=True)
class Written:
    """An image in a file: the digest of its manifest, and the bytes that a node fetches."""

    digest: str
    size: int


def write(
    target: Path,
    name: str,
    layers: Sequence[IO[bytes]],
    config: dict[str, Any],
    *,
    labels: Mapping[str, str] | None = None,
    compress: bool = False,
) -> Written:
    """Writes an image of these layers, lowest first.

    `config` is the `config` of an image's configuration: Entrypoint, Cmd, Env, User.

    Raises:
        OSError: the target can't be written.
    """
    diffs = [_digest(one) for one in layers]
    configuration = oci.canonical(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": config | ({"Labels": dict(labels)} if labels else {}),
            "rootfs": {"type": "layers", "diff_ids": diffs},
        }
    )
    with ExitStack() as stack:
        sent = [stack.enter_context(_compressed(one)) for one in layers] if compress else list(layers)
        described = [_of_file(one, f"{_LAYER}+gzip" if compress else _LAYER) for one in sent]
        document = oci.canonical(
            {
                "schemaVersion": 2,
                "mediaType": oci.MANIFEST,
                "config": _of_data(_CONFIG, configuration),
                "layers": described,
            }
        )
        entry = _of_data(oci.MANIFEST, document)
        entry["annotations"] = {NAME: name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
        with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
            oci.add_index(archive, entry)
            for data in (document, configuration):
                oci.add(archive, oci.blob(oci.digest(data)), data)
            for one, layer in zip(described, sent, strict=True):
                layer.seek(0)
                archive.addfile(oci.member(oci.blob(one["digest"]), one["size"]), layer)
    fetched = len(document) + len(configuration) + sum(one["size"] for one in described)
    return Written(str(entry["digest"]), fetched)


def _compressed(layer: IO[bytes]) -> IO[bytes]:
    """A copy that is gone when it is closed. It holds no time and no name: equal layers give equal bytes."""
    layer.seek(0)
    target = tempfile.TemporaryFile()  # noqa: SIM115 - whoever asked closes it
    with gzip.GzipFile(filename="", fileobj=target, mode="wb", compresslevel=_LEVEL, mtime=0) as into:
        shutil.copyfileobj(layer, into, _AT_ONCE)
    return target


def _digest(layer: IO[bytes]) -> str:
    layer.seek(0)
    return f"sha256:{hashlib.file_digest(layer, 'sha256').hexdigest()}"  # type: ignore[arg-type]  # it reads


def _of_file(layer: IO[bytes], kind: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": _digest(layer), "size": layer.seek(0, os.SEEK_END)}


def _of_data(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": oci.digest(data), "size": len(data)}

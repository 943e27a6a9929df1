"""Whom to believe: python-tuf's client over a `ReleaseSource`, with our names for what it refuses.

Importing this module imports tuf; the proxy does that in a child process (`fetch`).

A refresh is one transaction: the client works on a copy of the stored metadata, and the copy takes the
original's place only after everything held. So whatever a source serves, a refused refresh leaves the store
as it was, and a kill at any moment leaves one or the other.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path, PurePosixPath

from tuf.api import exceptions as tuf_errors
from tuf.api.metadata import Metadata, Root, TargetFile, Targets
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from warmroot.errors import (
    DiskFull,
    Endless,
    Frozen,
    Mixed,
    NodeError,
    ReadOnlyDisk,
    Replayed,
    SourceError,
    Tampered,
    Truncated,
    Unknown,
    WrongKey,
)
from warmroot.release.manifest import MAX_MANIFEST, Manifest, decode, target_name
from warmroot.release.source import ReleaseSource

_LIMITS = UpdaterConfig(
    max_root_rotations=64,
    max_delegations=0,
    root_max_length=256 * 1024,
    timestamp_max_length=16 * 1024,
    snapshot_max_length=64 * 1024,
    targets_max_length=4 * 1024 * 1024,
)


class TrustedIndex:
    """The releases that a source offers and that the keys of `root_bytes` vouch for.

    Everything it keeps is below `store`. One process at a time. `now` replaces the clock.
    """

    def __init__(
        self, store: Path, root_bytes: bytes, source: ReleaseSource, *, now: datetime | None = None
    ) -> None:
        self._store = _Store(store)
        self._root_bytes = root_bytes
        self._source = source
        self._now = now
        self._targets: dict[str, TargetFile] | None = None

    def refresh(self) -> None:
        """Follows root, timestamp, snapshot and targets to the newest that the source has.

        Raises:
            Tampered, Truncated, Endless, Replayed, Mixed, WrongKey, Frozen, Unknown: what was served.
            NetworkError: nothing was served.
            DiskFull, ReadOnlyDisk, NodeError: it can't be kept.
        """
        fetcher = _Fetcher(self._source)
        with self._store.transaction() as folder:
            try:
                updater = Updater(
                    str(folder), "metadata", fetcher=fetcher, config=_LIMITS, bootstrap=self._root_bytes
                )
                if self._now:
                    updater._trusted_set.reference_time = self._now  # tuf has no other way to give it a clock
                updater.refresh()
            except (tuf_errors.RepositoryError, tuf_errors.DownloadError) as error:
                raise _named(error, fetcher, self._root(folder)) from error
            data = (folder / "targets.json").read_bytes()
        self._targets = Metadata[Targets].from_bytes(data).signed.targets

    def targets(self) -> Mapping[str, TargetFile]:
        """The published manifests, by target name; refreshes first if that was not done yet.

        Raises:
            SourceError, NetworkError, NodeError: as `refresh`.
        """
        if self._targets is None:
            self.refresh()
        assert self._targets is not None
        return self._targets

    def manifest(self, *, version: str, product: str, arch: str) -> tuple[Manifest, bytes]:
        """A published manifest and its bytes, by name.

        Raises:
            Unknown: there is no such release.
            SourceError, NetworkError, NodeError: as `refresh`.
        """
        try:
            name = target_name(product, arch, version)
        except ValueError as error:
            raise Unknown(str(error)) from error
        known = self.targets()
        if name not in known:
            same = sorted(
                PurePosixPath(other).stem for other in known if other.startswith(f"{product}/{arch}/")
            )
            offers = ", ".join(same[-10:]) or "nothing"
            raise Unknown(f"{self._source.describe} has no {product} {version} for {arch}; it has {offers}")
        return self._load(known[name])

    def manifest_by_digest(self, digest: str) -> tuple[Manifest, bytes]:
        """A published manifest and its bytes, by release digest.

        Raises:
            Unknown: there is no such release.
            SourceError, NetworkError, NodeError: as `refresh`.
        """
        wanted = digest.removeprefix("sha256:")
        for target in self.targets().values():
            if target.hashes.get("sha256") == wanted:
                return self._load(target)
        raise Unknown(f"{self._source.describe} has no release {digest}")

    def _load(self, target: TargetFile) -> tuple[Manifest, bytes]:
        if target.length > MAX_MANIFEST:
            raise Endless(f"the manifest {target.path} is said to have {target.length} bytes")
        if "sha256" not in target.hashes:
            raise Tampered(f"the index has no sha256 for {target.path}")
        folder, _, name = target.path.rpartition("/")
        path = f"targets/{folder}/{target.hashes['sha256']}.{name}"
        data = self._source.read(path, target.length)
        if len(data) < target.length:
            raise Truncated(f"{path} has {len(data)} bytes, {target.length} were signed")
        try:
            target.verify_length_and_hashes(data)
        except tuf_errors.LengthOrHashMismatchError as error:
            raise Tampered(f"{path} is not what was signed: {error}") from error
        manifest = decode(data)
        if manifest.target != target.path:
            raise Tampered(f"{target.path} holds the manifest of {manifest.target}")
        return manifest, data

    def _root(self, folder: Path) -> Root:
        data = self._root_bytes
        with suppress(OSError):
            data = (folder / "root.json").read_bytes()
        try:
            return Metadata[Root].from_bytes(data).signed
        except tuf_errors.RepositoryError as error:
            raise NodeError(
                f"the image's trust anchor is no TUF root: {error}",
                hint="build the image with a valid trustedRoot",
            ) from error


class _Store:
    """A folder whose content changes as a whole.

    `current` is the metadata. A refresh works in `next`; `previous` exists only between the two renames, and
    takes `current`'s place if a kill hit that gap.
    """

    def __init__(self, folder: Path) -> None:
        self._current, self._next, self._previous = (
            folder / name for name in ("current", "next", "previous")
        )

    @contextmanager
    def transaction(self) -> Iterator[Path]:
        try:
            self._begin()
            yield self._next
            self._commit()
        except OSError as error:
            raise _disk(error) from error
        finally:
            shutil.rmtree(self._next, ignore_errors=True)

    def _begin(self) -> None:
        self._current.parent.mkdir(parents=True, exist_ok=True)
        if self._previous.exists() and not self._current.exists():
            self._previous.rename(self._current)
        for leftover in (self._previous, self._next):
            if leftover.exists():
                shutil.rmtree(leftover)
        if self._current.exists():
            shutil.copytree(self._current, self._next, symlinks=True)
        else:
            self._next.mkdir()

    def _commit(self) -> None:
        for path in (*self._next.rglob("*"), self._next):
            if not path.is_symlink():
                _sync(path)
        if self._current.exists():
            self._current.rename(self._previous)
        self._next.rename(self._current)
        _sync(self._current.parent)
        shutil.rmtree(self._previous, ignore_errors=True)


class _Fetcher(FetcherInterface):
    """tuf's port over ours. Remembers the last file, which is the one that a refusal is about."""

    def __init__(self, source: ReleaseSource) -> None:
        self._source = source
        self.path, self.data, self.limit = "", b"", 0

    def download_bytes(self, url: str, max_length: int) -> bytes:
        self.path, self.data, self.limit = url, b"", max_length
        try:
            self.data = self._source.read(url, max_length)
        except Unknown as error:
            raise tuf_errors.DownloadHTTPError(error.message, 404) from error
        return self.data

    def _fetch(self, url: str) -> Iterator[bytes]:
        yield self.download_bytes(url, MAX_MANIFEST)

    @property
    def role(self) -> str:
        """The role that the last file is for."""
        return PurePosixPath(self.path).stem.rpartition(".")[2]

    @property
    def version(self) -> int | None:
        """The version that was asked for by name, if one was."""
        prefix = PurePosixPath(self.path).stem.partition(".")[0]
        return int(prefix) if prefix.isdigit() else None


def _named(error: Exception, fetched: _Fetcher, root: Root) -> SourceError | NodeError:
    """Our error for a refusal of tuf's."""
    if not fetched.path:
        return NodeError(
            f"the image's trust anchor is not valid: {error}", hint="build the image with a valid trustedRoot"
        )
    if isinstance(error, tuf_errors.DownloadHTTPError):
        return Unknown(str(error), hint="check that the address is that of a release repository")
    if isinstance(error, tuf_errors.ExpiredMetadataError):
        return Frozen(f"{fetched.path}: {error}")
    message = f"{fetched.path}: {error}"
    try:
        metadata: Metadata[Root] = Metadata.from_bytes(fetched.data)
    except tuf_errors.RepositoryError:
        return Truncated(message) if _breaks_off(fetched.data) else Tampered(message)
    if isinstance(error, tuf_errors.BadVersionNumberError):
        other = fetched.version not in (None, metadata.signed.version)
        return Mixed(message) if other and fetched.role != "root" else Replayed(message)
    return _signatures(metadata, fetched.role, root, message)


def _signatures(metadata: Metadata[Root], role: str, root: Root, message: str) -> SourceError:
    """Why a well-formed file was refused, told by its signatures.

    A trusted key's signature that does not match: the content was changed. Too few trusted keys: WrongKey.
    Enough of them: a genuine file, but of another snapshot.
    """
    results = [root.get_verification_result(role, metadata.signed_bytes, metadata.signatures)]
    if role == "root" and isinstance(metadata.signed, Root):
        results.append(
            metadata.signed.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
        )
    if any(key in metadata.signatures for result in results for key in result.unsigned):
        return Tampered(message)
    return Mixed(message) if all(results) else WrongKey(message)


def _breaks_off(data: bytes) -> bool:
    try:
        text = data.decode()
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return False


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _disk(error: OSError) -> NodeError:
    kind = {errno.ENOSPC: DiskFull, errno.EDQUOT: DiskFull, errno.EROFS: ReadOnlyDisk}.get(error.errno or 0)
    return (kind or NodeError)(f"the trust store can't be written: {error.strerror}: {error.filename}")

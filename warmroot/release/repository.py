"""The publisher's side: a folder of static files that is a TUF repository (docs/release-format.md).

Every change is new files first and one rename of `timestamp.json` last: a reader sees the old or the new
repository, and what a killed change left behind is overwritten by the next one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

from securesystemslib.signer import Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Signed, Snapshot, TargetFile, Targets, Timestamp

from warmroot.errors import SourceError, Tampered, Truncated, Unknown, UserError
from warmroot.release import verity
from warmroot.release.manifest import MAX_MANIFEST, Manifest, decode, digest
from warmroot.release.source import FileSource
from warmroot.release.trust import TrustedIndex

ONLINE = ("targets", "snapshot", "timestamp")
S = TypeVar("S", bound=Signed)
Signers = Mapping[str, Sequence[Signer]]
"""Signers by role."""


@dataclass(frozen=True)
class Expiry:
    """Days for which new metadata is valid, by role."""

    root: int = 365
    targets: int = 90
    snapshot: int = 30
    timestamp: int = 7


@dataclass(frozen=True)
class Published:
    """One release as the repository has it. `fresh` is False when it was there already."""

    manifest: Manifest
    digest: str
    fresh: bool = False


@dataclass(frozen=True)
class RoleState:
    """One role's metadata: its version, when it expires, and who must sign it."""

    role: str
    version: int
    expires: datetime
    threshold: int
    keys: tuple[str, ...]


class Repository:
    """A repository folder. `now` replaces the clock."""

    def __init__(self, folder: Path, *, expiry: Expiry = Expiry(), now: datetime | None = None) -> None:
        self.folder = folder
        self._metadata = folder / "metadata"
        self._expiry = expiry
        self._now = now

    @classmethod
    def create(
        cls,
        folder: Path,
        signers: Signers,
        *,
        threshold: int = 1,
        expiry: Expiry = Expiry(),
        now: datetime | None = None,
    ) -> Repository:
        """A new, empty repository whose root needs `threshold` of the root signers.

        Raises:
            UserError: the folder has a repository, or the threshold can't be met.
        """
        repository = cls(folder, expiry=expiry, now=now)
        if repository._metadata.exists():
            raise UserError(f"{folder} is a release repository already", hint="name a new folder")
        root, targets, snapshot, timestamp = (
            Root(consistent_snapshot=True),
            Targets(),
            Snapshot(),
            Timestamp(),
        )
        for fresh in (root, targets, snapshot, timestamp):
            fresh.version = 0  # the first version that is written is 1
        _set_keys(root, "root", signers["root"], threshold)
        for role in ONLINE:
            _set_keys(root, role, signers[role], 1)
        with _readable_disk_errors():
            for name in ("metadata", "targets", "blobs/root", "blobs/boot"):
                (folder / name).mkdir(parents=True, exist_ok=True)
        with repository._locked():
            repository._write(root, "root", signers["root"])
            repository._commit(targets, snapshot, timestamp, signers)
        return repository

    def publish(self, release: Path, signers: Signers) -> Published:
        """Adds a built release (`root.img`, `boot.img`, `manifest.json`). Doing it again changes nothing.

        Raises:
            UserError: the files are not what the manifest says, the version is taken by other content, or
                the sequence does not rise.
        """
        data = _read(release / "manifest.json", MAX_MANIFEST)
        try:
            manifest = decode(data)
            check_root(release / "root.img", manifest)
            check_boot(release / "boot.img", manifest)
        except (SourceError, OSError) as error:
            raise UserError(
                f"{release} is not a whole release: {error}",
                hint="build it again with `warmroot image build`",
            ) from error
        with self._locked():
            targets = self._current("targets", Targets)
            known = targets.targets.get(manifest.target)
            if known:
                if known.hashes["sha256"] == hashlib.sha256(data).hexdigest():
                    return Published(manifest, digest(data))
                raise UserError(
                    f"{manifest.target} is published with other content",
                    hint="give the release a new version",
                )
            self._refuse_old(manifest)
            self._put(release / "root.img", manifest.root.path)
            self._put(release / "boot.img", manifest.boot.path)
            target = TargetFile.from_data(manifest.target, data, ["sha256"])
            _replace(self.folder / "targets" / target.get_prefixed_paths()[0], data)
            targets.targets[manifest.target] = target
            self._commit_next(targets, signers)
        return Published(manifest, digest(data), fresh=True)

    def refresh(self, signers: Signers) -> None:
        """Signs the timestamp again, and the snapshot and the targets too if their keys are given.

        Raises:
            UserError: there is no repository, or a key is not one of the root's.
        """
        with self._locked():
            targets = self._current("targets", Targets) if "targets" in signers else None
            self._commit_next(targets, signers)

    def rotate(self, old: Sequence[Signer], new: Signers, *, threshold: int | None = None) -> int:
        """A new root, signed by the old and by the new root keys; gives its version.

        Roles that `new` does not name keep their keys. A role other than root that gets new keys has its
        metadata signed again; `new` must then name snapshot and timestamp too, whose files change with it.

        Raises:
            UserError: the old or the new threshold would not be met.
        """
        for role, above in (("targets", "snapshot"), ("snapshot", "timestamp")):
            if role in new and above not in new:
                raise UserError(f"new {role} keys need the {above} keys too", hint=f"name the {above} key")
        with self._locked():
            root = self._current("root", Root)
            _refuse_few(root, "root", old)
            for role in new:
                wanted = threshold if role == "root" and threshold else root.roles[role].threshold
                for keyid in list(root.roles[role].keyids):
                    root.revoke_key(keyid, role)
                _set_keys(root, role, new[role], wanted)
            both = {signer.public_key.keyid: signer for signer in (*old, *new.get("root", ()))}
            _refuse_few(root, "root", list(both.values()))
            self._write(root, "root", list(both.values()))
            if any(role in new for role in ONLINE):
                self._commit_next(self._current("targets", Targets) if "targets" in new else None, new)
        return root.version

    def releases(self) -> list[Published]:
        """What is published, oldest sequence first, product by product.

        Raises:
            UserError: there is no repository, or it is damaged.
        """
        found = []
        for target in self._current("targets", Targets).targets.values():
            path = self.folder / "targets" / target.get_prefixed_paths()[0]
            data = _read(path, MAX_MANIFEST)
            try:
                found.append(Published(decode(data), digest(data)))
            except SourceError as error:
                raise UserError(
                    f"{path} is damaged: {error.message}", hint="publish that release again"
                ) from error
        return sorted(
            found, key=lambda one: (one.manifest.product, one.manifest.arch, one.manifest.release_seq)
        )

    def roles(self) -> list[RoleState]:
        """All roles, root first.

        Raises:
            UserError: there is no repository, or it is damaged.
        """
        root = self._current("root", Root)
        current: dict[str, Signed] = {
            "root": root,
            "targets": self._current("targets", Targets),
            "snapshot": self._current("snapshot", Snapshot),
            "timestamp": self._current("timestamp", Timestamp),
        }
        return [
            RoleState(
                name, one.version, one.expires, root.roles[name].threshold, tuple(root.roles[name].keyids)
            )
            for name, one in current.items()
        ]

    def verify(self, anchor: bytes | None = None) -> list[Published]:
        """Checks all of it as a node would, blobs included, from `anchor` (default: the first root) on.

        Raises:
            SourceError: what a node would refuse, and why.
        """
        first = anchor or _read(self._metadata / "1.root.json", 1 << 20)
        source = FileSource(self.folder)
        with tempfile.TemporaryDirectory(prefix="warmroot-verify-") as store:
            index = TrustedIndex(Path(store), first, source, now=self._now)
            checked = []
            for name in sorted(index.targets()):
                product, arch, file = name.split("/")
                manifest, data = index.manifest(
                    version=file.removesuffix(".json"), product=product, arch=arch
                )
                try:
                    check_root(self.folder / manifest.root.path, manifest)
                    check_boot(self.folder / manifest.boot.path, manifest)
                except OSError as error:
                    raise Unknown(
                        f"{name}: {error.filename} can't be read: {error.strerror}",
                        hint="bring the file back from a copy, or from the release that was built",
                    ) from error
                checked.append(Published(manifest, digest(data)))
        return checked

    def root_bytes(self, version: int = 1) -> bytes:
        """A root as bytes: what an image carries as its trust anchor.

        Raises:
            UserError: there is no such root.
        """
        return _read(self._metadata / f"{version}.root.json", 1 << 20)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            handle = os.open(self._metadata, os.O_RDONLY)
        except OSError as error:
            raise _no_repository(self.folder) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with _readable_disk_errors():
                yield
        finally:
            os.close(handle)

    def _current(self, role: str, kind: type[S]) -> S:
        """What readers see: the newest root; the others as timestamp and snapshot name them."""
        if role == "timestamp":
            name = "timestamp.json"
        elif role == "root":
            versions = [int(path.name.partition(".")[0]) for path in self._metadata.glob("*.root.json")]
            name = f"{max(versions, default=1)}.root.json"
        elif role == "snapshot":
            name = f"{self._current('timestamp', Timestamp).snapshot_meta.version}.snapshot.json"
        else:
            name = f"{self._current('snapshot', Snapshot).meta['targets.json'].version}.targets.json"
        path = self._metadata / name
        if not path.exists():
            raise _no_repository(self.folder)
        try:
            signed = cast("Signed", Metadata.from_bytes(path.read_bytes()).signed)
        except RepositoryError as error:
            raise UserError(f"{path} is damaged: {error}", hint="bring it back from a copy") from error
        if not isinstance(signed, kind):
            raise UserError(f"{path} holds {signed.type} metadata", hint="bring it back from a copy")
        return signed

    def _commit_next(self, targets: Targets | None, signers: Signers) -> None:
        """New versions of `targets` and of what names them; the timestamp always gets one."""
        changed = targets is not None or "snapshot" in signers
        snapshot = self._current("snapshot", Snapshot) if changed else None
        self._commit(targets, snapshot, self._current("timestamp", Timestamp), signers)

    def _commit(
        self, targets: Targets | None, snapshot: Snapshot | None, timestamp: Timestamp, signers: Signers
    ) -> None:
        root = self._current("root", Root)
        for role, wanted in (("targets", targets), ("snapshot", snapshot), ("timestamp", timestamp)):
            if wanted is not None:
                _refuse_few(root, role, signers.get(role, ()))
        if targets is not None and snapshot is not None:
            data = self._write(targets, "targets", signers["targets"])
            snapshot.meta["targets.json"] = MetaFile.from_data(targets.version, data, ["sha256"])
        if snapshot is not None:
            data = self._write(snapshot, "snapshot", signers["snapshot"])
            timestamp.snapshot_meta = MetaFile.from_data(snapshot.version, data, ["sha256"])
        self._write(timestamp, "timestamp", signers["timestamp"])

    def _write(self, signed: Signed, role: str, signers: Sequence[Signer]) -> bytes:
        """The next version of some metadata, signed and stored; gives its bytes."""
        signed.version += 1
        days = getattr(self._expiry, role)
        signed.expires = (self._now or datetime.now(UTC)).replace(microsecond=0) + timedelta(days=days)
        metadata: Metadata[Any] = Metadata(signed)
        for signer in signers:
            metadata.sign(signer, append=True)
        data = metadata.to_bytes()
        name = "timestamp.json" if role == "timestamp" else f"{signed.version}.{role}.json"
        _replace(self._metadata / name, data)
        return data

    def _refuse_old(self, manifest: Manifest) -> None:
        same = [
            one.manifest
            for one in self.releases()
            if (one.manifest.product, one.manifest.arch) == (manifest.product, manifest.arch)
        ]
        newest = max((one.release_seq for one in same), default=0)
        meant = manifest.allow_downgrade_from is not None and manifest.allow_downgrade_from >= newest
        if manifest.release_seq <= newest and not meant:
            raise UserError(
                f"releaseSeq {manifest.release_seq} of {manifest.version} is not above {newest}",
                hint=f"set releaseSeq to {newest + 1} or more, or allowDowngradeFrom to {newest}",
            )

    def _put(self, blob: Path, path: str) -> None:
        goal = self.folder / path
        if goal.exists():
            return
        with tempfile.NamedTemporaryFile(dir=goal.parent, prefix=".put-", delete=False) as file:
            try:
                with blob.open("rb") as source:
                    shutil.copyfileobj(source, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o644)
                Path(file.name).replace(goal)
            except BaseException:
                Path(file.name).unlink()
                raise


def check_root(image: Path, manifest: Manifest) -> None:
    """Reads a whole root image against its manifest: every block, the tree, and nothing behind it.

    Raises:
        Tampered, Truncated, Endless: what is wrong with it.
        OSError: it can't be read.
    """
    root = manifest.root
    with image.open("rb") as file:
        tree = verity.build(file, data_blocks=root.data_blocks, salt=root.salt)
        if tree.root_hash != root.root_hash:
            raise Tampered(f"{image} hashes to {tree.root_hash.hex()}, not to {root.root_hash.hex()}")
        appended = file.read(root.size - root.data_size + 1)
    verity.Tree.decode(appended, data_blocks=root.data_blocks, salt=root.salt, root_hash=root.root_hash)


def check_boot(image: Path, manifest: Manifest) -> None:
    """Reads a whole boot image against its manifest.

    Raises:
        Tampered, Truncated: what is wrong with it.
        OSError: it can't be read.
    """
    size = image.stat().st_size
    if size < manifest.boot.size:
        raise Truncated(f"{image} has {size} bytes, {manifest.boot.size} were promised")
    with image.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").digest()
    if found != manifest.boot.sha256 or size != manifest.boot.size:
        raise Tampered(f"{image} is {size} bytes of sha256 {found.hex()}, not what the manifest says")


def _set_keys(root: Root, role: str, signers: Sequence[Signer], threshold: int) -> None:
    if not 1 <= threshold <= len(signers):
        raise UserError(f"a threshold of {threshold} can't be met by {len(signers)} {role} keys")
    for signer in signers:
        root.add_key(signer.public_key, role)
    root.roles[role].threshold = threshold


def _refuse_few(root: Root, role: str, signers: Sequence[Signer]) -> None:
    trusted = {signer.public_key.keyid for signer in signers} & set(root.roles[role].keyids)
    if len(trusted) < root.roles[role].threshold:
        raise UserError(
            f"{len(trusted)} of the {root.roles[role].threshold} needed {role} keys are at hand",
            hint="name the folder that has them with --keys; `warmroot release keys` lists the trusted ones",
        )


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
    Path(file.name).replace(path)


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}", hint="check the path") from error


@contextmanager
def _readable_disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{error.filename}: {error.strerror}",
            hint="nothing new is visible yet; free space or correct the rights, then run it again",
        ) from error


def _no_repository(folder: Path) -> UserError:
    return UserError(
        f"{folder} is no release repository",
        hint="make one with `warmroot release init`, or correct the path",
    )

"""A small real repository with keys in memory, and a source in front of it that can be made to lie."""

import hashlib
import random
import shutil
from copy import copy
from dataclasses import replace

from securesystemslib.signer import CryptoSigner

from warmroot.errors import Endless, Truncated, Unknown
from warmroot.release.manifest import Boot, Manifest, Root, Skew
from warmroot.release.repository import Repository
from warmroot.release.verity import BLOCK, build, tree_size

PRODUCT, ARCH = "warmroot", "amd64"
ROLES = ("root", "targets", "snapshot", "timestamp")


def new_keys(count=1):
    return [CryptoSigner.generate_ed25519() for _ in range(count)]


def all_keys():
    return {role: new_keys() for role in ROLES}


def write_release(folder, version, seq, *, blocks=3, **changes):
    """A built release in `folder`; gives its manifest."""
    folder.mkdir(parents=True)
    data, boot = random.Random(seq).randbytes(blocks * BLOCK), f"boot of {version}".encode()
    tree = build([data], data_blocks=blocks, salt=b"salt")
    manifest = Manifest(
        product=PRODUCT,
        arch=ARCH,
        version=version,
        release_seq=seq,
        min_seq=0,
        root=Root(blocks * BLOCK + tree_size(blocks), blocks, b"salt", tree.root_hash),
        boot=Boot(len(boot), hashlib.sha256(boot).digest()),
        kernel="6.12.1",
        kubelet="1.36.2",
        kubernetes=Skew("1.36", "1.39"),
        config_schema=1,
    )
    manifest = replace(manifest, **changes)
    (folder / "root.img").write_bytes(data + tree.encode())
    (folder / "boot.img").write_bytes(boot)
    (folder / "manifest.json").write_bytes(manifest.encode())
    return manifest


class World:
    """A repository in which releases can be published, and the lying source in front of it."""

    def __init__(self, folder, *, keys=None, threshold=1, now=None):
        self.keys = keys or all_keys()
        Repository.create(folder / "repo", self.keys, threshold=threshold, now=now)
        self._live_in(folder)

    def copy_to(self, folder):
        """The same world somewhere else: cheaper than making one."""
        shutil.copytree(self.folder, folder)
        other = copy(self)
        other._live_in(folder)
        return other

    def _live_in(self, folder):
        self.folder = folder
        self.repository = Repository(folder / "repo")
        self.source = Liar(folder / "repo")
        self.anchor = self.repository.root_bytes()

    def publish(self, version, seq, **changes):
        release = self.folder / "built" / f"{version}-{seq}"
        write_release(release, version, seq, **changes)
        return self.repository.publish(release, self.keys)

    def file(self, name):
        """The bytes of a file of the repository."""
        return (self.folder / "repo" / name).read_bytes()

    def newest(self, role):
        """The path of the newest metadata of a role."""
        if role == "timestamp":
            return "metadata/timestamp.json"
        versions = [int(p.name.split(".")[0]) for p in (self.folder / "repo/metadata").glob(f"*.{role}.json")]
        return f"metadata/{max(versions)}.{role}.json"


class Liar:
    """A `ReleaseSource`: the folder's files, but for what `lies` says. A lie is bytes or an error."""

    describe = "liar"

    def __init__(self, folder):
        self.folder = folder
        self.lies = {}
        self.asked = []

    def read(self, path, max_bytes):
        self.asked.append(path)
        data = self._file(path)
        if len(data) > max_bytes:
            raise Endless(f"{path} is longer than {max_bytes}")
        return data

    def read_range(self, path, start, length):
        part = self._file(path)[start : start + length]
        yield part
        if len(part) < length:
            raise Truncated(path)

    def _file(self, path):
        lie = self.lies.get(path)
        if isinstance(lie, Exception):
            raise lie
        if lie is not None:
            return lie
        try:
            return (self.folder / path).read_bytes()
        except FileNotFoundError:
            raise Unknown(f"no {path}") from None


def content(folder):
    """All files below a folder, with their bytes: to show that nothing changed."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }

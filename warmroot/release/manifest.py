"""The manifest: what one release is made of. Its sha256 is the release digest.

Encoding: canonical JSON (`warmroot.canonical`). `decode` accepts nothing but that form, so one manifest has
exactly one sequence of bytes and one digest. Frozen dataclasses, because the proxy does not pay for pydantic.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from warmroot.canonical import Fields, check, check_integer, encode
from warmroot.errors import Endless, Tampered
from warmroot.release.verity import BLOCK, MAX_SALT, tree_size

MAX_MANIFEST = 64 * 1024
"""No manifest is longer than this many bytes; a reader stops there."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,62}")
_KUBERNETES = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}")


@dataclass(frozen=True)
class Root:
    """The root image. `size` in bytes, tree included; `salt` and `root_hash` as the tree has them."""

    size: int
    data_blocks: int
    salt: bytes
    root_hash: bytes

    def __post_init__(self) -> None:
        check_integer("root.dataBlocks", self.data_blocks, least=1)
        check(len(self.salt) <= MAX_SALT, f"root.salt is longer than {MAX_SALT} bytes")
        check(len(self.root_hash) == 32, "root.rootHash is not a sha256")
        expected = self.data_blocks * BLOCK + tree_size(self.data_blocks)
        check(
            self.size == expected,
            f"root.size is {self.size}, but {self.data_blocks} blocks and their tree make {expected} bytes",
        )

    @property
    def data_size(self) -> int:
        """Bytes before the tree; `veritysetup` calls it the hash offset."""
        return self.data_blocks * BLOCK

    @property
    def path(self) -> str:
        """Where a repository keeps it."""
        return f"blobs/root/{self.root_hash.hex()}.img"


@dataclass(frozen=True)
class Boot:
    """The boot image. `size` in bytes."""

    size: int
    sha256: bytes

    def __post_init__(self) -> None:
        check_integer("boot.size", self.size, least=1)
        check(len(self.sha256) == 32, "boot.sha256 is not a sha256")

    @property
    def path(self) -> str:
        """Where a repository keeps it."""
        return f"blobs/boot/{self.sha256.hex()}.img"


@dataclass(frozen=True)
class Skew:
    """The control planes (`major.minor`, both ends included) that the kubelet may serve."""

    min: str
    max: str

    def __post_init__(self) -> None:
        for name, value in (("min", self.min), ("max", self.max)):
            check(bool(_KUBERNETES.fullmatch(value)), f"kubernetes.{name} {value!r} is not major.minor")
        check(_minor(self.min) <= _minor(self.max), "kubernetes.min is above kubernetes.max")

    def allows(self, version: str) -> bool:
        """Whether a control plane of this version (`1.36`, `v1.36.2`) may be served.

        Raises:
            ValueError: it is no Kubernetes version.
        """
        match = re.match(r"v?([0-9]{1,3}\.[0-9]{1,3})(?![0-9])", version)
        if match is None:
            raise ValueError(f"{version!r} is no Kubernetes version")
        return _minor(self.min) <= _minor(match[1]) <= _minor(self.max)


@dataclass(frozen=True)
class Manifest:
    """One release.

    `release_seq` rises with every release of a product. Once a release is confirmed, nothing below its
    `min_seq` may come back. `allow_downgrade_from`, where it is set, is the highest sequence that may be left
    for this older one.
    """

    product: str
    arch: str
    version: str
    release_seq: int
    min_seq: int
    root: Root
    boot: Boot
    kernel: str
    kubelet: str
    kubernetes: Skew
    config_schema: int
    allow_downgrade_from: int | None = None

    def __post_init__(self) -> None:
        for name in ("product", "arch", "version", "kernel", "kubelet"):
            check_name(name, getattr(self, name))
        check_integer("releaseSeq", self.release_seq, least=1)
        check_integer("minSeq", self.min_seq, least=0)
        check(self.min_seq <= self.release_seq, "minSeq is above releaseSeq")
        check_integer("configSchema", self.config_schema, least=1)
        if self.allow_downgrade_from is not None:
            check_integer("allowDowngradeFrom", self.allow_downgrade_from, least=self.release_seq + 1)

    @property
    def target(self) -> str:
        """Its name among the repository's targets."""
        return target_name(self.product, self.arch, self.version)

    def encode(self) -> bytes:
        """The only form of this manifest."""
        tree: dict[str, Any] = {
            "product": self.product,
            "arch": self.arch,
            "version": self.version,
            "releaseSeq": self.release_seq,
            "minSeq": self.min_seq,
            "root": {
                "size": self.root.size,
                "dataBlocks": self.root.data_blocks,
                "salt": self.root.salt.hex(),
                "rootHash": self.root.root_hash.hex(),
            },
            "boot": {"size": self.boot.size, "sha256": self.boot.sha256.hex()},
            "kernel": self.kernel,
            "kubelet": self.kubelet,
            "kubernetes": {"min": self.kubernetes.min, "max": self.kubernetes.max},
            "configSchema": self.config_schema,
        }
        if self.allow_downgrade_from is not None:
            tree["allowDowngradeFrom"] = self.allow_downgrade_from
        return encode(tree)


def decode(data: bytes) -> Manifest:
    """The manifest in these bytes.

    Raises:
        Endless: longer than any manifest is.
        Tampered: not the canonical form of a manifest; the message names what is odd.
    """
    if len(data) > MAX_MANIFEST:
        raise Endless(f"a manifest of more than {MAX_MANIFEST} bytes")
    try:
        manifest = _manifest(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise Tampered(f"not a manifest: {error}") from error
    if manifest.encode() != data:
        raise Tampered("the manifest is not in canonical form")
    return manifest


def digest(data: bytes) -> str:
    """The release digest of a manifest's bytes: `sha256:` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def target_name(product: str, arch: str, version: str) -> str:
    """The name of a manifest among the repository's targets.

    Raises:
        ValueError: a part would not be safe as a path.
    """
    for name, value in (("product", product), ("arch", arch), ("version", version)):
        check_name(name, value)
    return f"{product}/{arch}/{version}.json"


def check_name(field: str, value: str) -> None:
    """Refuses what would not be safe as a path segment, a kernel argument or a label.

    Raises:
        ValueError: names the field and what is allowed.
    """
    check(
        bool(_NAME.fullmatch(value)),
        f"{field} {value!r} must be 1-63 of A-Z a-z 0-9 . _ + - and begin with a letter or digit",
    )


def _manifest(tree: object) -> Manifest:
    top = Fields("manifest", tree)
    root, boot, skew = (Fields(name, top.take(name)) for name in ("root", "boot", "kubernetes"))
    manifest = Manifest(
        product=top.text("product"),
        arch=top.text("arch"),
        version=top.text("version"),
        release_seq=top.integer("releaseSeq"),
        min_seq=top.integer("minSeq"),
        root=Root(
            size=root.integer("size"),
            data_blocks=root.integer("dataBlocks"),
            salt=root.hex("salt"),
            root_hash=root.hex("rootHash"),
        ),
        boot=Boot(size=boot.integer("size"), sha256=boot.hex("sha256")),
        kernel=top.text("kernel"),
        kubelet=top.text("kubelet"),
        kubernetes=Skew(min=skew.text("min"), max=skew.text("max")),
        config_schema=top.integer("configSchema"),
        allow_downgrade_from=top.integer("allowDowngradeFrom") if "allowDowngradeFrom" in top.left else None,
    )
    for fields in (top, root, boot, skew):
        fields.finish()
    return manifest


def _minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)

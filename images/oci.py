"""A release as an OCI artifact in one file (image-spec 1.1, image layout), for registries and air gaps.

`skopeo copy oci-archive:release.oci.tar docker://REGISTRY/NAME:VERSION` puts it into a registry. An image is
one blob, uncompressed: a node can ask for ranges of it. The config is the manifest of the release, so its
digest is the release's digest.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from images.command import EPOCH
from warmroot.release import manifest as manifests

NAME = "release.oci.tar"
ARTIFACT = "application/vnd.warmroot.release.v1"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.warmroot.manifest.v1+json"
_IMAGES = {"root.img": "application/vnd.warmroot.root.v1", "boot.img": "application/vnd.warmroot.boot.v1"}


def write(release: Path, target: Path) -> str:
    """Writes the file; gives the digest of its OCI manifest. Equal releases give equal bytes.

    Raises:
        OSError: a file of the release is missing, or the target can't be written.
    """
    config = (release / "manifest.json").read_bytes()
    named = manifests.decode(config)
    layers = [_described(release / name, kind) for name, kind in _IMAGES.items()]
    document = canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": ARTIFACT,
            "config": {"mediaType": _CONFIG, "digest": manifests.digest(config), "size": len(config)},
            "layers": layers,
            "annotations": {
                "org.opencontainers.image.title": named.product,
                "org.opencontainers.image.version": named.version,
            },
        }
    )
    named_by = digest(document)
    entry: dict[str, Any] = {"mediaType": MANIFEST, "artifactType": ARTIFACT}
    entry |= {"digest": named_by, "size": len(document)}
    entry["annotations"] = {"org.opencontainers.image.ref.name": named.version}
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        add_index(archive, entry)
        for data in (document, config):
            add(archive, blob(digest(data)), data)
        for layer, name in zip(layers, _IMAGES, strict=True):
            with (release / name).open("rb") as image:
                archive.addfile(member(blob(layer["digest"]), layer["size"]), image)
    return named_by


def _described(image: Path, kind: str) -> dict[str, Any]:
    with image.open("rb") as file:
        found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    title = {"org.opencontainers.image.title": image.name}
    return {"mediaType": kind, "digest": found, "size": image.stat().st_size, "annotations": title}


def add_index(archive: tarfile.TarFile, entry: dict[str, Any]) -> None:
    """Says that this is an image layout, and that `entry` describes what is in it."""
    add(archive, "oci-layout", canonical({"imageLayoutVersion": "1.0.0"}))
    add(archive, "index.json", canonical({"schemaVersion": 2, "manifests": [entry]}))


def canonical(value: dict[str, Any]) -> bytes:
    """JSON that is the same for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest(data: bytes) -> str:
    """As OCI writes it: `sha256:` and hex."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def blob(named: str) -> str:
    """Where a layout has the blob of a digest."""
    return f"blobs/{named.replace(':', '/')}"


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Adds a file."""
    archive.addfile(member(name, len(data)), io.BytesIO(data))


def member(name: str, size: int) -> tarfile.TarInfo:
    """A file of root, of one time: what builds it leaves no trace."""
    found = tarfile.TarInfo(name)
    found.size, found.mtime, found.mode = size, EPOCH, 0o644
    return found

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
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
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
    document = _canonical(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "artifactType": ARTIFACT,
            "config": {"mediaType": _CONFIG, "digest": manifests.digest(config), "size": len(config)},
            "layers": layers,
            "annotations": {
                "org.opencontainers.image.title": named.product,
                "org.opencontainers.image.version": named.version,
            },
        }
    )
    digest = _digest(document)
    entry = {"mediaType": _MANIFEST, "artifactType": ARTIFACT, "digest": digest, "size": len(document)}
    entry["annotations"] = {"org.opencontainers.image.ref.name": named.version}
    index = _canonical({"schemaVersion": 2, "manifests": [entry]})
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        _add(archive, "oci-layout", _canonical({"imageLayoutVersion": "1.0.0"}))
        _add(archive, "index.json", index)
        for data in (document, config):
            _add(archive, _blob(_digest(data)), data)
        for layer, name in zip(layers, _IMAGES, strict=True):
            with (release / name).open("rb") as image:
                archive.addfile(_member(_blob(layer["digest"]), layer["size"]), image)
    return digest


def _described(image: Path, kind: str) -> dict[str, Any]:
    with image.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    title = {"org.opencontainers.image.title": image.name}
    return {"mediaType": kind, "digest": digest, "size": image.stat().st_size, "annotations": title}


def _canonical(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    archive.addfile(_member(name, len(data)), io.BytesIO(data))


def _member(name: str, size: int) -> tarfile.TarInfo:
    """Of root, of one time: what builds it leaves no trace."""
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, EPOCH, 0o644
    return member

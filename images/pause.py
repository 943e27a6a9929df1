"""The image of the container that holds a pod's namespaces, made of a program of the root itself.

A node that starts before any registry answers, or that has none, still runs pods. An OCI image layout in one
file, which `ctr images import` takes. Equal programs give equal bytes.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

from images import oci

NAME = "localhost/warmroot/pause:1"
"""containerd.toml names it too."""
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


def write(program: Path, target: Path) -> None:
    """Writes the image: `program` (static; catatonit's way of being told to hold still) and nothing else.

    Raises:
        OSError: the program can't be read, or the target not written.
    """
    layer = _layer(program.read_bytes())
    config = oci.canonical(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": ["/pause", "-P"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [oci.digest(layer)]},
        }
    )
    document = oci.canonical(
        {
            "schemaVersion": 2,
            "mediaType": oci.MANIFEST,
            "config": _described(_CONFIG, config),
            "layers": [_described(_LAYER, layer)],
        }
    )
    named = _described(oci.MANIFEST, document)
    named["annotations"] = {"io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": "1"}
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        oci.add_index(archive, named)
        for data in (document, config, layer):
            oci.add(archive, oci.blob(oci.digest(data)), data)


def _layer(program: bytes) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        member = oci.member("pause", len(program))
        member.mode = 0o755
        archive.addfile(member, io.BytesIO(program))
    return content.getvalue()


def _described(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": oci.digest(data), "size": len(data)}

"""The image of the container that holds a pod's namespaces, made of a program of the root itself.

A node that starts before any registry answers, or that has none, still runs pods.
"""

from __future__ import annotations

import io
from pathlib import Path

from images import container

NAME = "localhost/warmroot/pause:1"
"""containerd.toml names it too."""


def write(program: Path, target: Path) -> None:
    """Writes the image: `program` (static; catatonit's way of being told to hold still) and nothing else.

    Raises:
        OSError: the program can't be read, or the target not written.
    """
    content = io.BytesIO()
    with container.Layer(content) as layer:
        layer.data("pause", program.read_bytes(), mode=0o755)
    container.write(target, NAME, [content], {"Entrypoint": ["/pause", "-P"], "User": "65535:65535"})

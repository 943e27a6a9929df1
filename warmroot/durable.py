"""What makes a new name outlive a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Brings the names in a folder to the disk; returns when they are there (fsync(2) of the folder).

    Raises:
        OSError: there is no such folder, or the disk refuses.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Bytes under a path, for libraries that only read files, and on no disk: a kill leaves no key behind."""

from __future__ import annotations

import os
import tempfile
from typing import Any


class InMemory:
    """A file of these bytes, for this process alone, until `close`.

    Where the kernel has no files in memory (macOS, for whoever uses the plugins there) it is a temporary one,
    which a kill would leave.
    """

    def __init__(self, data: bytes) -> None:
        self._number = -1
        self._file: Any = None
        if hasattr(os, "memfd_create"):
            self._number = os.memfd_create("warmroot")
            self.path = f"/proc/self/fd/{self._number}"
            with open(self._number, "wb", closefd=False) as file:
                file.write(data)
        else:
            self._file = tempfile.NamedTemporaryFile(prefix="warmroot-")  # noqa: SIM115 - until `close`
            self._file.write(data)
            self._file.flush()
            self.path = str(self._file.name)

    def close(self) -> None:
        """It is gone."""
        if self._file is not None:
            self._file.close()
        elif self._number >= 0:
            os.close(self._number)
            self._number = -1

    def __del__(self) -> None:
        self.close()

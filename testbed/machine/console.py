"""A machine's console: one line for each decision, in a file that a person reads afterwards."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path


class Console:
    """Appends lines with the time (UTC) to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def say(self, who: str, what: str) -> None:
        """One line: when, who (firmware, kernel, machine …), what."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        with self._lock, self.path.open("a") as log:
            log.write(f"{now}Z {who}: {what}\n")

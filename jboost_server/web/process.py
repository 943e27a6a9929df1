"""What every process of ours does alike: it ends at SIGTERM with code 0, and logs a line of JSON a record."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import uvicorn

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Server(uvicorn.Server):
    """Ends at SIGTERM with code 0; uvicorn would raise the signal once more when it is done."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Asks the server to end at SIGTERM and SIGINT, where this thread may."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Json(logging.Formatter):
    """One line of JSON a record, with what `extra` gave."""

    _STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "taskName", "color_message"}

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in self._STANDARD}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def log_json() -> None:
    """From now on, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("uvicorn.error", "botocore", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # A connection beyond those that are kept costs a new one. A line for each would be a flood in a storm,
    # and whoever reads our log slowly would hold up all threads.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

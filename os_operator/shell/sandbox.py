"""CEL in a process of its own: what is too dear, or crashes it, costs that process and one answer."""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from os_operator.core.cel import TOO_DEAR, Said

log = logging.getLogger(__name__)
START = 20.0
"""Seconds that a process has to start."""
EVALUATION = 2.0
"""Seconds for one evaluation; those that are not meant to be dear take less than a thousandth."""
_LINE = 4096


class Sandbox:
    """One process, started when it is needed first; one evaluation at a time, whichever thread wants it."""

    def __init__(self, evaluation: float = EVALUATION) -> None:
        self._evaluation = evaluation
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def evaluate(self, text: str, seen: Any) -> Said:
        """What an expression says of an object, or that it was too dear to find out."""
        line = json.dumps({"cel": text, "object": seen}).encode() + b"\n"
        with self._lock:
            process = self._running()
            if process is None:
                return Said(TOO_DEAR, "no process for CEL could be started")
            answer = self._exchange(process, line)
            if answer is None:
                self._end()
                return Said(TOO_DEAR, f"no answer in {self._evaluation:g} s and the memory that it may have")
        kind, detail = json.loads(answer)
        return Said(kind, detail)

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[bytes] | None:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        command = [sys.executable, "-I", "-m", "os_operator.shell.cel_child"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"LANG": "C.UTF-8"},
            bufsize=0,
        )
        if _line(self._process, START) is None:
            log.warning("the process for CEL did not start within %g s", START)
            self._end()
        return self._process

    def _exchange(self, process: subprocess.Popen[bytes], line: bytes) -> bytes | None:
        assert process.stdin is not None
        try:
            while line:
                line = line[process.stdin.write(line) :]
        except OSError:
            return None
        return _line(process, self._evaluation)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _line(process: subprocess.Popen[bytes], patience: float) -> bytes | None:
    """The next line of its output; None where it ends or is silent for too long."""
    assert process.stdout is not None
    end, held = time.monotonic() + patience, b""
    while not held.endswith(b"\n"):
        readable, _, _ = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))
        data = os.read(process.stdout.fileno(), _LINE) if readable else b""
        if not data:
            return None
        held += data
    return held

"""The real cache service as a process of its own, with a fresh key and an empty folder."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jboost_server import signing
from testbed.apps.running import answers, free_port
from testbed.controlplane.processes import Program
from testbed.demo.java.pod import Service
from warmroot.errors import ProgramDied

PATIENCE = 30.0
"""Seconds until it must be ready."""


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    """The service is up within this context.

    Raises:
        ProgramDied: it ended, or it did not get ready.
    """
    key, publics = folder / "signing.key", folder / "public.keys"
    signing.write_publics(signing.create(key), publics)
    port = free_port()
    # The interpreter finds its virtual environment by the name that it is started with.
    command = [sys.executable, "-m", "jboost_server.web", "--store", str(folder / "store")]
    command += ["--key", str(key), "--listen", f"127.0.0.1:{port}"]
    program = Program.start(
        command,
        executable=Path(sys.executable),
        log=folder / "service.log",
        pid_file=folder / "service.pid",
        dies_with_us=True,
        env=os.environ,
    )
    try:
        end = time.monotonic() + PATIENCE
        while not answers(port, "/readyz"):
            program.check()
            if time.monotonic() > end:
                raise ProgramDied(
                    f"the cache service is not ready after {PATIENCE:.0f} s", hint=f"see {program.log}"
                )
            time.sleep(0.05)
        yield Service(f"http://127.0.0.1:{port}", publics)
    finally:
        program.end(10.0)

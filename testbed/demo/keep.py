"""`--keep`: the demo goes on in the background, in a process that the terminal does not end.

The foreground process only waits. The background one ends when it is told to, and cleans up as always.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from testbed.controlplane.processes import Identity
from warmroot.errors import StepFailed

_READY_FD = "WARMROOT_DEMO_READY_FD"
PID_FILE = "demo.pid"
END_SECONDS = 60.0


def outlive() -> bool:
    """Whether this is the background process. In the foreground: starts it and returns when it is ready.

    Raises:
        StepFailed: it ended before it was ready; what it printed says why.
    """
    if _READY_FD in os.environ:
        return True
    ready, tell = os.pipe()
    environment = {**os.environ, _READY_FD: str(tell)}
    command = [sys.executable, *sys.argv]
    child = subprocess.Popen(command, env=environment, pass_fds=(tell,), start_new_session=True)
    os.close(tell)
    try:
        told = os.read(ready, 1)
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise
    finally:
        os.close(ready)
    if not told:
        raise StepFailed("the demo ended before it could be kept", hint=f"its exit code is {child.wait()}")
    return False


def hand_over(directory: Path) -> None:
    """Called by the background process: from now on nobody waits for it, and nobody reads what it prints."""
    identity = Identity.of(os.getpid())
    if identity is not None:
        identity.save(directory / PID_FILE)
    sys.stdout.flush()
    sys.stderr.flush()
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    os.close(silence)
    tell = int(os.environ[_READY_FD])
    os.write(tell, b"1")
    os.close(tell)


def end_kept(runs: Path) -> None:
    """Ends every demo that was kept below `runs`, and waits until it is gone.

    Raises:
        StepFailed: one does not end.
    """
    ended = 0
    for path in sorted(runs.glob(f"*/{PID_FILE}")):
        identity = Identity.load(path)
        if identity is None or not identity.alive:
            path.unlink(missing_ok=True)
            continue
        os.kill(identity.pid, signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        while identity.alive:
            if time.monotonic() > deadline:
                raise StepFailed(
                    f"process {identity.pid} does not end", hint=f"read the logs in {path.parent}"
                )
            time.sleep(0.1)
        ended += 1
    print(f"ended: {ended}")  # noqa: T201

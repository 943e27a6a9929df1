"""A real S3 server on loopback, over an empty folder."""

from __future__ import annotations

import http.client
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.apps.running import free_port
from testbed.controlplane.processes import tail
from testbed.setup.gotool import S3_SERVER
from warmroot.cache import cache_dir
from warmroot.errors import NotInstalled, ProgramDied

KEY, REGION = "warmroot", "us-east-1"
_WITHIN = 60.0


@dataclass(frozen=True)
class S3Server:
    """Where it is, and the secret of the user `KEY`."""

    url: str
    secret: str

    @property
    def environment(self) -> dict[str, str]:
        """By which boto3 of another process finds it."""
        return {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": REGION,
        }


@contextmanager
def running(folder: Path) -> Iterator[S3Server]:
    """The server, answering, until the block ends.

    Raises:
        NotInstalled: set-up has not built it.
        ProgramDied: it did not come up.
    """
    program = S3_SERVER.program(cache_dir())
    if not program.exists():
        raise NotInstalled(f"{S3_SERVER.name} is not built", hint="run `scripts/setup --tier test`")
    for name in ("data", "meta"):
        (folder / name).mkdir()
    port, secret = free_port(), secrets.token_hex(16)
    words: list[str | Path] = [
        "--port",
        f"127.0.0.1:{port}",
        "posix",
        "--sidecar",
        folder / "meta",
        folder / "data",
    ]
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [program, *words],
            env=os.environ | {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": secret},
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            end = time.monotonic() + _WITHIN
            while not _answers(port):
                if server.poll() is not None or time.monotonic() > end:
                    raise ProgramDied(f"{S3_SERVER.name} does not answer:\n{tail(log)}")
                time.sleep(0.02)
            yield S3Server(f"http://127.0.0.1:{port}", secret)
        finally:
            server.terminate()


def _answers(port: int) -> bool:
    try:
        probe = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        probe.request("GET", "/")
        probe.getresponse().read()
    except OSError:
        return False
    return True

"""The one place of the builder that starts other programs."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from warmroot.errors import NotInstalled, StepFailed

EPOCH = 1767225600
"""The time stamp of everything that is built: 2026-01-01, UTC (node.md, Image)."""
_LAST_LINES = 8
_NETWORK = ("HTTP", "http", "SSL_", "NO_PROXY", "no_proxy")
NEXT = "read its last lines; if the disk is full, free space and run the build again"


def passed_on(*more: str) -> dict[str, str]:
    """What our environment says of how the network is reached; `more` are beginnings of further names."""
    wanted = (*_NETWORK, *more)
    return {name: value for name, value in os.environ.items() if name.startswith(wanted)}


def run(
    step: str,
    command: Sequence[str | Path],
    *,
    package: str,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    each_line: Callable[[str], None] = lambda _: None,
    hint: str = NEXT,
) -> str:
    """Runs a program to its end and gives what it printed. `package` is where Debian has it.

    The program sees nothing of our environment but PATH: what it makes must not depend on who builds. It runs
    in `folder`.
    `each_line` hears every line when it is written; `hint` says what to try when the program fails.

    Raises:
        NotInstalled: there is no such program.
        StepFailed: it ended with an error; the message has the command and its last lines.
    """
    words = [str(word) for word in command]
    program = shutil.which(words[0]) or shutil.which(words[0], path="/usr/sbin:/sbin")
    if program is None:
        raise NotInstalled(
            f"{words[0]} is missing; {step} needs it",
            hint=f"run `make setup`, or install the package {package}",
        )
    lines = []
    with subprocess.Popen(
        [program, *words[1:]],
        cwd=folder,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC0", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            lines.append(line.decode(errors="replace"))
            each_line(lines[-1].rstrip("\n"))
    printed = "".join(lines)
    if child.returncode:
        last = "\n".join(printed.strip().splitlines()[-_LAST_LINES:])
        raise StepFailed(
            f"{step}: `{shlex.join(words)}` ended with status {child.returncode}:\n{last}", hint=hint
        )
    return printed

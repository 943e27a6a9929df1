"""The one function of set-up that runs programs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from warmroot.errors import StepFailed

TAIL = 30


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    each_line: Callable[[str], None] = lambda _: None,
    hint: str = "",
) -> str:
    """Runs a program to its end and returns its standard output and error, mixed as they came.

    `each_line` sees every line when it is written.

    Raises:
        StepFailed: it can't be started, or it ended with an error; the message has its last lines.
    """
    words = [str(word) for word in command]
    lines: list[str] = []
    try:
        with subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            env=dict(env) if env is not None else None,
            cwd=cwd,
        ) as child:
            assert child.stdout is not None
            for text in child.stdout:
                lines.append(text)
                each_line(text.rstrip("\n"))
    except OSError as error:
        raise StepFailed(f"{words[0]} can't be started: {error}", hint=hint) from error
    if child.returncode:
        tail = "".join(lines[-TAIL:]).rstrip()
        raise StepFailed(f"`{' '.join(words)}` ended with {child.returncode}:\n{tail}\n", hint=hint)
    return "".join(lines)


_LEFT_ALONE: list[subprocess.Popen[bytes]] = []
"""Processes that nobody waits for; one that is forgotten while it runs is warned about."""


def drop(folder: Path) -> None:
    """Removes a large folder while the caller goes on; what a kill leaves of it, the next call removes."""
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.dropped-{os.getpid()}"))
    left = [str(path) for path in folder.parent.glob(f"{folder.name}.dropped-*")]
    nobody = subprocess.DEVNULL
    removing = subprocess.Popen(
        ["rm", "-rf", "--", *left], stdin=nobody, stdout=nobody, stderr=nobody, start_new_session=True
    )
    _LEFT_ALONE.append(removing)

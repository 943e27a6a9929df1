"""The real kubectl, as a person would type it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from warmroot.errors import StepFailed


class Kubectl:
    """One kubectl program with one kubeconfig."""

    def __init__(self, program: Path, kubeconfig: Path) -> None:
        self.program = program
        self.kubeconfig = kubeconfig

    def run(self, *arguments: str, text: str | None = None, hint: str = "") -> str:
        """What it prints; `text` goes to its standard input.

        Raises:
            StepFailed: it ended with an error, which is in the message.
        """
        done = subprocess.run(
            [str(self.program), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StepFailed(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}", hint=hint)
        return done.stdout

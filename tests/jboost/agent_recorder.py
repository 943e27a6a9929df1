"""A pod that records: the agent's `record` beside an application."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Recorder:
    """One pod that records: the agent's folder, and the agent's `record` beside the application."""

    agent: Path
    jdk: Path
    folder: Path
    url: str

    @property
    def list(self) -> Path:
        return self.folder / "recording.lst"

    @property
    def configuration(self) -> Path:
        return self.folder / "recording.aotconf"

    def decide(self, form: str, settle: int = 0) -> None:
        """Leaves the report of a `fetch` that was told to record."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "java.opts").write_text("")
        report = {"outcome": "learning", "key": "ab" * 32, "lease": "1e", "form": form, "settle": settle}
        (self.folder / "report.json").write_text(json.dumps(report))

    def flags(self, form: str) -> list[str]:
        if form == "classlist":
            return [f"-XX:DumpLoadedClassList={self.list}"]
        return [
            "-XX:AOTMode=record",
            f"-XX:AOTConfiguration={self.configuration}",
            "-XX:+StartAttachListener",
        ]

    def start(self, *arguments: str | Path, user: int | None = None) -> subprocess.Popen[str]:
        command = [
            *(self.jdk / "bin/java", "-jar", self.agent, "record", "--server", self.url, "--group", "orders"),
            *("--dir", self.folder, "--upload-seconds", "20", *arguments),
        ]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, user=user, group=user
        )

    def run(self, *arguments: str | Path) -> str:
        """What it says, once it has ended; it always ends with 0 and never prints to stdout."""
        with self.start(*arguments) as process:
            return said(process)


def said(process: subprocess.Popen[str], seconds: float = 60) -> str:
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()  # or else nobody would hear of it
        raise
    assert (process.returncode, out) == (0, ""), err
    return err

"""Calling the pod agent, which decides and measures; its answers as values.

The agent's files and its command line are written down in `docs/jboost-protocol.md`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jboost_server.core.outcome import Outcome
from jboost_server.local.command import JavaCommand
from warmroot.canonical import Fields
from warmroot.errors import ProgramDied, StepFailed

PATIENCE = 20.0
"""Seconds after which a `fetch` that ignores its own budget is ended."""
EXTRACTION = 330.0
"""Seconds for `extract`, which has five minutes for Spring Boot's tool."""
_OPTIONS = {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"}
"""What the application's JVM gets so is for it alone where the agent does not look at it."""


@dataclass(frozen=True)
class Ready:
    """How one sees that the application is ready: an address answers 200, a line of its output matches, or it
    ends by itself. None of the three: a person did not say.
    """

    url: str | None = None
    log: str | None = None
    ends: bool = False

    def __bool__(self) -> bool:
        return bool(self.url or self.log or self.ends)

    def words(self) -> list[str]:
        """For the agent's `build`."""
        if self.url:
            return ["--ready-url", self.url]
        return ["--ready-log", self.log] if self.log else ["--until-exit"]


@dataclass(frozen=True)
class Report:
    """What `fetch` decided: `report.json`. `steps` are milliseconds by name; `key` the key's digest or ""."""

    outcome: Outcome
    why: tuple[str, ...]
    flags: tuple[str, ...]
    archive: str
    key: str
    learning: bool
    steps: Mapping[str, int]

    @classmethod
    def decode(cls, data: bytes) -> Report:
        """The report in these bytes. Raises ValueError, which names what is odd."""
        fields = Fields("report", json.loads(data))
        why = fields.left.get("why", "")
        steps = Fields("report.ms", fields.left.get("ms") or {})
        return cls(
            outcome=Outcome(fields.text("outcome")),
            why=(why,) if isinstance(why, str) else fields.texts("why"),
            flags=fields.texts("flags"),
            archive=_text(fields, "archive"),
            key=_text(fields, "key"),
            learning=fields.left.get("lease") not in (None, ""),
            steps={name: steps.integer(name) for name in tuple(steps.left)},
        )


def _text(fields: Fields, name: str) -> str:
    return fields.text(name) if fields.left.get(name) is not None else ""


@dataclass(frozen=True)
class Budgets:
    """Milliseconds that a start spends at most on each step; the agent's own choice where None."""

    inspect: int | None = None
    lookup: int | None = None
    fetch: int | None = None
    preflight: int | None = None

    def words(self) -> list[str]:
        """For the agent's `fetch` and `doctor`."""
        chosen = {name: count for name, count in vars(self).items() if count is not None}
        return [word for name, count in chosen.items() for word in (f"--{name}-ms", str(count))]


@dataclass(frozen=True)
class Service:
    """Which cache service the agent asks: its address, the keys it believes, the token it shows."""

    url: str
    keys: Path | None
    token: Path | None


@dataclass(frozen=True)
class Agent:
    """The agent of one application: `java` is its own launcher, `folder` has the agent's files."""

    jar: Path
    java: Path
    group: str
    folder: Path
    environment: Mapping[str, str]

    def words(self, verb: str, service: Service, *more: str, command: JavaCommand | None = None) -> list[str]:
        """The agent's command line."""
        words = [str(self.java), "-jar", str(self.jar), verb, "--server", service.url, "--group", self.group]
        if verb in {"fetch", "doctor"} and service.keys is not None:
            words += ["--keys", str(service.keys)]
        if service.token is not None:
            words += ["--token", str(service.token)]
        words += ["--dir", str(self.folder), *more]
        return [*words, "--", *command.words] if command else words

    def fetch(self, service: Service, command: JavaCommand, budgets: Budgets, *, record: bool) -> Report:
        """The decision about one start.

        Raises:
            ProgramDied: the agent did not say its decision.
        """
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        more = [*budgets.words(), *(["--record"] if record else [])]
        words = self.words("fetch", service, *more, command=command)
        try:
            done = subprocess.run(
                words,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
            return Report.decode(report.read_bytes())
        except subprocess.TimeoutExpired:
            raise ProgramDied(f"the agent did not decide within {PATIENCE:.0f} s") from None
        except OSError as error:
            said = _last(done.stderr) if "done" in locals() else ""
            raise ProgramDied(f"the agent ended without a decision: {said or error}") from error
        except ValueError as error:
            raise ProgramDied(f"the agent's report makes no sense: {error}") from error

    def extract(self, jar: Path, to: Path) -> Path:
        """The application's jar in the extracted layout of this fat jar, made below `to` unless it is there.

        Raises:
            StepFailed: it could not be extracted.
        """
        words: list[str | Path] = [
            self.java,
            "-jar",
            self.jar,
            "extract",
            "--to",
            to,
            "--",
            self.java,
            "-jar",
            jar,
        ]
        quiet = {name: value for name, value in self.environment.items() if name not in _OPTIONS}
        try:
            done = subprocess.run(
                words,
                env=quiet,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=EXTRACTION,
                check=False,
            )
            if done.returncode == 0:
                told = Fields("extract", json.loads(done.stdout))
                if told.boolean("extracted"):
                    return Path(told.texts("command")[-1])
            why = _last(done.stderr).removeprefix("jboost extract: NotExtracted: ")
        except (OSError, subprocess.TimeoutExpired, ValueError) as error:
            why = str(error)
        raise StepFailed(
            f"{jar} was not extracted: {why}",
            hint="without --extract it is started as it is",
        )

    def doctor(
        self, service: Service, command: JavaCommand, budgets: Budgets
    ) -> subprocess.CompletedProcess[str]:
        """What the agent sees, in words or as JSON; changes nothing.

        Raises:
            ProgramDied: it said nothing in time.
        """
        words = self.words("doctor", service, *budgets.words(), command=command)
        try:
            return subprocess.run(
                words,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProgramDied(f"the agent said nothing: {error}") from error

    @contextmanager
    def build(
        self, service: Service, command: JavaCommand, ready: Ready, samples: int | None
    ) -> Iterator[subprocess.Popen[str]]:
        """A build under way, whose lines are on its stderr. Leaving the block ends it."""
        more = ["--samples", str(samples)] if samples is not None else []
        words = self.words("build", service, *ready.words(), *more, command=command)
        with subprocess.Popen(
            words,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.terminate()  # it ends the application that it measures


def _last(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""

"""`jboost run`: the application starts, with an archive if there is one that fits, else plainly and at once.

Whatever of ours fails is said in one line, and the application starts as if we were not there. Only what
a person wrote wrongly ends before: then there is nothing that could be started.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from jboost_server.core.options import FIRST_AOT
from jboost_server.core.outcome import Outcome
from jboost_server.local import building, extraction, launch
from jboost_server.local.agent import Agent, Ready, Report
from jboost_server.local.building import ToldToEnd
from jboost_server.local.command import JavaCommand, feature, is_fat_jar, is_spring_boot, parse
from jboost_server.local.home import Home, named_errors
from jboost_server.local.say import say
from jboost_server.local.service import quick, reach, where
from warmroot.errors import AccessError, NetworkError, UserError, WarmrootError

OLDEST = 17
TO_STDERR = "-XX:+DisplayVMOutputToStderr"
STARTED = r"Started \S+ in [0-9.]+ seconds"
"""What Spring Boot logs once it is ready."""


@dataclass(frozen=True)
class Settings:
    """What a person chose. `settle` in seconds after ready; `samples` starts a side, None: as many as the
    service wants; `server` and `keys` None: the service of this machine.
    """

    home: Home
    name: str | None = None
    server: str | None = None
    keys: Path | None = None
    token: Path | None = None
    ready: Ready = field(default_factory=Ready)
    settle: int | None = None
    samples: int | None = None
    build: bool = True
    extract: bool = False
    report: bool = False


@dataclass(frozen=True)
class Start:
    """How the application is to be started, and what its start is good for beyond itself.

    `flags` are ours, for this start alone. `stays`: we are needed after the application has ended, to take
    its recording in, or to build.
    """

    command: JavaCommand
    outcome: Outcome
    why: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    agent: Agent | None = None
    report: Report | None = None
    stays: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """What is started; a person's own options come after ours and win."""
        return self.command.with_options_first(self.flags).words


def run(settings: Settings, words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Starts the application; its exit status. Does not return where nothing is left to do after it.

    Raises:
        UserError: there is nothing to start: no command, or no such program.
    """
    try:
        command = parse(words)
    except UserError as error:
        program = _program(words)
        if program is None:
            raise
        say(f"off: {error.message}; it starts plainly ({error.hint})")
        _become((program, *words[1:]), environment)
    with contextlib.ExitStack() as held:
        start = _decide(settings, command, environment, held)
        _announce(settings, start)
        if start.agent is None or start.report is None or not start.stays:
            held.close()
            _become(start.words, environment)
        return _stay(settings, start, start.agent, start.report, environment)


def _decide(
    settings: Settings, command: JavaCommand, environment: Mapping[str, str], held: contextlib.ExitStack
) -> Start:
    """The decision, plain if anything of ours fails. `held` keeps what must last as long as a recording."""
    try:
        return _prepare(settings, command, environment, held)
    except WarmrootError as error:
        outcome = Outcome.SERVER if isinstance(error, NetworkError | AccessError) else Outcome.OFF
        return Start(command, outcome, (str(error),))
    except Exception as error:  # noqa: BLE001 - an entry point: no mistake of ours costs anybody's start
        return Start(command, Outcome.OFF, (f"our own mistake, please report it: {error!r}",))


def _prepare(
    settings: Settings, command: JavaCommand, environment: Mapping[str, str], held: contextlib.ExitStack
) -> Start:
    if not command.target:
        return Start(command, Outcome.OFF, ("the command starts no application",))
    plain, command = command, command.absolute()
    version = feature(command.java)
    if version < OLDEST:
        return Start(plain, Outcome.OFF, (f"JDK {version} is older than {OLDEST}",))
    where(settings.home, settings.server, settings.keys, settings.token)  # what is wrong with it shows early
    settings.home.make()
    jar = command.jar
    fat = jar is not None and is_fat_jar(jar)
    if jar is not None and fat and not settings.extract and version < FIRST_AOT:
        return Start(plain, Outcome.OFF, fat_jar_words(jar, version))
    agent = open_agent(settings, command, environment)
    if fat and settings.extract:
        command = extraction.extracted(settings.home, agent, command)
    lock = held.enter_context(settings.home.locked(f"apps/{agent.group}/recording.lock"))
    if lock is not None:
        os.set_inheritable(lock.fileno(), True)  # the recording is the application's as long as it lives
    with quick(settings.home, settings.server, settings.keys, settings.token) as (service, budgets):
        report = agent.fetch(service, command, budgets, record=lock is not None)
    # A recording JVM says on stdout that it recorded, whatever its log is told.
    flags = (TO_STDERR, *report.flags) if report.learning and version >= FIRST_AOT else report.flags
    stays = report.learning or (report.outcome is Outcome.MISSING and _to_build(settings, agent, report))
    return Start(command, report.outcome, report.why, flags, agent, report, stays)


def fat_jar_words(jar: Path, version: int) -> tuple[str, ...]:
    """Why a fat jar gains nothing, and what does."""
    return (
        f"{jar.name} is a fat jar, and JDK {version} can't archive the classes that lie in jars within a jar",
        "add --extract to run it from its extracted layout",
    )


def open_agent(settings: Settings, command: JavaCommand, environment: Mapping[str, str]) -> Agent:
    """The agent for this command, its folder made.

    Raises:
        NotInstalled: the agent can't be had here.
        UserError: the folder can't be written.
    """
    from jboost_agent.build import agent_jar

    group = settings.name or command.group()
    folder = settings.home.agent(group)
    with named_errors(settings.home.root):
        folder.mkdir(parents=True, exist_ok=True)
    slow = threading.Timer(1.0, say, ["the agent is compiled, once for this version of jboost"])
    slow.start()
    try:
        jar = agent_jar()
    finally:
        slow.cancel()
    return Agent(jar, command.java, group, folder, environment)


def steps_words(report: Report) -> str:
    """What each step took."""
    steps = {**report.steps}
    total = steps.pop("total", None)
    listed = ", ".join(f"{name} {count}" for name, count in steps.items())
    return f"{total} ms: {listed}" if total is not None else f"{listed} ms"


def _to_build(settings: Settings, agent: Agent, report: Report) -> bool:
    """Whether an earlier start recorded for this very key, and its build was left for later.

    Raises:
        WarmrootError: the folder can't be read.
    """
    if not settings.build or settings.server is not None:
        return False
    from jboost_server.local.known import here

    keys = [key for group in here(settings.home, agent.group)["groups"] for key in group["keys"]]
    return any(key["key"] == report.key and key["state"] == "Learning" and key["recordings"] for key in keys)


def _announce(settings: Settings, start: Start) -> None:
    report, why = start.report, "; ".join(start.why)
    if start.outcome is Outcome.HIT and report is not None:
        say(f"hit: starts from archive {report.archive[:12]}")
    elif start.outcome is Outcome.LEARNING:
        say(f"learning: this start records and is slower{f' ({why})' if why else ''}")
    else:
        say(f"{start.outcome}: starts plainly{f': {why}' if why else ''}")
    if settings.report and report is not None:
        say(steps_words(report))


def _stay(
    settings: Settings, start: Start, agent: Agent, report: Report, environment: Mapping[str, str]
) -> int:
    """Runs the application as our child, and does afterwards what it was recorded for."""
    recorder = None
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        try:
            app = launch.Child(start.words, environment)
        except OSError as error:
            raise _not_started(start.words, error) from error
        if report.learning and settings.settle is not None:
            recorder = _beside(settings, agent, app.pid, stack)
        ended = app.wait()
        seconds = time.monotonic() - began
        try:
            if report.learning:
                _finish_recording(settings, agent, recorder, app.pid, ended, seconds)
            if settings.build:
                ready = _ready(settings.ready, start.command, ended)
                build_now(settings, agent, start.command, ready)
        except (KeyboardInterrupt, ToldToEnd):
            say("interrupted; `jboost build -- java …` with the same command goes on from here")
        except WarmrootError as error:
            say(f"{error}")
        except Exception as error:  # noqa: BLE001 - an entry point: the exit status is the application's
            say(f"our own mistake, please report it: {error!r}")
    return ended.status


def _beside(settings: Settings, agent: Agent, pid: int, stack: contextlib.ExitStack) -> launch.Aside | None:
    """A recorder that ends the recording while the application goes on."""
    try:
        service = stack.enter_context(reach(settings.home, settings.server, settings.keys, settings.token))
        more = ["--pid", str(pid), "--settle", str(settings.settle)]
        more += ["--ready-url", settings.ready.url] if settings.ready.url else []
        words = agent.words("record", service, *more)
        return launch.Aside(words, agent.environment, agent.folder / "record.log")
    except Exception as error:  # noqa: BLE001 - an entry point: the application runs already
        say(f"the recording can't be ended while the application runs: {error}")
        return None


def _finish_recording(
    settings: Settings,
    agent: Agent,
    recorder: launch.Aside | None,
    pid: int,
    ended: launch.Ended,
    seconds: float,
) -> None:
    say(f"the application ended ({ended.words()}) after {seconds:.0f} s; its recording is taken in")
    if recorder is None:
        with reach(settings.home, settings.server, settings.keys, settings.token) as service:
            words = agent.words("record", service, "--pid", str(pid))
            recorder = launch.Aside(words, agent.environment, agent.folder / "record.log")
            recorder.wait()
    else:
        recorder.wait()
    for line in recorder.lines()[-1:]:
        say(line.removeprefix("jboost record: ").removeprefix("jboost: "))


def build(settings: Settings, words: Sequence[str], environment: Mapping[str, str], *, again: bool) -> bool:
    """`jboost build`: whether an archive is served then, or there was nothing to do.

    With `again`, what was refused before is measured once more.

    Raises:
        WarmrootError: it could not even begin.
    """
    command = parse(words).absolute()
    settings.home.make()
    agent = open_agent(settings, command, environment)
    if again:
        from jboost_server.local.known import forget_refusals

        forget_refusals(settings.home, agent.group)
    if settings.extract and command.jar is not None and is_fat_jar(command.jar):
        command = extraction.extracted(settings.home, agent, command)
    try:
        return build_now(settings, agent, command, _ready(settings.ready, command, None))
    except (KeyboardInterrupt, ToldToEnd):
        say("interrupted; the same command begins again")
        return False


def _ready(chosen: Ready, command: JavaCommand, ended: launch.Ended | None) -> Ready:
    """How a build sees that the application is ready, where nobody said it.

    Raises:
        UserError: it can't be guessed.
    """
    if chosen:
        return chosen
    if command.jar is not None and is_spring_boot(command.jar):
        return Ready(log=STARTED)
    if ended is not None and ended.status == 0:
        return Ready(ends=True)
    raise UserError(
        "no archive is built: nobody said how the application shows that it is ready",
        hint="`jboost build --ready-url URL -- java …` builds it; --ready-log and --until-exit do, too",
    )


def build_now(settings: Settings, agent: Agent, command: JavaCommand, ready: Ready) -> bool:
    """Builds what there is to build; whether an archive is served then, or there was nothing to do.

    Raises:
        KeyboardInterrupt, ToldToEnd: somebody did not want to wait.
        WarmrootError, OSError: it could not even begin.
    """
    with reach(settings.home, settings.server, settings.keys, settings.token) as service:
        good = building.build(agent, service, command, ready, settings.samples)
    if not good:
        say("no archive was built; the application goes on starting plainly")
    return good


def _program(words: Sequence[str]) -> str | None:
    return shutil.which(words[0]) if words else None


def _become(words: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    try:
        launch.become(words, environment)
    except OSError as error:
        raise _not_started(words, error) from error
    raise AssertionError("a program that was replaced went on")


def _not_started(words: Sequence[str], error: OSError) -> UserError:
    return UserError(f"{words[0]} can't be started: {error.strerror or error}", hint="check the command")

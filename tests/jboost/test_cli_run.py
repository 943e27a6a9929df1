"""`jboost run` on a real JVM: cold, taught, warm; and never in the application's way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from jboost_server.core.outcome import Outcome
from jboost_server.local.words import MEANINGS
from testbed.demo.java.story import flip
from testbed.setup import jdk
from tests.jboost import application
from tests.jboost.conftest import free_port
from tests.waiting import until

pytestmark = [pytest.mark.jvm, pytest.mark.measures, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def jar(tmp_path_factory):
    found = jdk.find(17, compiler=True)
    assert found is not None
    return application.build(tmp_path_factory.mktemp("app"), found.home)


class Machine:
    """One machine with a home of its own."""

    def __init__(self, folder: Path, java: jdk.Jdk, jar: Path) -> None:
        self.home, self.java, self.jar = folder / "home", java, jar
        self.log = folder / "log"

    def words(self, verb: str, options=(), arguments=("once",), flags=()) -> list:
        command = [self.java.java, *flags, "-jar", self.jar, *arguments]
        return [*application.JBOOST_PATIENT, verb, "--home", self.home, *options, "--", *command]

    def call(self, verb: str, *options, arguments=("once",), flags=(), **environment):
        return subprocess.run(
            self.words(verb, options, arguments, flags),
            env=os.environ | application.PLAIN_IS_SLOW | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def status(self) -> dict:
        done = subprocess.run(
            [*application.JBOOST_PATIENT, "status", "--home", self.home, "--output", "json"],
            capture_output=True,
            text=True,
            check=True,
        )
        (group,) = json.loads(done.stdout)["groups"]
        (key,) = group["keys"]
        return key

    def starts(self, *options, flags=()):
        """The application as a server, under `jboost run`."""
        port = free_port()
        url = f"http://127.0.0.1:{port}/health"
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                self.words("run", ["--ready-url", url, *options], [str(port)], flags),
                env=os.environ | application.PLAIN_IS_SLOW,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        running = application.Running(process, url, self.log)
        until(lambda: running.well() or process.poll() is not None, 120, "ready")
        assert process.poll() is None, self.log.read_text()
        return running


@pytest.fixture
def machine(request, tmp_path, jar):
    feature = getattr(request, "param", 17)
    found = jdk.find(feature)
    if found is None:
        pytest.skip(f"no JDK {feature} on this machine")
    return Machine(tmp_path, found, jar)


each_jdk = pytest.mark.parametrize("machine", [17, 25], indirect=True)


@each_jdk
def test_a_program_is_learned_built_and_hit_in_two_starts(machine):
    first = machine.call("run")
    second = machine.call("run", flags=[f"-Xlog:class+load:file={machine.log}"])

    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert first.stdout == second.stdout
    assert first.stdout.startswith("done, ")
    assert "jboost: learning: " in first.stderr, first.stderr
    assert "jboost: hit: " in second.stderr, first.stderr + second.stderr
    loaded = [line for line in machine.log.read_text().splitlines() if " app." in line]
    assert loaded and not [
        line for line in loaded if "shared objects file" not in line and "Lambda" not in line
    ]
    key = machine.status()
    assert (key["state"], key["recordings"], key["hits"]) == ("Serving", 1, 1)


@each_jdk
def test_a_server_that_is_told_to_end_ends_as_it_would_and_its_recording_is_built(machine):
    running = machine.starts()
    running.process.send_signal(signal.SIGTERM)

    assert running.process.wait(600) == 143, machine.log.read_text()
    assert "told to end" in machine.log.read_text()
    assert machine.status()["state"] == "Serving", machine.log.read_text()


@each_jdk
def test_a_recording_can_be_ended_while_the_application_runs(machine):
    running = machine.starts("--settle", "0", "--build", "never")

    until(lambda: machine.home.joinpath("store").exists(), 60, "the store")
    until(lambda: machine.status()["recordings"] == 1, 120, "the recording is there")

    assert running.well()
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(120) == 143


def test_a_build_can_be_left_to_later(machine):
    first = machine.call("run", "--build", "never")
    before = machine.status()
    explained = machine.call("explain")
    built = machine.call("build", "--until-exit")
    second = machine.call("run")

    assert first.returncode == 0
    assert (before["state"], before["recordings"]) == ("Learning", 1)
    assert f"next: {MEANINGS[Outcome.MISSING].next}\n" in explained.stdout
    assert built.returncode == 0, built.stderr
    assert "jboost: hit: " in second.stderr, built.stderr + second.stderr


def test_a_build_that_was_interrupted_is_done_after_the_next_start(machine):
    running = machine.starts()
    running.process.send_signal(signal.SIGTERM)
    until(lambda: "build" in machine.log.read_text() or running.process.poll() is not None, 120, "the build")
    os.killpg(running.pid, signal.SIGINT)

    assert running.process.wait(60) == 143, machine.log.read_text()
    assert "interrupted" in machine.log.read_text()
    assert machine.status()["archive"] is None

    running = machine.starts()
    assert "jboost: learning" not in machine.log.read_text()
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(600) == 143
    assert machine.status()["state"] == "Serving", machine.log.read_text()


def test_of_two_starts_at_once_one_records_and_the_other_is_plain(machine):
    first = machine.starts("--build", "never")
    second = machine.call("run", "--build", "never")

    assert second.returncode == 0
    assert "jboost: missing: starts plainly" in second.stderr
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(120) == 143


def test_an_application_that_fails_fails_as_it_would(machine):
    plain = subprocess.run(
        [machine.java.java, "-jar", machine.jar, "broken"], capture_output=True, text=True, check=False
    )
    ours = machine.call("run", "--until-exit", arguments=["broken"])

    assert (ours.returncode, ours.stdout) == (plain.returncode, plain.stdout) == (1, "")
    assert "no database at db.example:5432" in ours.stderr


@each_jdk
def test_a_persons_own_options_hold_in_every_kind_of_start(machine):
    option = "-Xlog:gc*=info:stderr"
    for _ in range(2):
        done = machine.call("run", JDK_JAVA_OPTIONS=option, JAVA_TOOL_OPTIONS="-Dnothing=1")

        assert done.returncode == 0
        assert "[gc" in done.stderr
        assert "Picked up JAVA_TOOL_OPTIONS: -Dnothing=1" in done.stderr
    assert "jboost: hit: " in done.stderr


def test_nothing_of_ours_reaches_stdout(machine):
    for _ in range(2):
        done = machine.call("run", "--report")

        assert done.stdout.startswith("done, ")
        assert done.stdout.count("\n") == 1
        assert not [line for line in done.stderr.splitlines() if line and not line.startswith("jboost")]


def test_a_running_service_is_found_and_used(machine):
    serve = [*application.JBOOST_PATIENT, "serve", "--home", machine.home, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(serve, stderr=subprocess.PIPE, text=True) as service:
        try:
            until(lambda: "listening" in service.stderr.readline(), 60, "the service listens")
            first = machine.call("run")
            second = machine.call("run")
        finally:
            service.terminate()
            service.stderr.close()

    assert "jboost: learning: " in first.stderr
    assert "jboost: hit: " in second.stderr, first.stderr


def test_a_flipped_byte_in_the_archive_is_refused_and_the_application_starts(machine):
    machine.call("run")
    machine.call("run")
    (copy,) = (machine.home / "apps").rglob("*.jsa")
    stored = machine.home / "store" / "local" / "archives" / f"{copy.stem}~"
    for path in (copy, stored):
        flip(path)

    done = machine.call("run")

    assert done.returncode == 0
    assert done.stdout.startswith("done, ")
    assert "jboost: signature: starts plainly" in done.stderr

"""`record`: what a JVM learned reaches the cache service, and the application never notices."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.jboost import agent_server, application
from tests.jboost.agent_recorder import Recorder, said
from tests.jboost.application import Running
from tests.jboost.conftest import free_port
from tests.jboost.service import Service
from tests.waiting import until

pytestmark = pytest.mark.jvm


@pytest.fixture
def on17(agent: Path, jdk17: Path, tmp_path: Path, service: Service) -> Recorder:
    return Recorder(agent, jdk17, tmp_path / "run", service.url)


@pytest.fixture
def on25(agent: Path, jdk17: Path, tmp_path: Path, service: Service) -> Recorder:
    """The agent itself always runs on 17 here: it needs nothing of a later one."""
    return Recorder(agent, jdk17, tmp_path / "run", service.url)


@contextmanager
def app(recorder: Recorder, jdk: Path, jar: Path, form: str) -> Iterator[Running]:
    recorder.decide(form)
    log = recorder.folder / "app.log"
    with application.running(jdk, jar, free_port(), recorder.flags(form), log) as running:
        yield running


def test_a_recording_is_ended_through_the_attach_socket_while_the_application_goes_on(
    on25: Recorder, jdk25: Path, jar: Path, service: Service
) -> None:
    with app(on25, jdk25, jar, "aot") as running:
        words = on25.run("--pid", str(running.pid), "--ready-url", running.url)
        assert "ended through the attach socket" in words
        assert running.well()
        (recording,) = service.recordings.values()
        assert len(recording) > 1_000_000
        assert service.queries[0]["lease"] == ["1e"]
        assert service.queries[0]["key"] == ["ab" * 32]


def test_the_process_is_found_by_its_options_file(
    on25: Recorder, jdk25: Path, jar: Path, service: Service
) -> None:
    """Where the pod shares its processes nobody can know the application's number beforehand."""
    on25.decide("aot")
    options = on25.folder / "java.opts"
    options.write_text("\n".join(on25.flags("aot")))
    port = free_port()
    environment = os.environ | {"JDK_JAVA_OPTIONS": f"@{options}"}
    with subprocess.Popen(
        [jdk25 / "bin/java", "-jar", jar, str(port)], env=environment, stdout=subprocess.DEVNULL
    ) as process:
        try:
            on25.run("--ready-url", f"http://127.0.0.1:{port}/health")
            assert process.poll() is None
            assert len(service.recordings) == 1
        finally:
            process.kill()


def test_an_application_that_ends_by_itself_has_recorded(
    on25: Recorder, jdk25: Path, jar: Path, service: Service
) -> None:
    with (
        app(on25, jdk25, jar, "aot") as running,
        on25.start("--pid", str(running.pid), "--settle", "600") as record,
    ):
        running.process.terminate()
        assert "the application ended" in said(record)
        assert len(service.recordings) == 1


def test_sigterm_means_finish_now_and_send(on25: Recorder, jdk25: Path, jar: Path, service: Service) -> None:
    with (
        app(on25, jdk25, jar, "aot") as running,
        on25.start("--pid", str(running.pid), "--settle", "600") as record,
    ):
        awaiting(record)
        record.terminate()
        assert "told to end" in said(record)
        assert running.well()
        assert len(service.recordings) == 1


def awaiting(record: subprocess.Popen[str]) -> None:
    """Until the agent waits: its first line says for what."""
    assert record.stderr
    assert "waits" in record.stderr.readline()


def test_a_list_is_sent_as_it_stands_while_the_application_goes_on(
    on17: Recorder, jdk17: Path, jar: Path, service: Service
) -> None:
    with app(on17, jdk17, jar, "classlist") as running:
        on17.run("--pid", str(running.pid), "--ready-url", running.url)
        assert running.well()
        (recording,) = service.recordings.values()
        assert b"app/Part59\n" in recording
        assert recording.endswith(b"\n")


def test_a_killed_application_leaves_a_list_that_can_be_used(
    on17: Recorder, jdk17: Path, jar: Path, service: Service
) -> None:
    with (
        app(on17, jdk17, jar, "classlist") as running,
        on17.start("--pid", str(running.pid), "--settle", "600") as record,
    ):
        running.process.kill()
        said(record)
        (recording,) = service.recordings.values()
        assert b"app/Part59\n" in recording


def test_a_torn_last_line_is_dropped(on17: Recorder, service: Service) -> None:
    on17.decide("classlist")
    on17.list.write_bytes(b"# a comment\njava/lang/Object\njava/lang/Str")
    on17.run()
    assert list(service.recordings.values()) == [b"# a comment\njava/lang/Object\n"]


def test_a_killed_application_leaves_an_empty_configuration_which_is_not_sent(
    on25: Recorder, jdk25: Path, jar: Path, service: Service
) -> None:
    with (
        app(on25, jdk25, jar, "aot") as running,
        on25.start("--pid", str(running.pid), "--settle", "600") as record,
    ):
        running.process.kill()
        assert "EmptyRecording" in said(record)
        assert service.requests == []


def test_a_configuration_whose_header_was_never_written_is_not_sent(on25: Recorder, service: Service) -> None:
    """The JVM writes the header last: a cut recording may have megabytes, and begins with zeros."""
    on25.decide("aot")
    on25.configuration.write_bytes(bytes(1 << 20))
    with on25.start() as record:
        awaiting(record)
        record.terminate()
        assert "was cut off" in said(record)
    assert service.requests == []


@pytest.mark.parametrize("form", ["classlist", "aot"])
def test_a_recording_of_an_earlier_run_is_not_taken_for_this_one(
    on25: Recorder, service: Service, form: str
) -> None:
    on25.decide(form)
    for path in (on25.list, on25.configuration):
        path.write_bytes(b"java/lang/Object\n")
        os.utime(path, (1, 1))
    with on25.start("--settle", "0") as record:
        awaiting(record)
        record.terminate()
        assert "EmptyRecording" in said(record)
    assert service.requests == []


def test_whoever_is_no_recorder_says_so(on17: Recorder, service: Service) -> None:
    on17.folder.mkdir()
    assert "report.json" in on17.run()
    (on17.folder / "report.json").write_text(json.dumps({"outcome": "hit", "key": "ab" * 32, "lease": None}))
    assert "no recorder" in on17.run()
    assert service.requests == []


def test_a_native_sidecar_stays_until_it_is_told_to_go(on17: Recorder, service: Service) -> None:
    """A native sidecar that ends is started again, and again."""
    on17.decide("classlist")
    on17.list.write_bytes(b"java/lang/Object\n")
    with on17.start("--stay") as record:
        assert "accepted" in staying(record)
        record.terminate()
        assert "was told to end" in said(record)


def test_a_native_sidecar_stays_also_where_there_was_nothing_to_do(on17: Recorder) -> None:
    """Most pods are no recorders, and each would have a container that never stays up."""
    with on17.start("--stay") as record:
        assert "NoLease" in staying(record)
        record.terminate()
        assert "was told to end" in said(record)


def staying(record: subprocess.Popen[str]) -> str:
    """What it says until it has nothing more to do. That it stays shows in what it says when told to go."""
    assert record.stderr
    lines = []
    while "stays until" not in "".join(lines[-1:]):
        lines.append(record.stderr.readline())
        assert lines[-1], f"it ended: {lines}"
    return "".join(lines)


def test_a_redirect_is_no_readiness(on17: Recorder, service: Service) -> None:
    """Login pages answer with 200, too: what the application says itself counts."""
    on17.decide("classlist")
    on17.list.write_bytes(b"java/lang/Object\n")
    with (
        agent_server.serving(archives={"ready": b"well"}) as app,
        on17.start("--ready-url", f"{app.url}/v1/archives/ready") as record,
    ):
        app.instead["archives"] = agent_server.redirect(f"{app.url}/login")
        until(lambda: len(app.asked) > 2, 30, "it has asked again")
        record.terminate()
        assert "told to end" in said(record)
    assert "/login" not in app.paths()


@pytest.mark.parametrize("name", ["pod", "pød"])
def test_a_jvm_that_writes_a_list_is_found_by_its_options_file(
    on17: Recorder, jdk17: Path, jar: Path, service: Service, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It has no attach socket; and the shell that started it has the same environment."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")  # or else a JVM can't read such names at all
    on17.folder = on17.folder / name
    on17.folder.mkdir(parents=True)
    on17.decide("classlist")
    options = on17.folder / "java.opts"
    options.write_text("\n".join(on17.flags("classlist")))
    environment = os.environ | {"JDK_JAVA_OPTIONS": f"-Da=1 '@{options}'"}
    port = free_port()
    words = ["sh", "-c", f"'{jdk17}/bin/java' -jar '{jar}' {port}; exec sleep 600"]
    with subprocess.Popen(words, env=environment, stdout=-3, stderr=-3, start_new_session=True) as shell:
        try:
            until(lambda: answers(f"http://127.0.0.1:{port}/health"), 60, "the application is ready")
            with (
                agent_server.serving() as never,
                on17.start("--ready-url", f"{never.url}/v1/archives/none") as record,
            ):
                until(lambda: never.asked, 60, "it has looked for the process")
                (java,) = children(shell.pid)
                os.kill(java, signal.SIGKILL)
                assert "the application ended" in said(record)
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
    (recording,) = service.recordings.values()
    assert b"app/Part59\n" in recording


def children(number: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{number}/task/{number}/children").read_text().split()]


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


# What can go wrong at the attach socket: each has words of its own.


@contextmanager
def socket_that(path: Path, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    """A JVM's attach socket, played."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(10)


def reply(text: str) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        assert connection.recv(100) == b"1\0jcmd\0AOT.end_recording\0\0\0"
        connection.sendall(text.encode())

    return answer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0\nRecording has already ended.\n", "had been ended before"),
        ("0\nAOT.end_recording is unsupported when VM flags -XX:AOTMode are missing.\n", "does not record"),
        ("0\nsomething new\n", "means nothing to this agent: something new"),
        (
            "-1\njava.lang.IllegalArgumentException: Unknown diagnostic command\n",
            "Unknown diagnostic command",
        ),
        ("", "user and group"),
    ],
)
def test_the_words_of_the_jvm_count_not_its_code(
    on25: Recorder, service: Service, tmp_path: Path, text: str, words: str
) -> None:
    on25.decide("aot")
    on25.configuration.write_bytes(b"")
    with (
        socket_that(tmp_path / ".java_pid1", reply(text)),
        on25.start("--attach-dir", tmp_path, "--pid", "1") as record,
    ):
        assert record.stderr
        lines = ""
        while words not in lines:
            line = record.stderr.readline()
            assert line, f"never said {words!r} but: {lines}"
            lines += line
        record.terminate()
        # To its end by the same reader: `communicate` would miss what that one holds already.
        assert "EmptyRecording" in lines + record.stderr.read()
    assert service.requests == []


def test_a_stale_socket_and_none_at_all_have_words_of_their_own(on25: Recorder, tmp_path: Path) -> None:
    on25.decide("aot")
    on25.configuration.write_bytes(b"")
    for name, words in ((".java_pid2", "left by a JVM that was killed"), (".java_pid3", "no attach socket")):
        if name == ".java_pid2":
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(tmp_path / name))
        with on25.start("--attach-dir", tmp_path, "--pid", name[-1]) as record:
            assert record.stderr
            assert any(words in record.stderr.readline() for _ in range(3))
            record.terminate()
            said(record)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can play two users")
def test_another_users_socket_has_words_of_its_own(agent: Path, jdk17: Path, service: Service) -> None:
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as server:
        folder = Path(name)  # pytest's own folders are root's alone
        folder.chmod(0o755)
        shutil.copyfile(agent, folder / "agent.jar")
        recorder = Recorder(folder / "agent.jar", jdk17, folder / "run", service.url)
        recorder.decide("aot")
        recorder.configuration.touch()
        server.bind(str(folder / ".java_pid1"))
        server.listen()
        (folder / ".java_pid1").chmod(0o600)
        with recorder.start("--attach-dir", folder, "--pid", "1", user=65534) as record:
            assert record.stderr
            assert any("belongs to another user" in record.stderr.readline() for _ in range(3))
            record.terminate()
            said(record)

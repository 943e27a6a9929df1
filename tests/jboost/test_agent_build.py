"""`build`: an archive is made, tried, measured as pods start, and left to the service's judgement."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.jboost.conftest import free_port
from tests.jboost.service import Service
from tests.waiting import until

pytestmark = [pytest.mark.jvm, pytest.mark.timeout(900)]

AOT_MAGIC = b"\x7c\xa0\xfe\xca"
READY = ["--ready-log", "^application ready"]


@dataclass
class Builder:
    """One machine that builds: the agent under its own JDK, for the application under `jdk`."""

    agent: Path
    own: Path
    jdk: Path
    jar: Path
    folder: Path
    service: Service

    def order(self, data: bytes, **more: Any) -> None:
        """What the service wants built."""
        form = "aot" if data.startswith(AOT_MAGIC) else "classlist"
        self.service.order = {"id": "0a", "form": form, "input": data, "minGain": 5, "samples": 2} | more

    def command(self, *arguments: str, flags: Sequence[str | Path] = ()) -> list[str | Path]:
        return [self.jdk / "bin/java", *flags, "-jar", self.jar, *arguments]

    def start(self, *options: str, command: Sequence[str | Path]) -> subprocess.Popen[str]:
        words = [self.own / "bin/java", "-jar", self.agent, "build", "--server", self.service.url]
        words += ["--group", "orders", "--dir", self.folder, *options, "--", *command]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *options: str, command: Sequence[str | Path]) -> tuple[int, str]:
        """Its exit code, and what it said on stderr; nothing goes to stdout, and nothing of its own stays."""
        with self.start(*options, command=command) as process:
            out, err = process.communicate(timeout=120)
        assert out == ""
        assert [path.name for path in self.folder.glob("build-*") if path.is_dir()] == []
        return process.returncode, err


def learned(jdk: Path, jar: Path, file: Path, *flags: str) -> bytes:
    """What one run of the application recorded."""
    subprocess.run([jdk / "bin/java", *flags, "-jar", jar, "once"], check=True, stdout=subprocess.DEVNULL)
    return file.read_bytes()


@pytest.fixture(scope="session")
def learned17(jdk17: Path, jar: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("learned17") / "list"
    return learned(jdk17, jar, file, f"-XX:DumpLoadedClassList={file}")


@pytest.fixture(scope="session")
def learned25(jdk25: Path, jar: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("learned25") / "configuration"
    modules = "--add-modules=java.instrument,jdk.jfr,jdk.management.agent"
    return learned(jdk25, jar, file, "-XX:AOTMode=record", f"-XX:AOTConfiguration={file}", modules)


@pytest.fixture
def builder(agent: Path, jdk17: Path, jar: Path, tmp_path: Path, service: Service) -> Builder:
    """Builds for JDK 17."""
    return Builder(agent, jdk17, jdk17, jar, tmp_path / "a run", service)


@pytest.mark.parametrize("version", ["17", "25"])
def test_an_archive_is_built_measured_uploaded_and_served(
    builder: Builder, request: pytest.FixtureRequest, service: Service, version: str
) -> None:
    builder.jdk = request.getfixturevalue(f"jdk{version}")
    builder.order(request.getfixturevalue(f"learned{version}"))
    port = free_port()
    url = f"http://127.0.0.1:{port}/health"
    code, words = builder.run("--ready-url", url, command=builder.command(str(port)))
    assert code == 0, words
    assert "serving: gain 40 %" in words
    (result,) = service.results
    (digest,) = service.archives
    assert result["digest"] == digest
    assert len(result["plain"]) == len(result["warm"]) == 2
    (asked,) = service.keys
    assert asked["key"]["classPath"][0][0] == str(builder.jar)
    assert asked["group"] == "orders"


def test_what_is_measured_starts_as_a_pod_does(
    builder: Builder, learned17: bytes, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an options file, behind the image's own options, with the archive in the warm start alone."""
    builder.order(learned17)
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-Dof.the=image")
    code, words = builder.run("--until-exit", command=builder.command("once", "options", flags=["-Dmine=1"]))
    assert code == 0, words
    plain, warm = (
        (builder.folder / f"build-{name}.log").read_text().splitlines() for name in ("plain", "warm")
    )
    assert plain[-2:] == ["[-Dof.the=image, -Dmine=1]", plain[-1]]
    image, archive, *quiet, mine = warm[-2].strip("[]").split(", ")
    assert (image, mine) == ("-Dof.the=image", "-Dmine=1")
    assert archive.startswith(f"-XX:SharedArchiveFile={builder.folder}/build-")
    assert quiet == ["-Xlog:disable", "-Xlog:all=warning:stderr"]


def test_nothing_to_build_and_another_builder_are_no_errors(builder: Builder, service: Service) -> None:
    code, words = builder.run(*READY, command=builder.command("once"))
    assert (code, "nothing to build" in words) == (0, True)
    service.held = True
    code, words = builder.run(*READY, command=builder.command("once"))
    assert (code, "Held" in words) == (0, True)
    assert service.results == []


def test_the_verdict_is_the_services(builder: Builder, learned17: bytes, service: Service) -> None:
    builder.order(learned17)
    service.verdict = {"state": "refused", "gain": 3, "why": "10 % are wanted"}
    code, words = builder.run("--until-exit", command=builder.command("once"))
    assert code == 1
    assert "refused: gain 3 %: 10 % are wanted" in words


def test_an_archive_that_can_not_win_any_more_is_not_measured_to_the_end(
    builder: Builder, learned17: bytes, service: Service
) -> None:
    """Nobody waits for 9 starts a side where 5 have shown that 95 percent are out of reach."""
    builder.order(learned17, minGain=95, samples=9)
    service.verdict = {"state": "refused", "gain": 30, "why": "95 % are wanted"}
    code, words = builder.run("--until-exit", command=builder.command("once"))
    assert code == 1
    assert "95 % are wanted" in words
    assert len(service.results[0]["warm"]) == 5
    assert list(service.archives) == [service.results[0]["digest"]]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("@lambda-proxy garbage", "DumpFailed"),
        ("@lambda-form-invoker [LF_RESOLVE] java.lang.invoke.Invokers$Holder invoker LI_L", "LambdaForm"),
    ],
)
def test_a_list_with_a_poisoned_line_fails_the_build_by_name(
    builder: Builder, learned17: bytes, service: Service, line: str, words: str
) -> None:
    """The second one ends with code 0 and an archive that lacks all generated forms."""
    builder.order(learned17 + line.encode() + b"\n")
    code, said = builder.run("--until-exit", command=builder.command("once"))
    assert code == 1
    assert "DumpFailed" in said
    assert words in said
    (result,) = service.results
    assert result["failed"].startswith("DumpFailed")
    assert service.archives == {}


def test_a_recording_of_another_jdk_fails_by_name(builder: Builder, jdk25: Path, service: Service) -> None:
    builder.jdk = jdk25
    builder.order(AOT_MAGIC + bytes(100_000))
    code, words = builder.run("--until-exit", command=builder.command("once"))
    assert code == 1
    assert "DumpFailed" in words
    assert service.results[0]["failed"].startswith("DumpFailed")


def test_an_input_that_was_changed_on_its_way_is_not_built(
    builder: Builder, learned17: bytes, service: Service
) -> None:
    builder.order(learned17)
    service.forged = b"app/Evil\n"
    code, words = builder.run("--until-exit", command=builder.command("once"))
    assert (code, "WrongDigest" in words) == (1, True)
    assert service.results[0]["failed"].startswith("WrongDigest")


def test_an_application_that_does_not_start_shows_its_last_words(
    builder: Builder, learned17: bytes, service: Service
) -> None:
    builder.order(learned17)
    code, words = builder.run(*READY, command=builder.command("broken"))
    assert code == 1
    assert "no database at db.example:5432" in words
    assert service.results[0]["failed"].startswith("StartFailed")
    assert "no database" in (builder.folder / "build-plain.log").read_text()


def test_an_application_that_never_gets_ready_is_ended(
    builder: Builder, learned17: bytes, service: Service
) -> None:
    builder.order(learned17)
    port = free_port()
    code, words = builder.run(
        "--ready-log", "never said", "--start-seconds", "10", command=builder.command(str(port))
    )
    assert (code, "not within 10 s" in words) == (1, True)
    assert "told to end" in (builder.folder / "build-plain.log").read_text()
    assert service.results[0]["failed"].startswith("StartFailed")


def test_a_port_that_is_taken_is_not_taken_for_the_application(
    builder: Builder, learned17: bytes, service: Service
) -> None:
    """Or else every start would be measured as 0 ms."""
    builder.order(learned17)
    code, words = builder.run("--ready-url", f"{service.url}/health", command=builder.command("once"))
    assert (code, "PortTaken" in words) == (1, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_build_gives_the_order_back_and_leaves_no_child(
    builder: Builder, learned17: bytes, service: Service, number: signal.Signals
) -> None:
    builder.order(learned17)
    port = free_port()
    with builder.start(
        "--ready-log", "never said", command=builder.command(str(port), flags=["-Dmark=here"])
    ) as process:
        log = builder.folder / "build-plain.log"
        until(lambda: log.exists() and "application ready" in log.read_text(), 60, "the application runs")
        process.send_signal(number)
        words = process.communicate(timeout=30)[1]
    assert "Interrupted" in words
    assert service.results == [{"failed": "Interrupted: the builder was told to end"}]
    assert children_with(b"-Dmark=here", builder.folder) == []
    assert [path for path in builder.folder.glob("build-*") if path.is_dir()] == []


def children_with(mark: bytes, folder: Path) -> list[str]:
    """Processes of this build that still run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if mark in words and str(folder).encode() in environment:
            found.append(words.decode())
    return found


def test_a_service_that_is_away_for_a_moment_is_asked_again(
    builder: Builder, learned17: bytes, service: Service
) -> None:
    builder.order(learned17)
    service.faults.extend(["503", "cut"])
    code, words = builder.run("--until-exit", command=builder.command("once"))
    assert code == 0, words
    assert len(service.archives) == 1


@pytest.mark.parametrize(
    "options", [[], ["--until-exit", "--ready-log", "x"], ["--ready-log", "("], ["--ready-url", "nonsense"]]
)
def test_it_has_to_be_called_rightly(builder: Builder, options: list[str]) -> None:
    code, words = builder.run(*options, command=builder.command("once"))
    assert code != 0
    assert "Usage" in words


@pytest.mark.parametrize("more", ["?tenant=theirs", "#part"])
def test_a_service_is_an_address_and_nothing_more(builder: Builder, more: str) -> None:
    builder.service = replace(builder.service, url=builder.service.url + more)
    code, words = builder.run(*READY, command=builder.command("once"))
    assert (code, "Usage" in words) == (2, True)


def test_a_password_in_the_services_address_is_refused_and_not_shown(builder: Builder) -> None:
    builder.service = replace(builder.service, url="http://me:my-password@127.0.0.1:1")
    code, words = builder.run(*READY, command=builder.command("once"))
    assert (code, "Usage" in words) == (2, True)
    assert "my-password" not in words


def test_a_mistake_of_the_agents_own_is_said_and_not_taken_for_success(
    builder: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder for which the locale has no name: nobody has thought of that."""
    monkeypatch.setenv("LC_ALL", "C")
    builder.folder = tmp_path / "caf\u00e9"
    code, words = builder.run(*READY, command=builder.command("once"))
    assert code == 1
    assert "our own mistake, please report it: java.nio.file.InvalidPathException" in words


# Fat jars.


def test_a_fat_jar_is_not_built_for_17_unless_it_is_forced(
    builder: Builder, fat: Path, learned17: bytes, service: Service
) -> None:
    builder.order(learned17)
    builder.jar = fat
    code, words = builder.run("--until-exit", command=builder.command("once"))
    assert (code, "FatJar" in words, "extract" in words) == (1, True, True)
    assert service.requests == []
    builder.run("--until-exit", "--force", command=builder.command("once"))
    assert service.requests != []


@pytest.fixture(scope="session")
def fat(jar: Path, jdk17: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A jar in the shape of Spring Boot's, whose launcher plays Spring Boot's tool."""
    folder = tmp_path_factory.mktemp("fat")
    (folder / "Launcher.java").write_text(_LAUNCHER)
    manifest = "Start-Class: app.Main\nSpring-Boot-Version: 3.5.7\nSpring-Boot-Classes: BOOT-INF/classes/\n"
    (folder / "manifest").write_text(manifest)
    (folder / "x/BOOT-INF/classes").mkdir(parents=True)
    (folder / "x/BOOT-INF/classes/inner.jar").write_bytes(jar.read_bytes())
    subprocess.run([jdk17 / "bin/javac", "-d", folder / "x", folder / "Launcher.java"], check=True)
    path = folder / "fat.jar"
    words = ["--create", "--file", path, "--manifest", folder / "manifest", "--main-class", "Launcher"]
    subprocess.run([jdk17 / "bin/jar", *words, "-C", folder / "x", "."], check=True)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


_LAUNCHER = """
import java.nio.file.*;
public class Launcher {
  public static void main(String[] arguments) throws Exception {
    if (!"tools".equals(System.getProperty("jarmode"))) { System.out.println("done"); return; }
    if (System.getenv("BROKEN_TOOL") != null) throw new IllegalStateException("Unsupported jarmode 'tools'");
    Path to = Files.createDirectories(Path.of(arguments[2]));
    Path lib = Files.createDirectories(to.resolve("lib"));
    Path self = Path.of(Launcher.class.getProtectionDomain().getCodeSource().getLocation().toURI());
    try (var in = Launcher.class.getResourceAsStream("/BOOT-INF/classes/inner.jar")) {
      Files.copy(in, to.resolve(self.getFileName()));
    }
    Files.writeString(lib.resolve("one.jar"), "a jar");
  }
}
"""


def extract(
    builder: Builder, to: Path, *command: str | Path, **more: str
) -> subprocess.CompletedProcess[str]:
    words = [builder.own / "bin/java", "-jar", builder.agent, "extract", "--to", to, "--"]
    return subprocess.run(
        [*words, builder.jdk / "bin/java", *command],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | more,
    )


def test_a_fat_jar_is_extracted_once_and_keeps_its_time(builder: Builder, fat: Path, tmp_path: Path) -> None:
    """JDK 17 compares times, and pods of one image have to agree."""
    done = extract(builder, tmp_path / "to", "-Xmx64m", "-jar", fat, "once")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    java, heap, dash_jar, jar, argument = answer["command"]
    assert (java, heap, dash_jar, argument) == (str(builder.jdk / "bin/java"), "-Xmx64m", "-jar", "once")
    assert answer["extracted"] is True
    (folder,) = (tmp_path / "to" / "fat.jar").iterdir()
    assert Path(jar) == folder / "fat.jar"
    assert {path.stat().st_mtime for path in folder.rglob("*.jar")} == {1_700_000_000}
    ran = subprocess.run(answer["command"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("done, ")
    before = folder.stat()
    again = extract(builder, tmp_path / "to", "-Xmx64m", "-jar", fat, "once", BROKEN_TOOL="1")
    assert json.loads(again.stdout) == answer
    assert folder.stat() == before


def test_the_same_fat_jar_under_another_name_is_extracted_under_that(
    builder: Builder, fat: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.jar"
    shutil.copy2(fat, other)
    for jar in (fat, other):
        command = json.loads(extract(builder, tmp_path / "to", "-jar", jar, "once").stdout)["command"]
        assert Path(command[2]).name == jar.name
        assert subprocess.run(command, capture_output=True, check=True).stdout.startswith(b"done, ")


def test_what_is_no_fat_jar_keeps_its_command(builder: Builder, tmp_path: Path) -> None:
    done = extract(builder, tmp_path / "to", "-jar", builder.jar, "once")
    answer = json.loads(done.stdout)
    assert answer == {
        "command": [str(builder.jdk / "bin/java"), "-jar", str(builder.jar), "once"],
        "extracted": False,
    }
    assert not (tmp_path / "to").exists()


def test_a_tool_that_fails_leaves_nothing_and_says_what_it_said(
    builder: Builder, fat: Path, tmp_path: Path
) -> None:
    done = extract(builder, tmp_path / "to", "-jar", fat, "once", BROKEN_TOOL="1")
    assert done.returncode != 0
    assert done.stdout == ""
    assert "Unsupported jarmode 'tools'" in done.stderr
    assert list((tmp_path / "to" / "fat.jar").iterdir()) == []


def test_starts_that_race_extract_one_layout(builder: Builder, fat: Path, tmp_path: Path) -> None:
    words = [builder.own / "bin/java", "-jar", builder.agent, "extract", "--to", tmp_path / "to", "--"]
    words += [builder.jdk / "bin/java", "-jar", fat]
    racing = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {process.communicate(timeout=60)[0] for process in racing}
    assert [process.returncode for process in racing] == [0] * 4
    assert len(answers) == 1
    assert len(list((tmp_path / "to" / "fat.jar").iterdir())) == 1

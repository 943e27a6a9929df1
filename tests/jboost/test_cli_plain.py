"""Whatever of ours fails, the application starts plainly, with its own exit status; one line says why."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from jboost_server.core.outcome import Outcome
from jboost_server.local import launch, run
from jboost_server.local.agent import Report
from jboost_server.local.home import Home
from testbed.setup import jdk
from tests.jboost import application

pytestmark = pytest.mark.jvm

SOURCE = """
public class Hello {
  public static void main(String[] arguments) throws Exception {
    System.out.print("hello " + String.join(" ", arguments) + System.getProperty("own", ""));
    System.exit(arguments.length);
  }
}
"""


@pytest.fixture(scope="module")
def java17():
    found = jdk.find(17, compiler=True)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def jar(java17, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hello")
    (folder / "Hello.java").write_text(SOURCE)
    subprocess.run([java17.javac, "-d", folder, folder / "Hello.java"], check=True)
    tool = java17.home / "bin" / "jar"
    subprocess.run([tool, "cfe", folder / "hello.jar", "Hello", "-C", folder, "Hello.class"], check=True)
    return folder / "hello.jar"


@pytest.fixture
def jboost(java17, jar, tmp_path):
    """`jboost run OPTIONS -- java -jar hello.jar a b` on a machine with nothing but a JDK."""

    def call(*options, words=None, prefix=(), **more):
        environment = {"PATH": f"{java17.home / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path), "TZ": "UTC"}
        return subprocess.run(
            [
                *prefix,
                *application.JBOOST,
                "run",
                *map(str, options),
                "--",
                *(words or ["java", "-jar", jar, "a", "b"]),
            ],
            env=environment | more.pop("environment", {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            **more,
        )

    return call


def assert_plain(done, outcome: str, *words: str) -> None:
    assert (done.returncode, done.stdout) == (2, "hello a b"), done.stderr
    ours = [line for line in done.stderr.splitlines() if line.startswith("jboost: ")]
    assert any(line.startswith(f"jboost: {outcome}: ") for line in ours), done.stderr
    assert "Traceback" not in done.stderr and "our own mistake" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_folder_that_cannot_be_made(jboost):
    assert_plain(jboost("--home", "/proc/nowhere"), "off", "/proc/nowhere can't be written", "--home")


def test_a_folder_that_is_a_file(jboost, tmp_path):
    (tmp_path / "file").write_text("")

    assert_plain(jboost("--home", tmp_path / "file"), "off", "can't be written")


def test_a_full_disk(jboost, tmp_path):
    mounted = tmp_path / "full"
    mounted.mkdir()
    fill = f"mount -t tmpfs -o size=64k none {mounted} && head -c 1M /dev/zero > {mounted}/fill; "
    prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", fill + 'exec "$@"', "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        prefix = [word for word in prefix if word not in {"--user", "--map-root-user"}]
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"a small disk can be mounted neither as root nor in a user namespace: {tried.stderr}")

    assert_plain(jboost("--home", mounted / "home", prefix=prefix), "off", "No space left", "free space")


def test_a_service_that_is_not_there(jboost, tmp_path):
    (tmp_path / "keys").write_text("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n")

    assert_plain(jboost("--server", "http://127.0.0.1:1", "--keys", tmp_path / "keys"), "server")


def test_a_service_that_takes_the_connection_and_says_nothing(jboost, tmp_path):
    (tmp_path / "keys").write_text("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = jboost("--server", url, "--keys", tmp_path / "keys")

    assert_plain(done, "budget")


def test_a_service_without_keys(jboost):
    assert_plain(jboost("--server", "http://127.0.0.1:1"), "off", "--keys")


def test_an_agent_that_is_missing_and_cannot_be_compiled(jboost, java17, tmp_path):
    # A JDK without a compiler, and a package without the agent's jar: that of a broken installation.
    import jboost_agent

    package = tmp_path / "broken" / "jboost_agent"
    package.mkdir(parents=True)
    for path in Path(jboost_agent.__file__).parent.glob("*.py"):
        shutil.copy(path, package)
    runtime = tmp_path / "bin"
    runtime.mkdir()
    (runtime / "java").symlink_to(java17.java)
    environment = {"PYTHONPATH": str(package.parent), "PATH": str(runtime)}

    assert_plain(jboost(environment=environment), "off", "compiler")


def test_a_command_that_is_no_java_command(jboost, tmp_path):
    script = tmp_path / "start.sh"
    script.write_text('#!/bin/sh\nprintf "hello a b"\nexit 2\n')
    script.chmod(0o755)

    assert_plain(jboost(words=[script]), "off", "is not java")


def test_a_command_without_an_application_is_left_alone(jboost):
    done = jboost(words=["java", "-version"])

    assert done.returncode == 0
    assert "17." in done.stderr


def test_a_jdk_that_is_too_old(jboost, tmp_path):
    old = tmp_path / "java"
    old.write_text(
        '#!/bin/sh\n[ "$1" = -Xinternalversion ] && '
        'echo "OpenJDK 64-Bit Server VM (11.0.2+9) for linux-amd64 JRE (11.0.2+9), built on" && exit 0\n'
        'printf "hello a b"\nexit 2\n'
    )
    old.chmod(0o755)

    assert_plain(jboost(words=[old, "-jar", "x.jar"]), "off", "JDK 11 is older than 17")


@pytest.fixture
def fat(jar, tmp_path):
    """The jar with the manifest of a fat one, and without the tool that extracts it."""
    made = tmp_path / "fat.jar"
    with zipfile.ZipFile(jar) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            more = b"Start-Class: Hello\r\nSpring-Boot-Classes: BOOT-INF/classes/\r\n"
            is_manifest = name == "META-INF/MANIFEST.MF"
            new.writestr(name, old.read(name).strip() + b"\r\n" + more if is_manifest else old.read(name))
    return made


def test_a_fat_jar_on_17_says_why_it_gains_nothing_and_what_does(jboost, fat):
    assert_plain(jboost(words=["java", "-jar", fat, "a", "b"]), "off", "fat jar", "--extract")


def test_a_fat_jar_that_cannot_be_extracted(jboost, fat):
    done = jboost("--extract", words=["java", "-jar", fat, "a", "b"])

    assert_plain(done, "off", "was not extracted")


def test_an_argument_file_that_is_missing(jboost):
    done = jboost(words=["java", "@nowhere", "-jar", "app.jar"])

    assert done.returncode == 1
    assert "jboost: off: nowhere is no argument file" in done.stderr
    assert "could not open `nowhere'" in done.stderr  # the launcher's own words


def test_nothing_to_start_is_an_error_of_the_person(jboost):
    done = jboost(words=["/nowhere/java", "-jar", "a.jar"])

    assert done.returncode == 1
    assert "next: " in done.stderr


def test_a_mistake_of_ours_after_the_lookup_costs_no_start(java17, jar, tmp_path, monkeypatch, capsys):
    started = []
    report = Report(Outcome.MISSING, (), ("-Dours=1",), "", "a" * 64, False, {})
    monkeypatch.setattr(launch, "become", lambda words, _: started.append(words) or sys.exit(0))
    monkeypatch.setattr("jboost_server.local.agent.Agent.fetch", lambda *_, **__: report)
    monkeypatch.setattr("jboost_server.local.known.here", lambda *_: {}["groups"])

    with pytest.raises(SystemExit):
        run.run(run.Settings(Home(tmp_path / "home")), [str(java17.java), "-jar", str(jar)], os.environ)

    assert started == [(str(java17.java), "-jar", str(jar))]
    assert "jboost: off: starts plainly: our own mistake" in capsys.readouterr().err


def test_a_persons_own_options_are_kept(jboost):
    for variable in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"):
        done = jboost("--home", "/proc/nowhere", environment={variable: "-Down=!"})

        assert done.stdout == "hello a b!"

"""`docs/java-warm-start.md` is true: its commands run as they are printed, its table is the code's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from jboost_server.core.outcome import Outcome
from jboost_server.local.words import MEANINGS
from jboost_server.store.directory import DirectoryStore
from jboost_server.web.tenancy import AUDIENCE, Local
from testbed.setup import jdk
from tests.jboost import application
from tests.jboost.conftest import free_port
from tests.jboost.server_world import running
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "java-warm-start.md"
PORT = "8080"
"""On the page. The tests put a free one in its place: another program of this machine may have that one."""
PARTS = 200
"""Classes of the application: enough that a busy machine does not hide what they gain."""
MAIN = """
public class Main {
  public static void main(String[] arguments) throws Exception {
    app.Main.main(new String[] {System.getenv("PORT")});
  }
}
"""


def blocks() -> dict[str, str]:
    """Fenced blocks by the name behind `sh`."""
    return dict(re.findall(r"^```sh (\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))


def test_the_page_explains_every_outcome_as_the_program_does():
    table = re.findall(r"^\| `([\w-]+)` \| (.*?) \| (.*?) \|$", PAGE.read_text(), re.MULTILINE)

    assert table == [(outcome.value, MEANINGS[outcome].what, MEANINGS[outcome].next) for outcome in Outcome]


def test_the_files_that_the_page_applies_exist():
    for path in re.findall(r"kubectl apply -[fk] (\S+)", blocks()["kubernetes"]):
        assert (ROOT / path).exists()


def test_a_clusters_status_is_asked_for_as_the_page_says(tmp_path):
    *kubectl, command = blocks()["cluster"].splitlines()
    token = "0" * 32
    (tmp_path / "token").write_text(token)
    with running(DirectoryStore(tmp_path / "store"), tenants=Local(token)) as client:
        words = command.replace("http://127.0.0.1:8780", client.url).split()
        done = subprocess.run(
            [*application.JBOOST, *words[1:]], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    assert f"--audience {AUDIENCE} " in "\n".join(kubectl)
    assert done.returncode == 0, done.stderr
    assert f"nothing is known yet in {client.url}" in done.stdout


def test_the_options_that_the_page_names_exist():
    texts = [
        subprocess.run(
            [sys.executable, "-c", "from jboost_server.cli import main; main()", verb, "--help"],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"COLUMNS": "200", "TERM": "dumb"},
        ).stdout
        for verb in ("run", "build", "status", "explain", "gc", "serve")
    ]

    named = set(re.findall(r"`(--[a-z-]+)", PAGE.read_text())) - {"--add-opens", "--add-modules"}
    assert named
    assert not [option for option in named if not any(option in text for text in texts)]


@pytest.fixture(scope="module")
def jar(tmp_path_factory):
    """A small application that serves, in one jar."""
    found = jdk.find(17, compiler=True)
    assert found is not None
    folder = tmp_path_factory.mktemp("app")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(application, "PARTS", PARTS)
        made = application.build(folder, found.home)
    (folder / "Main.java").write_text(MAIN)
    subprocess.run([found.javac, "-cp", made, "-d", folder, folder / "Main.java"], check=True)
    tool = found.home / "bin" / "jar"
    subprocess.run([tool, "ufe", made, "Main", "-C", folder, "Main.class"], check=True)
    return made


class Newcomer:
    """Somebody with a new home, a JDK, our package and their application: nothing else."""

    def __init__(self, folder: Path, java: jdk.Jdk, jar: Path) -> None:
        self.folder, self.jar, self.log = folder, jar, folder / "terminal"
        self.port = str(free_port())
        tools = folder / "bin"
        tools.mkdir()
        # A newcomer's machine is not as busy as one that runs tests: no step of a start is cut short.
        (tools / "jboost").write_text(f"#!{sys.executable}\n{application.PATIENT}")
        (tools / "jboost").chmod(0o755)
        self.environment = {
            "HOME": str(folder),
            "PORT": self.port,
            "PATH": f"{tools}:{java.home / 'bin'}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
        } | application.PLAIN_IS_SLOW
        (folder / "app.jar").write_bytes(jar.read_bytes())

    def types(self, block: str) -> str:
        """What a block of the page prints."""
        done = subprocess.run(
            ["sh", "-e", "-c", self._typed(block)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def serves_a_while(self, block: str) -> str:
        """Starts a block, asks the application some things, ends it with Ctrl-C; what the terminal showed."""
        with (
            self.log.open("wb") as log,
            subprocess.Popen(
                ["sh", "-c", f"exec {self._typed(block)}"],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            ) as shell,
        ):
            try:
                until(lambda: self._well() or shell.poll() is not None, 120, "the page's application")
                assert shell.poll() is None, self.log.read_text()
                for _ in range(20):
                    assert self._well()
                os.killpg(shell.pid, signal.SIGINT)
                code = shell.wait(600)
            finally:
                if shell.poll() is None:
                    os.killpg(shell.pid, signal.SIGKILL)
        assert code == 130, self.log.read_text()
        return self.log.read_text()

    def _typed(self, block: str) -> str:
        return blocks()[block].replace(PORT, self.port)

    def _well(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False


@pytest.mark.jvm
@pytest.mark.measures
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("feature", [17, 25])
def test_a_newcomer_who_follows_the_page_starts_warm(tmp_path, jar, feature):
    java = jdk.find(feature)
    if java is None:
        pytest.skip(f"no JDK {feature} on this machine")
    newcomer = Newcomer(tmp_path, java, jar)

    first = newcomer.serves_a_while("first")
    assert "jboost: learning: " in first
    assert "Serving" in newcomer.types("status"), first

    second = newcomer.serves_a_while("second")
    assert "jboost: hit: " in second

    assert "app" in newcomer.types("explain")
    newcomer.serves_a_while("evidence")
    loaded = (tmp_path / "classes.log").read_text().splitlines()
    ours = [line for line in loaded if " app.Part" in line]
    assert len(ours) >= PARTS
    assert not [line for line in ours if "shared objects file" not in line]

    newcomer.types("gc")
    assert "Serving" in newcomer.types("status")

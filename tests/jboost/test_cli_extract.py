"""A fat jar is run from its extracted layout, which is made once and stays while anybody runs from it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from jboost_server.core.retention import Retention
from tests.java_world import Java
from tests.jboost import application

pytestmark = pytest.mark.jvm

SOURCE = """
import java.io.*; import java.nio.file.*; import java.util.jar.*;
public class Main {
  public static void main(String[] arguments) throws Exception {
    Path jar = Path.of(System.getProperty("java.class.path"));
    if ("tools".equals(System.getProperty("jarmode"))) {  // as Spring Boot's own launcher does
      Path to = Files.createDirectories(Path.of(arguments[2]));
      Manifest manifest = new Manifest();
      manifest.getMainAttributes().putValue("Manifest-Version", "1.0");
      manifest.getMainAttributes().putValue("Main-Class", "Main");
      try (JarFile from = new JarFile(jar.toFile());
           var out = new JarOutputStream(Files.newOutputStream(to.resolve(jar.getFileName())), manifest)) {
        out.putNextEntry(new JarEntry("Main.class"));
        from.getInputStream(from.getEntry("Main.class")).transferTo(out);
      }
      Files.writeString(to.resolve("own"), String.valueOf(System.getProperty("own")));
      return;
    }
    System.out.println("runs from " + jar + ", own " + System.getProperty("own"));
    System.in.read();
  }
}
"""
MANIFEST = "Main-Class: Main\nStart-Class: Main\nSpring-Boot-Version: 3.5.7\nSpring-Boot-Classes: BOOT-INF/\n"


@pytest.fixture(scope="module")
def fat(java: Java, tmp_path_factory) -> Path:
    """A jar that says that it is Spring Boot's, and extracts itself as those do."""
    jdk, folder = java.jdk(17, compiler=True), tmp_path_factory.mktemp("fat")
    (folder / "Main.java").write_text(SOURCE)
    (folder / "manifest").write_text(MANIFEST)
    subprocess.run([jdk.javac, "-d", folder, folder / "Main.java"], check=True)
    made = folder / "app.jar"
    tool = jdk.home / "bin" / "jar"
    subprocess.run([tool, "cfm", made, folder / "manifest", "-C", folder, "Main.class"], check=True)
    return made


class Machine:
    def __init__(self, home: Path, launcher: Path) -> None:
        self.home, self.launcher = home, launcher

    @property
    def layouts(self) -> list[Path]:
        return sorted((self.home / "extracted").glob("*/*"))

    def words(self, verb: str, *words: object) -> list[str]:
        return [*application.JBOOST_PATIENT, verb, "--home", str(self.home), *map(str, words)]

    @contextmanager
    def runs(self, jar: Path):
        """The first line of the application, which runs until the block ends."""
        words = self.words("run", "--extract", "--build", "never", "--", self.launcher, "-jar", jar)
        environment = os.environ | {"JAVA_TOOL_OPTIONS": "-Down=ours"}
        with subprocess.Popen(words, stdin=-1, stdout=-1, stderr=-1, text=True, env=environment) as process:
            self.line = process.stdout.readline()
            yield process
            process.stdin.close()
            self.said = process.stderr.read()
            assert process.wait(60) == 0, self.said

    def gc(self) -> str:
        return subprocess.run(self.words("gc"), capture_output=True, text=True, check=True).stdout


@pytest.fixture
def machine(java: Java, tmp_path) -> Machine:
    return Machine(tmp_path / "home", java.jdk(17).java)


def test_it_is_extracted_once_by_a_jvm_without_the_applications_options(machine, fat, tmp_path):
    jar = shutil.copy(fat, tmp_path / "orders-1.jar")
    with machine.runs(jar):
        pass
    (layout,) = machine.layouts
    made, first = layout.stat().st_ino, machine.said
    with machine.runs(jar):
        pass

    assert machine.line == f"runs from {layout}/orders-1.jar, own ours\n"
    assert (layout / "own").read_text() == "null"
    assert "made once" in first and "made once" not in machine.said
    assert [each.stat().st_ino for each in machine.layouts] == [made]


def test_another_build_of_the_jar_gets_a_layout_of_its_own(machine, fat, tmp_path):
    jar = shutil.copy(fat, tmp_path / "app.jar")
    with machine.runs(jar):
        before = machine.line
    with zipfile.ZipFile(jar, "a") as archive:
        archive.writestr("another", b"build")
    with machine.runs(jar):
        pass

    assert len(machine.layouts) == 2
    assert machine.line != before


def test_the_same_content_under_another_name_is_found_too(machine, fat, tmp_path):
    for name in ("one.jar", "two.jar"):
        with machine.runs(shutil.copy(fat, tmp_path / name)):
            pass

        assert f"/{name}, own" in machine.line


@pytest.mark.parametrize("records", [True, False], ids=["beside-us", "in-our-place"])
def test_a_layout_from_which_an_application_runs_is_no_garbage_however_old(machine, fat, records):
    if not records:
        with machine.runs(fat):
            pass
    old = time.time() - Retention().unused_for - 86_400
    with machine.runs(fat):
        (layout,) = machine.layouts
        os.utime(layout, (old, old))
        while_it_runs = machine.gc()
        assert layout.is_dir()
    os.utime(layout, (old, old))
    afterwards = machine.gc()

    assert "extracted" not in while_it_runs
    assert "an extracted jar that was not started" in afterwards
    assert not machine.layouts
    with machine.runs(fat):
        assert machine.line == f"runs from {layout}/app.jar, own ours\n"

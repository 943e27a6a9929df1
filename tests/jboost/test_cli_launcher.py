"""A java command means to `jboost run` what it means to the launcher itself, of JDK 17 and of JDK 25."""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from jboost_server.local import argfile, command
from tests.java_world import Java

pytestmark = pytest.mark.jvm

COMMAND = re.compile(r"'-Dsun\.java\.command=(.*)'$", re.MULTILINE)
WORD = re.compile(r"^argv\[\s*\d+\] = (.*)$", re.MULTILINE)
FILES = {
    "all": '-cp . "-Dwords=b c" -jar app.jar x @y',
    "some": "-Xmx64m\n# a comment\n",
    "dot": ".",
    "shut": "-Xmx64m --disable-@files",
}


@pytest.fixture(params=[17, 25])
def launcher(request, java: Java) -> Path:
    return java.jdk(request.param).home / "bin" / "java"


def told(launcher: Path, folder: Path, *words: str) -> str:
    """What the launcher says that it does; whether there is such a program is no matter."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("JAVA_OPTIONS")}
    return subprocess.run(
        [launcher, *words],
        cwd=folder,
        env=environment | {"_JAVA_LAUNCHER_DEBUG": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    ).stdout


@pytest.mark.parametrize(
    "line",
    [
        "-jar app.jar -jar q",
        "-jar -Da=b app.jar x",
        "-jar @some app.jar x",
        "-p mods -m m/p.M -Da=b x",
        "-p mods --module m/p.M x",
        "-p mods --module=m/p.M -Da=b x",
        "-cp . -p mods Main -m x",
        "--class-path=. Main -x",
        "-classpath . Main",
        "--add-opens java.base/java.lang=ALL-UNNAMED Main a",
        "--enable-native-access ALL-UNNAMED Main a",
        "-splash:x -cp . Main --source",
        "@all z",
        "@some -cp . Main @some",
        "-cp @dot Main a",
        "-cp . @@some",
        "@shut @some",
        "--disable-@files -cp . Main @some",
        "@ x",
    ],
)
def test_what_is_started_with_which_arguments(tmp_path, monkeypatch, launcher, line):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    with zipfile.ZipFile(tmp_path / "app.jar", "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\nMain-Class: Main\n")
    monkeypatch.chdir(tmp_path)

    found = command.parse([str(launcher), *line.split()])
    theirs = COMMAND.search(told(launcher, tmp_path, *line.split()))

    assert theirs is not None
    assert " ".join((found.target[-1].removeprefix("--module="), *found.arguments)) == theirs[1]
    assert command.parse(found.words) == found  # read once more, it means the same


@pytest.mark.parametrize("line", ["--source 17 Main.java x", "--source=17 Main.java x", "Main.java x"])
def test_a_source_file_is_a_program(tmp_path, launcher, line):
    (tmp_path / "Main.java").write_text("")
    found = command.parse([str(launcher), *line.split()])
    theirs = COMMAND.search(told(launcher, tmp_path, *line.split()))

    assert theirs is not None  # the compiler is what starts, the file its first argument
    assert theirs[1].partition(" ")[2] == " ".join((*found.target, *found.arguments))


@pytest.mark.parametrize(
    "text",
    [
        "-Da=1 -Db=2\n-Dc=3\r\n\t-Dd=4\f-De=5",
        "-Da='b c' -Db=\"c 'd' e\" '' x",
        '-Da="b\\\\c\\td\\"e" -Db=C:\\x',
        '-Da="b\\\n   c" -Db=d',
        "-Da='open\n-Db=c",
        "# all\n-Da=b # rest\n-Dc=d#gone\n-De='#kept'",
        "x ''",
        "''",
        "",
        "@x @@y",
    ],
)
def test_the_words_of_an_argument_file(tmp_path, launcher, text):
    (tmp_path / "file").write_bytes(text.encode())

    said = told(launcher, tmp_path, "-cp", ".", "@file")

    expanded = WORD.findall(said)[3:]  # after the launcher's own name and `-cp .`
    assert expanded == list(argfile.words(text))

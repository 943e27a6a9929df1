"""A person's java command is read as the launcher reads it."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from jboost_server.local import command
from warmroot.errors import UserError


@pytest.fixture(autouse=True)
def java(tmp_path, monkeypatch):
    """A launcher on PATH that is no JDK."""
    path = tmp_path / "bin" / "java"
    path.parent.mkdir()
    path.symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(path.parent))
    return path


def parse(line: str) -> command.JavaCommand:
    return command.parse(line.split())


@pytest.mark.parametrize(
    ("line", "options", "target", "arguments"),
    [
        ("java -jar app.jar", "", "-jar app.jar", ""),
        ("java -Xmx1g -Da=b -jar app.jar --port 1 -jar", "-Xmx1g -Da=b", "-jar app.jar", "--port 1 -jar"),
        ("java -cp a.jar:b.jar Main x", "-cp a.jar:b.jar", "Main", "x"),
        ("java --add-opens a/b=c -jar app.jar", "--add-opens a/b=c", "-jar app.jar", ""),
        ("java --add-opens=a/b=c Main", "--add-opens=a/b=c", "Main", ""),
        ("java @flags -jar app.jar", "@flags", "-jar app.jar", ""),
        ("java -p mods -m a/b.C x", "-p mods", "-m a/b.C", "x"),
        ("java -version", "-version", "", ""),
    ],
)
def test_options_target_and_arguments_are_told_apart(java, line, options, target, arguments):
    found = parse(line)

    assert found == command.JavaCommand(
        java, tuple(options.split()), tuple(target.split()), tuple(arguments.split())
    )


def test_the_command_is_started_as_it_was_written(java):
    assert parse("java -Xmx1g -cp a Main x y").words == (str(java), "-Xmx1g", "-cp", "a", "Main", "x", "y")


def test_a_persons_options_come_after_ours_and_win(java):
    ours = parse("java -Xlog:gc -jar a.jar").with_options_first(["-Xlog:disable"])

    assert ours.words == (str(java), "-Xlog:disable", "-Xlog:gc", "-jar", "a.jar")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("java -jar target/orders-1.2.3-SNAPSHOT.jar", "orders"),
        ("java -jar My_App.jar", "my-app"),
        ("java -cp x com.example.Orders", "orders"),
        ("java -m shop/com.example.Main", "main"),
        ("java -jar archives.jar", "application"),
        ("java -jar ___.jar", "application"),
        ("java -version", "application"),
    ],
)
def test_an_application_is_named_after_its_jar_or_class(line, name):
    assert parse(line).group() == name


@pytest.mark.parametrize("line", ["", "bin/start.sh", "/nowhere/java -jar a.jar"])
def test_what_is_no_java_command_is_refused_with_a_next_step(line):
    with pytest.raises(UserError) as refused:
        parse(line)

    assert refused.value.hint


@pytest.mark.parametrize(("name", "fat"), [("BOOT-INF/classes/A.class", True), ("A.class", False)])
def test_a_fat_jar_is_known_by_what_is_in_it(tmp_path, name, fat):
    with zipfile.ZipFile(tmp_path / "a.jar", "w") as jar:
        jar.writestr(name, b"")

    assert command.is_fat_jar(tmp_path / "a.jar") is fat


@pytest.mark.parametrize("content", [None, b"", b"no jar"])
def test_what_is_no_jar_is_no_fat_jar(tmp_path, content):
    path = Path(tmp_path / "a.jar")
    if content is not None:
        path.write_bytes(content)

    assert not command.is_fat_jar(path)

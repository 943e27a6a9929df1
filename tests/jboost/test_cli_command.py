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
        ("java -jar -Xmx1g app.jar x", "-Xmx1g", "-jar app.jar", "x"),
        ("java -p mods -m a/b.C -x", "-p mods", "-m a/b.C", "-x"),
        ("java -p mods --module=a/b.C -x", "-p mods", "--module=a/b.C", "-x"),
        ("java --source 17 Main.java x", "--source 17", "Main.java", "x"),
        ("java --source=17 Main.java x", "--source=17", "Main.java", "x"),
        ("java -cp", "-cp", "", ""),
        ("java -jar", "-jar", "", ""),
        ("java @ x", "", "@", "x"),
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
        ("java --module=shop/com.example.Orders", "orders"),
        ("java --module=shop", "shop"),
        ("java src/Orders.java", "orders"),
        ("java -jar archives.jar", "application"),
        ("java -jar ___.jar", "application"),
        ("java -version", "application"),
    ],
)
def test_an_application_is_named_after_its_jar_or_class(line, name):
    assert parse(line).group() == name


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("java -cp a:b/* Main", "-cp /work/a:/work/b/*"),
        ("java -classpath a Main", "-classpath /work/a"),
        ("java --class-path=a: Main", "--class-path=/work/a:/work"),
        ("java -p mods -m a", "-p /work/mods"),
        ("java --module-path=mods -m a", "--module-path=/work/mods"),
        ("java -Dcp=a -Xlog:gc Main", "-Dcp=a -Xlog:gc"),
    ],
)
def test_paths_mean_the_same_from_any_folder(tmp_path, monkeypatch, line, options):
    monkeypatch.chdir(tmp_path)

    assert parse(line).absolute().options == tuple(options.replace("/work", str(tmp_path)).split())


def test_an_argument_file_is_read_where_the_launcher_reads_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("all").write_text("-Xmx1g # heap\n-jar 'my app.jar' @none")

    found = parse("java @all @all")

    assert (found.options, found.target) == (("-Xmx1g",), ("-jar", "my app.jar"))
    assert found.arguments == ("@none", "@all")


def test_a_word_with_an_at_is_no_file_the_second_time_either(java):
    found = parse("java -cp @@lib Main @x")

    assert found.options == ("-cp", "@lib")
    assert found.words == (str(java), "-cp", "@@lib", "Main", "@x")
    assert parse("java --disable-@files -cp @lib Main").words[2:] == ("-cp", "@lib", "Main")


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_an_argument_file_that_cannot_be_read_is_named(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UserError, match=name) as refused:
        parse(f"java @{name} -jar a.jar")

    assert refused.value.hint


@pytest.mark.parametrize("line", ["", "bin/start.sh", "/nowhere/java -jar a.jar"])
def test_what_is_no_java_command_is_refused_with_a_next_step(line):
    with pytest.raises(UserError) as refused:
        parse(line)

    assert refused.value.hint


FAT = "Start-Class: a.Main\nSpring-Boot-Version: 3.5.7\nSpring-Boot-Classes: BOOT-INF/classes/\n"


@pytest.mark.parametrize(
    ("attributes", "fat", "boot"),
    [
        (FAT, True, True),
        (FAT.replace("\n", "\r\n"), True, True),
        ("Main-Class: a.Main\nSpring-Boot-Version: 3.5.7\n", False, True),
        ("Main-Class: a.Main\n", False, False),
        (f"Main-Class: a.Main\n\nName: inner.jar\n{FAT}", False, False),
    ],
)
def test_a_fat_jar_is_known_by_its_manifest(tmp_path, attributes, fat, boot):
    with zipfile.ZipFile(tmp_path / "a.jar", "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n" + attributes)

    assert command.is_fat_jar(tmp_path / "a.jar") is fat
    assert command.is_spring_boot(tmp_path / "a.jar") is boot


@pytest.mark.parametrize("content", [None, b"", b"no jar"])
def test_what_is_no_jar_is_no_fat_jar(tmp_path, content):
    path = Path(tmp_path / "a.jar")
    if content is not None:
        path.write_bytes(content)

    assert not command.is_fat_jar(path)

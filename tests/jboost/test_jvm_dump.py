"""What the merge renders, a real JDK 17 dumps; and what the grammar refuses would have cost the archive."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from jboost_server.core.classlist import MAX_SLOTS, Kind, parse, parse_line
from jboost_server.core.merge import Merge
from warmroot.errors import BadLine

pytestmark = pytest.mark.jvm

JDK = Path("/usr/lib/jvm/java-17-openjdk-amd64/bin")
SOURCE = """
import java.util.*; import java.util.function.*; import java.util.stream.*;
public class Hello {
  interface Greeting { String to(String name); }
  static class English implements Greeting { public String to(String n) { return "Hello " + n; } }
  static class German implements Greeting { public String to(String n) { return "Hallo " + n; } }
  public static void main(String[] args) {
    Supplier<Greeting> chosen = args[0].equals("de") ? German::new : English::new;
    if (args[0].equals("list"))  // concatenation of many types: forms and species of many shapes
      System.out.println("" + args.length + 2L + 3.0 + 'c' + args + 1f + Stream.of(args)
        .sorted(Comparator.comparing(String::length)).collect(Collectors.toList()));
    System.out.println(chosen.get().to(args[0]));
  }
}
"""


@dataclass
class App:
    """A small application in its own folder, and what JDK 17 does with it."""

    folder: Path

    def java(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [JDK / "java", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=240,
        )

    @property
    def jar(self) -> Path:
        return self.folder / "hello.jar"

    def record(self, argument: str) -> bytes:
        path = self.folder / f"{argument}.lst"
        assert (
            self.java(f"-XX:DumpLoadedClassList={path}", "-cp", self.jar, "Hello", argument).returncode == 0
        )
        return path.read_bytes()

    def dump(self, classes: bytes) -> subprocess.CompletedProcess[str]:
        (self.folder / "merged.lst").write_bytes(classes)
        return self.java(
            "-Xshare:dump",
            "-XX:SharedClassListFile=merged.lst",
            "-XX:SharedArchiveFile=hello.jsa",
            *("-cp", self.jar),
        )


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    folder = tmp_path_factory.mktemp("hello")
    (folder / "Hello.java").write_text(SOURCE)
    subprocess.run([JDK / "javac", "-d", "classes", "Hello.java"], cwd=folder, check=True)
    subprocess.run([JDK / "jar", "cf", "hello.jar", "-C", "classes", "."], cwd=folder, check=True)
    return App(folder)


@pytest.fixture(scope="module")
def merge(app: App) -> Merge:
    """Three pods' recordings, each of other traffic."""
    merge = Merge(17)
    for argument in ("en", "de", "list"):
        text = app.record(argument)
        entries = parse([text], feature=17, class_path={str(app.jar)})
        merge = merge.fold(hashlib.sha256(text).hexdigest(), entries)
    return merge


def test_a_merge_of_three_pods_is_dumped_without_an_error_and_used(app: App, merge: Merge) -> None:
    """Classes that only one pod's traffic loaded come from the archive."""
    assert {"Hello$English", "Hello$German", "java/util/stream/Collectors"} <= set(merge.lines())
    dumped = app.dump(merge.render())
    assert (dumped.returncode, "[error][cds]" in dumped.stdout) == (0, False), dumped.stdout
    for argument in ("en", "de"):
        ran = app.java(
            "-Xshare:on",
            "-XX:SharedArchiveFile=hello.jsa",
            "-Xlog:class+load",
            "-cp",
            app.jar,
            "Hello",
            argument,
        )
        loaded = [line for line in ran.stdout.splitlines() if " Hello$" in line and "Lambda" not in line]
        assert ran.returncode == 0, ran.stdout
        assert loaded and all("shared objects file" in line for line in loaded)


def taken(line: str) -> bool:
    try:
        parse_line(line, feature=17)
    except BadLine:
        return False
    return True


def test_every_form_that_the_grammar_takes_costs_the_dump_nothing(app: App, merge: Merge) -> None:
    """The narrowest and the widest type of each holder and name, all in one dump."""
    prefix = "@lambda-form-invoker [LF_RESOLVE] java.lang.invoke."
    names = {
        "DirectMethodHandle": (
            *("invokeStatic", "invokeStaticInit", "invokeVirtual", "invokeSpecial", "invokeSpecialIFC"),
            *("invokeInterface", "newInvokeSpecial", "getReference", "putInt", "fieldAccess", "unheardOf"),
        ),
        "DelegatingMethodHandle": ("delegate", "reinvoke_L", "unheardOf"),
        "Invokers": ("invokeExact_MT", "invoker", "linkToTargetMethod", "linkToCallSite", "unheardOf"),
        "LambdaForm": ("zero_L", "identity_L", "constant_L", "unheardOf"),
    }
    types = (
        "L_L",
        "L_V",
        "I_V",
        "LL_V",
        "LL_J",
        "IL_L",
        "LI_I",
        "LIJFDL_D",
        "LLI_I",
        f"L{MAX_SLOTS}_L",
        f"LLJ{MAX_SLOTS // 2 - 2}L_V",
    )
    lines = [
        line
        for holder in names
        for name in names[holder]
        for kind in types
        if taken(line := f"{prefix}{holder}$Holder {name} {kind}")
    ]
    assert len(lines) > 150
    species = "@lambda-form-invoker [SPECIES_RESOLVE] java.lang.invoke.BoundMethodHandle$Species_"
    lines += [f"{species}L{MAX_SLOTS}", f"{species}LLLL", f"{species}L4"]
    assert all(map(taken, lines))
    dumped = app.dump(merge.render() + "".join(line + "\n" for line in lines).encode())
    assert (dumped.returncode, "[error][cds]" in dumped.stdout) == (0, False), dumped.stdout


@pytest.mark.parametrize(
    "line",
    [
        "@lambda-form-invoker [LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic L300_L",
        "@lambda-form-invoker [LF_RESOLVE] java.lang.invoke.Invokers$Holder invoker LI_L",
        "@lambda-form-invoker [LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeVirtual LI_L",
        "@lambda-form-invoker [LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder newInvokeSpecial LL_J",
        "@lambda-form-invoker [LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic LLLL_L",
        "@lambda-proxy Hello",
    ],
)
def test_a_line_that_the_grammar_refuses_would_have_cost_the_archive(
    app: App, merge: Merge, line: str
) -> None:
    with pytest.raises(BadLine):
        parse_line(line, feature=17)
    others = (
        "@lambda-form-invoker [LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder newInvokeSpecial LL_L\n"
        "@lambda-form-invoker [LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic L4_L\n"
    )
    dumped = app.dump(merge.render() + others.encode() + line.encode() + b"\n")
    assert dumped.returncode or "[error][cds]" in dumped.stdout


@pytest.mark.parametrize("home", [JDK, Path("/usr/lib/jvm/temurin-25-jdk-amd64/bin")])
def test_the_list_of_a_real_program_is_taken_whole(app: App, home: Path) -> None:
    """A compiler's own list has forms, species and proxies of many shapes."""
    if not home.exists():
        pytest.skip(f"no JDK in {home}")
    path = app.folder / "javac.lst"
    subprocess.run(
        [home / "javac", f"-J-XX:DumpLoadedClassList={path}", "-d", "again", "Hello.java"],
        cwd=app.folder,
        check=True,
    )
    feature = 17 if home == JDK else 25
    text = path.read_bytes()
    entries = list(parse([text], feature=feature, class_path=()))
    assert len(entries) == sum(not line.startswith(b"#") for line in text.splitlines())
    assert {entry.kind for entry in entries} >= {Kind.CLASS, Kind.PROXY, Kind.FORM}

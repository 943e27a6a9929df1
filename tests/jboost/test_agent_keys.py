"""Agent and cache service make the same key of the same facts, byte by byte; and the facts are the JVM's."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jboost_agent import build
from jboost_server.core import buildkey
from jboost_server.core.buildkey import BuildKey, Collectors, Ergonomics, Jar, Jvm
from jboost_server.core.options import normalise
from tests.jboost.agent_driver import Driver, driving
from tests.jboost.agent_pod import MTIME, Pod, write_jar
from warmroot.canonical import encode

pytestmark = pytest.mark.jvm
EXAMPLES = settings(max_examples=200)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory, jdk17: Path) -> Iterator[Driver]:
    with driving(tmp_path_factory.mktemp("driver"), jdk17) as driver:
        yield driver


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
trees = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@EXAMPLES
@given(tree=trees)
def test_canonical_json_is_the_same(agent: Driver, tree: object) -> None:
    pretty = json.dumps(tree, indent=1).encode()
    assert agent.canonical(pretty) == encode(tree)


@EXAMPLES
@given(tree=trees, at=st.integers(0, 200), byte=st.integers(0, 255))
def test_what_is_no_json_for_python_is_none_for_the_agent(
    agent: Driver, tree: object, at: int, byte: int
) -> None:
    data = bytearray(encode(tree))
    data[at % len(data)] = byte
    read = agent.canonical(bytes(data))
    if read is not None:
        assert read == encode(json.loads(data))


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        "1.0",
        "1e3",
        "-",
        "01",
        "9007199254740992",
        "NaN",
        "[1,]",
        '"\\x"',
        '"\t"',
        "",
        "1 2",
        "\ufeff1",
    ],
)
def test_what_means_two_things_is_refused(agent: Driver, text: str) -> None:
    assert agent.canonical(text.encode()) is None


OPTIONS = st.sampled_from(
    [
        *(
            "--add-modules",
            "--add-modules=a,b",
            "--add-modules=java.instrument,c",
            "--limit-modules=x,,y",
            "-p",
        ),
        *(
            "--module-path=/m",
            "--patch-module=a=/p",
            "--add-opens",
            "--add-opens=a/b=c",
            "--add-exports=a/b=c",
        ),
        *("--add-reads=a=b", "--enable-native-access=a,b", "--enable-native-access", "-Xbootclasspath/a:/b"),
        *(
            "-Xbootclasspath/a:",
            "-agentlib:jdwp=transport=x",
            "-agentlib:jdwp",
            "-Xrunjdwp:x",
            "-agentpath:/p.so=o",
        ),
        *(
            "-agentlib:p",
            "-agentlib:",
            "-javaagent:/a.jar",
            "-Xmx1g",
            "-cp",
            "a.jar:b.jar",
            "x",
            "",
            "=",
            "--upgrade-module-path=/u",
        ),
    ]
)


@EXAMPLES
@given(options=st.lists(OPTIONS, max_size=8), feature=st.sampled_from([17, 21, 24, 25]))
def test_options_have_the_same_normal_form(agent: Driver, options: list[str], feature: int) -> None:
    ours = normalise(options, feature=feature)
    assert agent("options", options=options, feature=feature) == [
        list(ours.module_options),
        list(ours.agents),
    ]


paths = st.text(
    st.characters(exclude_characters=":", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20
)
hexes = st.binary(min_size=20, max_size=20).map(bytes.hex)
sha256s = st.binary(min_size=32, max_size=32).map(bytes.hex)
jars = st.builds(Jar, paths.map("/".__add__), st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1), sha256s)
alignments = st.sampled_from([8, 16, 256])


@EXAMPLES
@given(data=st.data(), path=st.lists(jars, min_size=1, max_size=4), options=st.lists(OPTIONS, max_size=4))
def test_a_key_is_the_same(agent: Driver, data: st.DataObject, path: list[Jar], options: list[str]) -> None:
    feature = data.draw(st.sampled_from([17, 25]))
    version = (
        f"OpenJDK 64-Bit Server VM ({feature}.0.1+2) for linux-aarch64 JRE ({feature}.0.1+2), built on \u00fc"
    )
    libjvm, digest, size = data.draw(hexes), data.draw(sha256s), data.draw(st.integers(1, 2**40))
    coops, classes, compact, z = data.draw(st.tuples(*[st.booleans()] * 4))
    alignment, heap = data.draw(alignments), data.draw(st.sampled_from([2**20, 2**35 - 1, 2**35, 2**63]))
    flags = {
        "UseCompressedOops": coops,
        "ObjectAlignmentInBytes": alignment,
        "UseCompressedClassPointers": classes,
        "SoftMaxHeapSize": 1,
        "MaxHeapSize": heap,
        "UseZGC": z,
    }
    if compact:
        flags["UseCompactObjectHeaders"] = True
    table = "".join(
        f"   any {name:<40} = {str(value).lower():<20} {{product}} {{default}}\n"
        for name, value in flags.items()
    )
    normal = normalise(options, feature=feature)
    ours = BuildKey(
        Jvm(feature, "aarch64", version, libjvm, size, digest),
        Ergonomics(
            coops, classes, compact, alignment, heap >= 2**35, Collectors.Z if z else Collectors.CLASSIC
        ),
        tuple(path),
        normal.module_options,
        normal.agents,
    )
    theirs = agent(
        "key",
        version=version,
        libjvm=libjvm,
        size=size,
        digest=digest,
        table=table,
        options=options,
        jars=[[jar.path, jar.size, jar.mtime, jar.fingerprint] for jar in path],
    )
    assert base64.b64decode(theirs) == ours.encode()
    assert buildkey.decode(base64.b64decode(theirs)) == ours


def test_the_key_of_a_real_start_is_one_that_the_service_takes(pod: Pod) -> None:
    key = pod.key()
    assert key.jvm.feature == pod.jdk.feature
    assert key.jvm.modules_size == (pod.jdk.home / "lib/modules").stat().st_size
    said = subprocess.run([pod.jdk.java, "-Xinternalversion"], capture_output=True, text=True, check=True)
    assert key.jvm.internal_version == said.stdout.strip()
    assert [jar.path for jar in key.class_path] == [f"{pod.home}/app.jar", f"{pod.home}/lib/greeting.jar"]
    assert {jar.mtime for jar in key.class_path} == {MTIME}


def test_relative_and_dotted_spellings_of_a_jar_have_one_key(pod: Pod) -> None:
    keys = set()
    for jar in ("app.jar", "./app.jar", f"{pod.home}/lib/../app.jar"):
        pod.fetch(command=[str(pod.jdk.java), "-jar", jar])
        keys.add(pod.server.key.digest)
    assert len(keys) == 1


def test_options_of_every_source_are_in_the_key(pod: Pod, tmp_path: Path) -> None:
    # The agent's own JVM obeys the variables, too, and Ed25519 is in jdk.crypto.ec before 22.
    (tmp_path / "args").write_text("--limit-modules=java.base,jdk.jfr\n")
    (tmp_path / "vm").write_text("--patch-module=java.base=/d\n")
    pod.environment = {
        "JAVA_TOOL_OPTIONS": "--limit-modules=java.base,jdk.crypto.ec",
        "JDK_JAVA_OPTIONS": "--limit-modules=java.base,jdk.crypto.ec,java.instrument",
    }
    jar = str(pod.home / "app.jar")
    pod.fetch(
        command=[
            str(pod.jdk.java),
            f"@{tmp_path / 'args'}",
            f"-XX:VMOptionsFile={tmp_path / 'vm'}",
            "-jar",
            jar,
        ]
    )
    modules = {"java.base", "jdk.crypto.ec", "java.instrument", "jdk.jfr"}
    wanted = {f"--limit-modules={name}" for name in modules} | {"--patch-module=java.base=/d"}
    assert set(pod.server.key.module_options) == wanted


def test_what_a_runtime_is_told_apart_by(agent: Driver, jdk17: Path) -> None:
    """Sampled as the agent's comments say, computed here from the words alone."""
    modules = (jdk17 / "lib/modules").read_bytes()
    digest = hashlib.sha256(struct.pack(">Q", len(modules)))
    for block in range(128):
        at = block * (len(modules) - 4096) // 127
        digest.update(modules[at : at + 4096])
    assert agent("sampled", path=str(jdk17 / "lib/modules")) == digest.hexdigest()
    libjvm = (jdk17 / "lib/server/libjvm.so").read_bytes()
    note = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0"
    at = libjvm.index(note) + len(note)
    assert agent("libjvm", path=str(jdk17)) == libjvm[at : at + 20].hex()


def test_a_runtime_without_a_build_id_is_known_by_its_digest(agent: Driver, tmp_path: Path) -> None:
    library = tmp_path / "lib/server/libjvm.so"
    library.parent.mkdir(parents=True)
    for data in (b"", b"\x7fELF\x02\x01" + bytes(200), b"no library"):
        library.write_bytes(data)
        assert agent("libjvm", path=str(tmp_path)) == hashlib.sha256(data).hexdigest()


def fingerprint(path: Path) -> str:
    """As the agent's comments say: the central directory, then the file's size."""
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        begin = archive.start_dir
        end = begin + sum(
            46 + len(i.filename.encode()) + len(i.extra) + len(i.comment) for i in archive.infolist()
        )
    return hashlib.sha256(data[begin:end] + struct.pack(">Q", len(data))).hexdigest()


def plain(path: Path) -> None:
    write_jar(path, {"a/B.class": b"b", "META-INF/x": b"x" * 1000})


def empty(path: Path) -> None:
    write_jar(path, {})


def commented(path: Path) -> None:
    plain(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"a comment that is longer than the first look " * 200


def executable(path: Path) -> None:
    """A script before the first entry, as Spring Boot's executable jars have it; no offset counts it."""
    plain(path)
    path.write_bytes(b"#!/bin/sh\nexec java -jar $0\n" + path.read_bytes())


def many(path: Path) -> None:
    """More entries than 16 bits count: ZIP64."""
    write_jar(path, {f"{number}": b"" for number in range(66_000)})


@pytest.mark.parametrize("make", [plain, empty, commented, executable, many])
def test_a_fingerprint_is_of_the_central_directory(
    agent: Driver, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "a.jar"
    make(path)
    (found,) = agent("jars", path=str(path))
    assert found == [str(path), path.stat().st_size, int(path.stat().st_mtime), fingerprint(path)]


def manifest(class_path: str, width: int = 70) -> bytes:
    """A manifest whose class path is folded after every so many characters, wherever that is."""
    text = f"Class-Path: {class_path}"
    lines = [text[:width], *(" " + text[at : at + width - 1] for at in range(width, len(text), width - 1))]
    return (
        "Manifest-Version: 1.0\r\n" + "\r\n".join(lines) + "\r\n\r\nName: x\r\nClass-Path: never.jar\r\n"
    ).encode()


@pytest.mark.parametrize("width", range(13, 34))
@pytest.mark.parametrize("packed", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_jars_that_manifests_name_follow_theirs_each_once(
    agent: Driver, tmp_path: Path, width: int, packed: int
) -> None:
    def jar(name: str, class_path: str) -> None:
        with zipfile.ZipFile(tmp_path / name, "w", packed) as archive:
            archive.writestr("other", b"")
            archive.writestr("META-INF/MANIFEST.MF", manifest(class_path, width))

    (tmp_path / "lib").mkdir()
    (tmp_path / "empty").mkdir()
    jar("app.jar", "lib/a.jar  lib/gone.jar lib/b%20c.jar http://x/y.jar empty/ app.jar")
    jar("lib/a.jar", f"../d.jar file:{tmp_path}/lib/e.jar")
    jar("lib/b c.jar", "a.jar")
    jar("d.jar", "app.jar")
    jar("lib/e.jar", "")
    found = agent("jars", path=f"{tmp_path}/app.jar:{tmp_path}/lib/e.jar:{tmp_path}/gone.jar")
    names = ["app.jar", "lib/a.jar", "d.jar", "lib/e.jar", "lib/b c.jar"]
    assert [jar[0] for jar in found] == [f"{tmp_path}/{name}" for name in names]


PRINT = """
public class Print {
  public static void main(String[] words) {
    System.out.println(System.getProperty("java.class.path"));
    for (String word : words) System.out.println(word.replace("\\n", "\\\\n"));
  }
}
"""


@pytest.fixture(scope="module")
def printer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a class that prints its class path and its arguments."""
    folder = tmp_path_factory.mktemp("print")
    (folder / "Print.java").write_text(PRINT)
    compiler = build.find_javac()
    assert compiler is not None
    subprocess.run([compiler, "--release", "17", "-d", folder, folder / "Print.java"], check=True)
    return folder


FILES = [
    "plain words\nand more\r\nlines",
    "'single \"inside\"' \"double 'inside'\" mixed\"quo ted\"'s'",
    '"tab\\tnewline\\nback\\\\slash quote\\" other\\q" out\\side',
    "# a comment\nafter # another\nlast",
    'word#lost "kept#"',
    '"goes on \\\n    in the next line" next',
    '"ends with its line\nnew word',
    "@nested @@twice \"\" ''",
    "no final newline",
    "\f\ttabs\tand\ffeeds",
]


@pytest.mark.parametrize("text", FILES)
def test_argument_files_are_read_as_the_launcher_reads_them(
    agent: Driver, printer: Path, tmp_path: Path, text: str, jdk17: Path
) -> None:
    (tmp_path / "words").write_text(f"-cp {printer} Print {text}")
    run = subprocess.run(
        [jdk17 / "bin/java", f"@{tmp_path / 'words'}"], capture_output=True, text=True, check=True
    )
    options, target, arguments = agent("command", words=[f"@{tmp_path / 'words'}"])
    assert (options, target) == (["-cp", str(printer)], ["Print"])
    assert [word.replace("\n", "\\n") for word in arguments] == run.stdout.split("\n")[1:-1]


words = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=30)


@EXAMPLES
@given(listed=st.lists(words, max_size=5))
def test_whatever_is_quoted_is_read_again(agent: Driver, listed: list[str]) -> None:
    text = "".join(agent("quoted", text=word) + "\n" for word in listed)
    assert agent("file", text=text) == listed


def test_what_is_quoted_means_the_same_to_the_launcher(
    agent: Driver, printer: Path, tmp_path: Path, jdk17: Path
) -> None:
    odd = [
        "-Da=b c",
        "back\\slash",
        '"quoted"',
        "it's",
        "#hash",
        "@at",
        "tab\there",
        "new\nline",
        "$HOME `x` *",
    ]
    text = "".join(agent("quoted", text=word) + "\n" for word in ["-cp", str(printer), "Print", *odd])
    (tmp_path / "words").write_text(text)
    run = subprocess.run(
        [jdk17 / "bin/java", f"@{tmp_path / 'words'}"], capture_output=True, text=True, check=True
    )
    assert run.stdout.split("\n")[1:-1] == [word.replace("\n", "\\n") for word in odd]


def test_a_variable_is_split_as_the_launcher_splits_it(agent: Driver, printer: Path, jdk17: Path) -> None:
    text = " -Da='b c'\t-Db=\"d e\"f  -Dg=h\\i '-Dj=\"k\"' "
    environment = {"JDK_JAVA_OPTIONS": text}
    show = [jdk17 / "bin/java", "-XshowSettings:properties", "-cp", printer, "Print"]
    run = subprocess.run(show, capture_output=True, text=True, check=True, env=environment)
    options = agent("variable", text=text)
    assert options == ["-Da=b c", "-Db=d ef", "-Dg=h\\i", '-Dj="k"']
    for option in options:
        name, _, value = option.removeprefix("-D").partition("=")
        assert f"    {name} = {value}\n" in run.stderr


def test_an_options_file_that_can_not_be_read_here_is_left_to_the_jvm(
    agent: Driver, printer: Path, tmp_path: Path, jdk17: Path
) -> None:
    """A nested @ would end the JVM, and a start without the image's options would say nothing."""
    later = tmp_path / "mounted-later"
    (tmp_path / "opts").write_text(agent("image", variable=f"-Da=1 @{later}"))
    later.write_text("-Dfrom.file=2\n")
    show = [jdk17 / "bin/java", f"@{tmp_path / 'opts'}", "-XshowSettings:properties", "-cp", printer, "Print"]
    run = subprocess.run(show, capture_output=True, text=True, check=True)
    assert "    a = 1\n" in run.stderr
    assert "    from.file = 2\n" in run.stderr


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("-Xmx1g -jar a.jar -cp x", (["-Xmx1g"], ["-jar", "a.jar"], ["-cp", "x"])),
        ("-cp a:b app.Main -x @y", (["-cp", "a:b"], ["app.Main"], ["-x", "@y"])),
        (
            "--add-opens a/b=c -p m -m mod/app.Main -jar",
            (["--add-opens", "a/b=c", "-p", "m"], ["-m", "mod/app.Main"], ["-jar"]),
        ),
        ("--module=mod -x", ([], ["--module=mod"], ["-x"])),
        ("--class-path -Xmx1g Main", (["--class-path", "-Xmx1g"], ["Main"], [])),
        ("--disable-@files @x y", (["--disable-@files"], ["@x"], ["y"])),
        ("@@x y", ([], ["@x"], ["y"])),
        ("-Da=b", (["-Da=b"], [], [])),
    ],
)
def test_a_command_is_split_as_the_launcher_splits_it(
    agent: Driver, line: str, parsed: tuple[list[str], ...]
) -> None:
    assert agent("command", words=line.split()) == list(parsed)


def test_a_wildcard_has_the_launchers_order(
    agent: Driver, printer: Path, tmp_path: Path, jdk17: Path
) -> None:
    for number in range(40):
        write_jar(tmp_path / f"lib/{(number * 37) % 41}.jar", {"x": b""})
    for other in ("a.txt", "b.JAR", ".hidden.jar"):
        write_jar(tmp_path / "lib" / other, {"x": b""})
    path = f"{tmp_path}/lib/*:{tmp_path}/none/*:{printer}"
    run = subprocess.run(
        [jdk17 / "bin/java", "-cp", path, "Print"], capture_output=True, text=True, check=True
    )
    theirs = [entry for entry in run.stdout.split("\n")[0].split(":") if "/lib/" in entry]
    assert [jar[0] for jar in agent("jars", path=f"{tmp_path}/lib/*:{tmp_path}/none/*")] == theirs


def test_the_jar_is_the_same_twice(tmp_path: Path) -> None:
    compiler = build.find_javac()
    assert compiler is not None
    for name in ("one.jar", "two.jar"):
        build.jar(compiler, tmp_path / name)
    assert (tmp_path / "one.jar").read_bytes() == (tmp_path / "two.jar").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.jar") as archive:
        assert archive.namelist()[0] == "META-INF/MANIFEST.MF"
        assert {Path(name).suffix for name in archive.namelist()[1:]} == {".class"}

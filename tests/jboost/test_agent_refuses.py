"""What does not fit, is not whole or not signed is refused by name; the application starts plainly."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from jboost_server.core.buildkey import BuildKey, Collectors
from jboost_server.core.manifest import Preflight, seal
from jboost_server.signing import Signer
from tests.jboost import agent_server, application
from tests.jboost.agent_pod import MTIME, Decision, Pod, write_jar

pytestmark = pytest.mark.jvm
# Where only the agent decides, the JDK makes no difference.
once = pytest.mark.parametrize("runtime", [17], indirect=True, scope="session")
ONE, TWO = "hello from one a,-b\n", "hello from two a,-b\n"


def refused(pod: Pod, outcome: str, why: str, *options: str, says: str = ONE) -> Decision:
    """A decision with this outcome and these words in it, after which the application starts plainly."""
    decision = pod.fetch(*options)
    assert (decision.outcome, decision.code, decision.options) == (outcome, 0, ""), decision.said
    assert why in decision.why
    assert f"jboost fetch: {outcome}: " in decision.said
    assert pod.start() == says
    return decision


DIFFERENCES = {
    "another JDK build": (
        "build",
        "internalVersion: archive",
        lambda key: replace(
            key, jvm=replace(key.jvm, internal_version=key.jvm.internal_version + " rebuilt")
        ),
    ),
    "a jlinked runtime of the same build": (
        "build",
        "modulesDigest: archive",
        lambda key: replace(key, jvm=replace(key.jvm, modules_digest="0" * 64)),
    ),
    "no pointer compression": (
        "coops",
        "compressedOops: archive false, pod true",
        lambda key: replace(key, ergonomics=replace(key.ergonomics, compressed_oops=False)),
    ),
    "ZGC": (
        "gc",
        "collectors: archive z, pod classic",
        lambda key: replace(
            key, ergonomics=replace(key.ergonomics, compressed_oops=False, collectors=Collectors.Z)
        ),
    ),
    "a jar less": (
        "classpath",
        "archive has 1 entries, pod 2",
        lambda key: replace(key, class_path=key.class_path[:1]),
    ),
    "jars in another order": (
        "classpath",
        "entry 1: archive",
        lambda key: replace(key, class_path=key.class_path[::-1]),
    ),
    "other module options": (
        "module-opts",
        "archive has 1 entries, pod 0",
        lambda key: replace(key, module_options=("--limit-modules=java.base",)),
    ),
    "a native agent": (
        "agent",
        "archive has 1 entries, pod 0",
        lambda key: replace(key, agents=("native:profiler",)),
    ),
    "another CPU": ("cpu", "archive has 1 entries, pod 0", lambda key: replace(key, cpu=("avx2",))),
}


@once
@pytest.mark.parametrize(("outcome", "why", "change"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_a_proposal_for_another_start_is_refused_with_what_differs(
    pod: Pod, offered: bytes, outcome: str, why: str, change
) -> None:
    """The server proposes it all the same: the pod believes its own files."""
    key: BuildKey = pod.server.key
    pod.server.clear()
    pod.server.offer(change(key), offered, preflight=Preflight.WAIVED)
    refused(pod, outcome, why)
    assert not any("/archives/" in path for path in pod.server.paths())


@pytest.mark.parametrize(
    "flags", [("-XX:+UseZGC",), ("-XX:ObjectAlignmentInBytes=16",), ("-Xmx33g",)], ids=str
)
def test_a_start_with_other_ergonomics_has_another_key(pod: Pod, offered: bytes, flags) -> None:
    """Measured with the start's own flags: the same archive does not fit any more."""
    pod.flags = flags
    outcome = "gc" if "ZGC" in flags[0] else "coops"
    refused(pod, outcome, ": archive ")


def test_a_start_with_other_module_options_has_another_key(pod: Pod, offered: bytes) -> None:
    pod.flags = ("--limit-modules", "java.base,java.instrument,jdk.jfr,jdk.management.agent")
    refused(pod, "module-opts", "archive has 0 entries, pod 4")


def test_a_changed_jar_of_the_same_size_and_time_never_runs_an_old_class(pod: Pod, offered: bytes) -> None:
    """JDK-8377932: a 25 before 25.0.4 would take the archive and run the old class without a word."""
    jar = pod.home / "lib/greeting.jar"
    before = jar.stat()
    assert pod.fetch().outcome == "hit"
    pod.install("two")
    try:
        assert (jar.stat().st_size, jar.stat().st_mtime) == (before.st_size, before.st_mtime)
        decision = refused(pod, "classpath", f"{jar}", says=TWO)
        assert "archive" in decision.why
    finally:
        pod.install("one")


def test_a_jar_with_another_time_is_refused(pod: Pod, offered: bytes) -> None:
    os.utime(pod.home / "app.jar", (MTIME + 1, MTIME + 1))
    try:
        refused(pod, "classpath", "entry 1: archive")
    finally:
        pod.install()


def archive_file(pod: Pod) -> Path:
    (path,) = (path for path in (pod.dir / "archives").iterdir() if path.suffix in {".jsa", ".aot"})
    return path


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("touch", [False, True], ids=["", "and its old time"])
def test_a_flipped_byte_in_the_archive_at_hand_is_found_and_the_archive_is_fetched_again(
    pod: Pod, offered: bytes, touch: bool
) -> None:
    """The JVM itself would map it and run it. With the old mtime put back, the ctime still tells."""
    pod.fetch()
    path = archive_file(pod)
    before = path.stat()
    flip(path, before.st_size // 2)
    if touch:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    pod.server.asked.clear()
    assert pod.fetch().outcome == "hit"
    assert any("/archives/" in request for request in pod.server.paths())
    assert path.read_bytes() == offered


def test_a_flipped_byte_is_not_used_if_it_can_not_be_fetched_again(pod: Pod, offered: bytes) -> None:
    pod.fetch()
    flip(archive_file(pod), len(offered) // 2)
    pod.server.instead["archives"] = agent_server.unavailable
    refused(pod, "server", "the cache service answers 503: StoreUnavailable: come back")


@once
def test_a_byte_flipped_on_the_way_is_refused(pod: Pod, offered: bytes) -> None:
    key = pod.server.key
    pod.server.clear()
    pod.server.offer(key, offered, served=offered[:-1] + b"?", preflight=Preflight.WAIVED)
    refused(pod, "signature", "the archive's bytes are not those that were signed")
    assert list((pod.dir / "archives").iterdir()) == []


@once
def test_a_signature_of_a_key_that_is_not_trusted_is_refused(pod: Pod, offered: bytes) -> None:
    pod.server.signer = Signer((Ed25519PrivateKey.generate(),))  # what the pod trusts from here on
    refused(pod, "signature", "no trusted key")


@once
def test_a_signature_under_a_trusted_keys_name_is_verified(pod: Pod, offered: bytes) -> None:
    (name,) = pod.server.proposals[0]["signatures"]
    manifest = base64.b64decode(pod.server.proposals[0]["manifest"])
    for forged in (bytes(64), b"", b"x" * 63):
        pod.server.clear()
        pod.server.propose(seal(manifest, {name: forged}))
        refused(pod, "signature", "no trusted key")


@once
def test_a_manifest_that_was_changed_after_signing_is_refused(pod: Pod, offered: bytes) -> None:
    envelope = pod.server.proposals[0]
    manifest = base64.b64decode(envelope["manifest"]).replace(b'"required"', b'"waived"')
    pod.server.proposals = [envelope | {"manifest": base64.b64encode(manifest).decode()}]
    refused(pod, "signature", "no trusted key")


@once
def test_an_archive_of_another_group_is_refused(pod: Pod, offered: bytes) -> None:
    key = pod.server.key
    pod.server.clear()
    scope = replace(agent_server.LOCAL, group="payments")
    pod.server.offer(key, offered, scope=scope)
    refused(pod, "signature", "the manifest is of the group payments")


@pytest.mark.parametrize(
    "flag", ["-Xshare:auto", "-XX:SharedArchiveFile=/x", "-XX:AOTCache=/x", "-jar", "-javaagent:/x"]
)
def test_a_flag_that_no_archive_needs_is_refused_even_if_it_is_signed(
    pod: Pod, offered: bytes, flag: str
) -> None:
    """A CDS flag beside an AOT one, or an AOT one before 24, would end the application's JVM."""
    key = pod.server.key
    pod.server.clear()
    pod.server.offer(key, offered, flags=(flag,), preflight=Preflight.WAIVED)
    refused(pod, "signature", "the manifest wants what it must not")


def test_what_the_jvm_refuses_when_it_is_tried_is_not_used(pod: Pod, offered: bytes) -> None:
    key = pod.server.key
    pod.server.clear()
    digest = pod.server.offer(key, offered[: len(offered) // 2])
    refused(pod, "preflight", "the JVM refuses the archive")
    assert (pod.server.outcomes[-1]["outcome"], pod.server.outcomes[-1]["archive"]) == ("preflight", digest)


@once
@pytest.mark.parametrize(
    "text",
    [
        "",
        "not base64!\n",
        base64.b64encode(bytes(31)).decode(),
        (base64.b64encode(b"k" * 32).decode() + "\n") * 3,
    ],
)
def test_a_file_of_keys_that_has_none_is_named(pod: Pod, offered: bytes, tmp_path: Path, text: str) -> None:
    (tmp_path / "odd-keys").write_text(text)
    refused(pod, "signature", "odd-keys", "--keys", str(tmp_path / "odd-keys"))


LOOKUP_ANSWERS = {
    "no object": [],
    "an outcome that nobody knows": {"outcome": "great", "why": [], "proposals": []},
    "a hit without a proposal": {"outcome": "hit", "why": [], "proposals": [], "recorder": None},
    "proposals that are none": {"outcome": "hit", "why": [], "proposals": [{"manifest": 1}]},
    "too many proposals": {
        "outcome": "hit",
        "why": [],
        "proposals": [{"manifest": "", "signatures": {}}] * 4,
    },
    "a float": {"outcome": "missing", "why": [], "proposals": [], "new": 1.5},
    "a lease that would be a header": {
        "outcome": "learning",
        "why": [],
        "proposals": [],
        "recorder": {"lease": "a\r\nb", "form": "classlist", "settle": 1},
    },
}


@once
@pytest.mark.parametrize("answer", LOOKUP_ANSWERS.values(), ids=LOOKUP_ANSWERS)
def test_an_answer_that_makes_no_sense_is_named(pod: Pod, answer: object) -> None:
    pod.server.instead["lookup"] = agent_server.saying(answer)
    refused(pod, "server", "the cache service's answer makes no sense", "--record")


@once
def test_an_answer_nested_without_end_is_named(pod: Pod) -> None:
    pod.server.instead["lookup"] = lambda handler, _: handler.answer(200, b"[" * 40_000)
    refused(pod, "server", "nested too deeply")


@once
def test_a_token_that_the_service_does_not_take_is_named(pod: Pod) -> None:
    error = {"error": {"reason": "NoToken", "message": "who are you", "hint": "a token"}}
    pod.server.instead["lookup"] = lambda handler, _: handler.answer(401, json.dumps(error).encode())
    refused(pod, "server", "the cache service answers 401: NoToken: who are you")


@once
def test_a_token_that_is_missing_is_named(pod: Pod, tmp_path: Path) -> None:
    refused(pod, "off", "can't be read", "--token", str(tmp_path / "token"))


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=False)
    if os.geteuid() or done.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


@once
def test_a_full_disk_costs_the_archive_and_leaves_nothing_half_written(
    pod: Pod, offered: bytes, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small", "1m") as disk:
        pod.dir = disk / "run"
        refused(pod, "off", "No space left on device")
        assert list((pod.dir / "archives").iterdir()) == []


@once
def test_on_a_disk_that_is_full_already_the_options_file_is_empty_and_there(pod: Pod, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "64k") as disk:
        pod.dir = disk / "run"
        pod.dir.mkdir()
        (disk / "filler").write_bytes(bytes(60_000))
        done = pod.agent("fetch")
        assert done.returncode == 0
        assert (pod.dir / "java.opts").read_bytes() == b""
        assert pod.start() == ONE


COMMANDS = {
    "a script": (
        ["/bin/sh", "-c", "exec java -jar app.jar"],
        "the command begins with /bin/sh, not with java",
    ),
    "no command": ([], "no command was given"),
    "no such java": (["/nowhere/bin/java", "-jar", "app.jar"], "there is no program /nowhere/bin/java"),
    "nothing to start": (["{java}", "-Xmx64m"], "the command starts no program"),
    "a version": (["{java}", "-version", "-jar", "{jar}"], "with -version no program is started"),
    "an archive of its own": (
        ["{java}", "-XX:SharedArchiveFile=/x", "-jar", "{jar}"],
        "looks after its own archive",
    ),
    "no sharing": (["{java}", "-Xshare:off", "-jar", "{jar}"], "looks after its own archive: -Xshare:off"),
    "an AOT option": (["{java}", "-XX:AOTMode=off", "-jar", "{jar}"], "looks after its own archive"),
    "a recording of its own": (["{java}", "-XX:DumpLoadedClassList=/x", "-jar", "{jar}"], "its own archive"),
    "an argument file that is not there": (["{java}", "@/nowhere", "-jar", "{jar}"], "names @/nowhere"),
    "options that the JVM refuses": (
        ["{java}", "-XX:+NoSuch", "-jar", "{jar}"],
        "the JVM refuses the application's",
    ),
}


@once
@pytest.mark.parametrize(("command", "why"), COMMANDS.values(), ids=COMMANDS)
def test_a_command_for_which_nothing_can_be_done_is_off_with_words(
    pod: Pod, command: list[str], why: str
) -> None:
    words = [word.format(java=pod.jdk.java, jar=pod.home / "app.jar") for word in command]
    decision = pod.fetch(command=words)
    assert (decision.outcome, decision.options, decision.code) == ("off", "", 0)
    assert why in decision.why
    assert pod.server.lookups == []


CLASS_PATHS = {
    "a folder of classes": ("classes", "is a folder that is not empty"),
    "no jar": ("nothing.jar", "there is no jar on the class path"),
    "not a jar": ("text.jar", "not a whole ZIP file"),
    "half a jar": ("half.jar", "not a whole ZIP file"),
    "a jar without its end": ("endless.jar", "not a whole ZIP file"),
    "an empty file": ("empty.jar", "not a whole ZIP file"),
}


@once
@pytest.mark.parametrize(("entry", "why"), CLASS_PATHS.values(), ids=CLASS_PATHS)
def test_a_class_path_that_no_archive_can_have_is_named(
    pod: Pod, tmp_path: Path, entry: str, why: str
) -> None:
    (tmp_path / "classes").mkdir()
    (tmp_path / "classes/A.class").write_bytes(b"")
    (tmp_path / "text.jar").write_text("no jar at all\n" * 100)
    (tmp_path / "empty.jar").write_bytes(b"")
    whole = write_jar(tmp_path / "whole.jar", {f"a/{n}": b"x" * 100 for n in range(50)}).read_bytes()
    (tmp_path / "half.jar").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "endless.jar").write_bytes(whole[:-1])
    decision = pod.fetch(command=[str(pod.jdk.java), "-cp", str(tmp_path / entry), "app.Main"])
    assert (decision.outcome, decision.options, decision.code) == ("classpath", "", 0)
    assert why in decision.why


@once
@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--lookup-ms", "soon"), "--lookup-ms soon is no number"),
        (("--unheard-of",), "unknown option --unheard-of"),
        (("--server", "ftp://x"), "--server ftp://x is no address"),
    ],
)
def test_a_wrong_call_is_named_and_the_application_starts(
    pod: Pod, options: tuple[str, ...], why: str
) -> None:
    decision = pod.fetch(*options)
    assert (decision.outcome, decision.options, decision.code) == ("off", "", 0)
    assert f"Usage: {why}" in decision.why
    assert pod.start() == ONE


def test_an_agent_without_memory_ends_well(pod: Pod, offered: bytes) -> None:
    """Its own heap is too small for what it reads: an OutOfMemoryError is an outcome like any other."""
    big = {f"a/quite/long/name/of/a/class/in/a/package/Number{n}": b"" for n in range(60_000)}
    jar = write_jar(pod.dir.parent / "big.jar", big)
    pod.environment["JAVA_TOOL_OPTIONS"] = "-Xmx4m"
    command = [str(pod.jdk.java), "-cp", f"{jar}:{pod.home / 'app.jar'}", "app.Main"]
    decision = pod.fetch(command=command)
    assert (decision.outcome, decision.code, decision.options) == ("off", 0, "")
    assert "OutOfMemoryError" in decision.why


def settle(pod: Pod) -> None:
    """Waits until the jars are old enough to be noted: no program can make a file's ctime older."""
    newest = max(path.stat().st_ctime for path in pod.home.rglob("*.jar"))
    application.until(lambda: time.time() - newest > 2.1, 10, "the jars are settled")


def test_a_jar_that_an_earlier_run_took_note_of_is_read_again_once_it_was_changed(
    pod: Pod, offered: bytes
) -> None:
    settle(pod)
    assert pod.fetch().outcome == "hit"
    jar = str(pod.home / "lib/greeting.jar")
    assert jar in json.loads((pod.dir / "notes.json").read_text())["files"]
    pod.install("two")  # same size, same mtime, in place
    try:
        refused(pod, "classpath", jar, says=TWO)
    finally:
        pod.install("one")


@once
def test_a_verified_signature_counts_for_the_keys_that_verified_it_alone(pod: Pod, offered: bytes) -> None:
    assert pod.fetch().outcome == "hit"
    pod.server.signer = Signer((Ed25519PrivateKey.generate(),))
    refused(pod, "signature", "no trusted key")


@once
@pytest.mark.parametrize(
    "notes", ["", "{}", '{"files": [], "signed": 1}', "[" * 100, '{"files":{"x":[1,2]},"signed":[1]}']
)
def test_notes_that_make_no_sense_are_no_notes(pod: Pod, offered: bytes, notes: str) -> None:
    (pod.dir / "notes.json").write_text(notes)
    assert pod.fetch().outcome == "hit"

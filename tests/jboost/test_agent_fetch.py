"""`fetch`: a start gets an archive that fits, or none, and always an options file that works."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from jboost_server.core.manifest import Preflight
from jboost_server.signing import Signer
from tests.jboost import agent_server
from tests.jboost.agent_pod import Pod
from tests.jboost.agent_server import serving

pytestmark = pytest.mark.jvm
HELLO = "hello from one a,-b\n"
FIXED = "java.instrument,jdk.jfr,jdk.management.agent"
LEASE = {"lease": "1e" * 8, "form": "classlist", "settle": 60}


def test_an_archive_that_fits_is_fetched_tried_and_used(pod: Pod, offered: bytes) -> None:
    decision = pod.fetch()
    assert (decision.outcome, decision.code) == ("hit", 0), decision.said
    assert decision.report["archive"] in decision.options
    assert "preflight" in decision.report["ms"]
    assert pod.start() == HELLO
    assert pod.shared() == {"app.Main", "lib.Greeting"}


def test_an_archive_at_hand_is_not_fetched_again(pod: Pod, offered: bytes) -> None:
    pod.fetch()
    pod.server.asked.clear()
    assert pod.fetch().outcome == "hit"
    assert pod.server.paths() == ["/v1/lookup", "/v1/outcomes"]


def test_a_note_that_can_not_be_written_costs_a_little_time_and_no_archive(pod: Pod, offered: bytes) -> None:
    (digest,) = pod.server.archives
    name = f"{digest}.{'aot' if pod.jdk.feature >= 24 else 'jsa'}.verified"
    (pod.dir / "archives" / name).mkdir(parents=True)
    assert pod.fetch().outcome == "hit"
    pod.server.asked.clear()
    assert pod.fetch().outcome == "hit"
    assert pod.server.paths() == ["/v1/lookup", "/v1/outcomes"]  # hashed again, and not fetched


def test_an_archive_that_changes_while_it_is_hashed_is_not_at_hand(pod: Pod, offered: bytes) -> None:
    """Whoever writes to it may have written behind the place that was being read."""
    assert pod.fetch().outcome == "hit"
    (archive,) = (path for path in (pod.dir / "archives").iterdir() if path.suffix in {".jsa", ".aot"})
    pod.server.asked.clear()
    with touching(archive):
        assert pod.fetch().outcome == "hit"
    assert any("/archives/" in path for path in pod.server.paths())


@contextmanager
def touching(path: Path) -> Iterator[None]:
    """Somebody changes a file's state, and none of its bytes, again and again."""
    over = threading.Event()

    def touch() -> None:
        while not over.wait(0.001):
            os.utime(path)

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_service_that_signed_it_waives_the_preflight(pod: Pod, offered: bytes) -> None:
    pod.server.clear()
    pod.server.offer(pod.server.key, offered, preflight=Preflight.WAIVED)
    decision = pod.fetch()
    assert decision.outcome == "hit"
    assert "preflight" not in decision.report["ms"]
    assert pod.shared() == {"app.Main", "lib.Greeting"}


def test_the_service_hears_how_it_ended(pod: Pod, offered: bytes) -> None:
    decision = pod.fetch()
    said = pod.server.outcomes[-1]
    assert (said["group"], said["key"]) == (agent_server.GROUP, pod.server.key.digest)
    assert (said["outcome"], said["archive"]) == ("hit", decision.report["archive"])
    assert 0 < said["ms"]["total"] <= decision.report["ms"]["total"] + 10_000


def test_without_an_archive_the_start_is_plain_and_has_the_services_reason(pod: Pod) -> None:
    decision = pod.fetch()
    assert (decision.outcome, decision.why) == ("missing", "no archive for local/orders yet")
    assert decision.options == ""
    assert pod.start() == HELLO


def test_the_second_proposal_is_taken_if_the_first_is_no_good(pod: Pod, offered: bytes) -> None:
    key = pod.server.key
    pod.server.clear()
    pod.server.offer(key, b"no archive at all" * 1000)
    good = pod.server.offer(key, offered)
    decision = pod.fetch()
    assert (decision.outcome, decision.report["archive"]) == ("hit", good)
    assert pod.shared() == {"app.Main", "lib.Greeting"}


def test_either_of_two_keys_is_believed_while_keys_rotate(pod: Pod, offered: bytes) -> None:
    old, new = pod.server.signer, Signer((Ed25519PrivateKey.generate(),))
    pod.server.signer = Signer(
        (*new.keys, *old.keys)
    )  # what the pod has; the archive is signed with the old one
    assert pod.fetch().outcome == "hit"


def test_a_body_in_chunks_is_taken(pod: Pod, offered: bytes) -> None:
    pod.server.instead["archives"] = agent_server.chunked
    assert pod.fetch().outcome == "hit"


def test_a_redirect_is_followed_and_the_token_stays_here(pod: Pod, offered: bytes, tmp_path) -> None:
    (tmp_path / "token").write_text("a-secret\n")
    with serving(archives=pod.server.archives) as elsewhere:
        digest = next(iter(pod.server.archives))
        pod.server.instead["archives"] = agent_server.redirect(f"{elsewhere.url}/presigned/{digest}")
        assert pod.fetch("--token", str(tmp_path / "token")).outcome == "hit"
        (theirs,) = elsewhere.asked
    assert "Authorization" not in theirs[2]
    ours = {headers.get("Authorization") for _, _, headers in pod.server.asked[-3:]}
    assert ours == {"Bearer a-secret"}


def test_a_lease_makes_the_start_a_recorder(pod: Pod, tmp_path) -> None:
    aot = pod.jdk.feature >= 24
    pod.server.recorder = LEASE | {"form": "aot" if aot else "classlist"}
    decision = pod.fetch("--record")
    assert decision.outcome == "learning"
    wanted = {"lease": LEASE["lease"], "settle": 60, "form": "aot" if aot else "classlist"}
    assert {name: decision.report[name] for name in wanted} == wanted
    assert pod.server.lookups[-1]["record"] is True
    assert pod.start() == HELLO
    recording = pod.dir / ("recording.aotconf" if aot else "recording.lst")
    assert recording.stat().st_size > 0
    assert b"app/Main" in recording.read_bytes()


def test_who_was_not_asked_to_record_does_not(pod: Pod) -> None:
    pod.server.recorder = LEASE
    decision = pod.fetch()
    assert decision.report["lease"] is None
    assert decision.options == ""


def test_a_recording_that_this_jdk_can_not_write_is_not_begun(pod: Pod) -> None:
    pod.server.recorder = LEASE | {"form": "classlist" if pod.jdk.feature >= 24 else "aot"}
    decision = pod.fetch("--record")
    assert (decision.outcome, decision.options) == ("server", "")
    assert pod.start() == HELLO


ADDED = {
    "JMX": "-Dcom.sun.management.jmxremote",
    "JFR": "-XX:StartFlightRecording:filename={flight}",
    "a Java agent": "-javaagent:{agent}",
}


@pytest.mark.parametrize("added", ADDED.values(), ids=ADDED)
def test_an_agent_jmx_or_jfr_that_is_added_at_run_time_keeps_the_archive(
    pod: Pod, offered: bytes, javaagent: Path, tmp_path: Path, added: str
) -> None:
    """The modules that they bring are in every cache of ours; while it is tried none of them acts."""
    with_it = replace(pod, flags=(added.format(agent=javaagent, flight=tmp_path / "flight.jfr"),))
    assert with_it.fetch().outcome == "hit"
    assert not (tmp_path / "flight.jfr").exists()
    assert with_it.shared() == {"app.Main", "lib.Greeting"}
    assert (tmp_path / "flight.jfr").exists() == ("Flight" in added)
    if "javaagent" in added:
        assert with_it.start() == f"the agent is here\n{HELLO}"


def test_opened_packages_keep_the_archive_or_miss_it_with_a_reason_of_their_own(
    pod: Pod, offered: bytes
) -> None:
    """From 24 on the JVM drops a whole cache for them."""
    opened = replace(pod, flags=("--add-opens=java.base/java.lang=ALL-UNNAMED",))
    decision = opened.fetch()
    assert opened.start() == HELLO
    if pod.jdk.feature >= 24:
        assert (decision.outcome, decision.options) == ("module-opts", "")
        assert "archive has 0 entries, pod 1" in decision.why
    else:
        assert decision.outcome == "hit"
        assert opened.shared() == {"app.Main", "lib.Greeting"}


@pytest.fixture(scope="session")
def javaagent(tmp_path_factory: pytest.TempPathFactory, jdk17: Path) -> Path:
    """A Java agent in the way of a monitoring tool's: it looks at every class that is loaded."""
    folder = tmp_path_factory.mktemp("javaagent")
    (folder / "Watch.java").write_text(_JAVAAGENT)
    (folder / "manifest").write_text("Premain-Class: Watch\n")
    subprocess.run([jdk17 / "bin/javac", "--release", "17", folder / "Watch.java"], check=True)
    words = ["--create", "--file", folder / "javaagent.jar", "--manifest", folder / "manifest"]
    classes = [word for path in folder.glob("*.class") for word in ("-C", folder, path.name)]
    subprocess.run([jdk17 / "bin/jar", *words, *classes], check=True)
    return folder / "javaagent.jar"


_JAVAAGENT = """
import java.lang.instrument.*; import java.security.ProtectionDomain;
public final class Watch implements ClassFileTransformer {
  public static void premain(String words, Instrumentation jvm) {
    jvm.addTransformer(new Watch());
    System.out.println("the agent is here");
  }
  public byte[] transform(ClassLoader loader, String name, Class<?> old, ProtectionDomain from, byte[] b) {
    return null;
  }
}
"""


def test_no_machine_code_for_one_cpu_is_in_a_cache_or_run_from_it(pod: Pod, offered: bytes) -> None:
    """JDK-8388703: a cache's adapters are used on a CPU that may lack their instructions: SIGILL."""
    off = {"-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTAdapterCaching"}
    wanted = off if pod.jdk.feature >= 24 else set()
    assert pod.fetch().outcome == "hit"
    assert off & set(json.loads((pod.dir / "report.json").read_text())["flags"]) == wanted
    pod.server.clear()
    pod.server.recorder = LEASE | {"form": "aot" if pod.jdk.feature >= 24 else "classlist"}
    recording = pod.fetch("--record")
    assert recording.outcome == "learning"
    assert {line.strip('"') for line in recording.options.splitlines()} & off == wanted


def test_a_refused_archive_costs_nothing_of_the_jdks_own(pod: Pod, offered: bytes) -> None:
    """A JVM that is given an archive that it refuses starts without its default one, at half the speed."""
    key = pod.server.key
    pod.server.clear()
    pod.server.offer(key, offered[: len(offered) // 2])
    assert pod.fetch().outcome == "preflight"
    assert "java.lang.Object" in pod.shared("java.lang.Object")
    assert pod.shared() == set()


def test_the_images_own_options_stand_first_with_their_files_expanded(
    pod: Pod, offered: bytes, tmp_path
) -> None:
    (tmp_path / "opts").write_text("-Dfrom.file='two words' # a comment\n\"-Dsecond=back\\\\slash\"\n")
    pod.environment["JDK_JAVA_OPTIONS"] = f"-Dfirst=1 @{tmp_path / 'opts'} -Dlast=3"
    decision = pod.fetch()
    assert decision.outcome == "hit"
    own = decision.options.splitlines()[:4]
    assert own == ['"-Dfirst=1"', '"-Dfrom.file=two words"', '"-Dsecond=back\\\\slash"', '"-Dlast=3"']
    assert pod.start() == HELLO


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_the_images_own_options_keep_each_of_their_bytes(
    pod: Pod, offered: bytes, tmp_path: Path, locale: str
) -> None:
    """Whatever the locale: in one that has no such letter Java would read, and write, question marks."""
    (tmp_path / "opts").write_bytes(b"-Dlatin.file=caf\xe9 -Dutf.file=caf\xc3\xa9\n")
    own = b"-Dlatin=caf\xe9 -Dutf=caf\xc3\xa9 @" + os.fsencode(tmp_path / "opts")
    pod.environment |= {"LC_ALL": locale, "JDK_JAVA_OPTIONS": os.fsdecode(own)}
    decision = pod.fetch()
    assert decision.outcome == "hit"
    names = {b"latin": b"caf\xe9", b"utf": b"caf\xc3\xa9"}
    wanted = [
        b'"-D%s%s=%s"' % (name, where, text) for where in (b"", b".file") for name, text in names.items()
    ]
    assert (pod.dir / "java.opts").read_bytes().splitlines()[:4] == wanted
    assert pod.start() == HELLO


def test_a_file_of_options_whose_name_the_locale_lacks_is_left_to_the_jvm(pod: Pod, tmp_path: Path) -> None:
    """Launchers open it by its bytes; Java has no name for it in this locale and can't look inside."""
    later = tmp_path / "caf\u00e9.opts"
    later.write_text("-Dfrom.file=1\n")
    pod.environment |= {"LC_ALL": "C", "JDK_JAVA_OPTIONS": f"@{later}"}
    decision = pod.fetch()
    assert (decision.outcome, decision.code) == ("off", 0)
    assert decision.options == f'"-XX:VMOptionsFile={later}"\n'
    assert pod.start() == HELLO


def test_the_options_file_of_the_agent_itself_is_not_the_images(pod: Pod, offered: bytes) -> None:
    """A second `fetch` in an environment that names our file does not take its own flags for the image's."""
    first = pod.fetch()
    pod.environment["JDK_JAVA_OPTIONS"] = f"@{pod.dir / 'java.opts'}"
    (pod.dir / "java.opts").write_text("")
    second = pod.fetch()
    assert (second.outcome, second.options) == ("hit", first.options)


def test_a_folder_with_a_blank_in_its_name_serves_as_well(pod: Pod, trained, tmp_path) -> None:
    pod.dir = tmp_path / 'a folder "name"'
    data = trained(pod)
    pod.server.offer(pod.key(), data)
    assert pod.fetch().outcome == "hit"
    assert pod.shared() == {"app.Main", "lib.Greeting"}


@pytest.mark.parametrize("own", [(), ("-Xlog:gc:file=gc.log",)], ids=["no log", "its own log"])
def test_what_the_jvm_says_about_archives_does_not_reach_stdout(pod: Pod, offered: bytes, own) -> None:
    """An archive that is spoilt between fetch and start: the JVM complains, and stdout stays clean."""
    pod.flags = own
    decision = pod.fetch()
    assert decision.outcome == "hit"
    for path in (pod.dir / "archives").glob(f"{decision.report['archive']}.[ja]*"):
        os.truncate(path, 100)
    assert pod.start() == HELLO
    if own:
        assert "Using" in (pod.home / "gc.log").read_text()  # ours did not end the application's own log


def test_doctor_explains_and_writes_nothing(pod: Pod, offered: bytes) -> None:
    before = sorted(path.name for path in pod.dir.iterdir())
    done = pod.agent("doctor", "--output", "json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["outcome"]) == (0, "hit")
    assert "not here yet" in " ".join(step["words"] for step in told["steps"])
    assert told["keyTree"]["jvm"]["feature"] == pod.jdk.feature
    assert sorted(path.name for path in pod.dir.iterdir()) == before
    assert pod.server.lookups[-1]["record"] is False


def test_doctor_tries_an_archive_at_hand_and_says_what_to_do_next(pod: Pod, offered: bytes) -> None:
    pod.fetch()
    text = pod.agent("doctor").stdout
    assert "ok  preflight: the JVM accepts the archive" in text
    assert "next: nothing" in text
    pod.server.clear()
    assert "next: start a few pods with --record" in pod.agent("doctor").stdout


def test_what_a_start_got_stands_where_kubernetes_shows_it(pod, offered, tmp_path):
    """The file is the kubelet's: where there is none, none is made."""
    log = tmp_path / "termination-log"
    assert pod.fetch("--termination-log", str(log)).outcome == "hit"
    assert not log.exists()

    log.touch()
    report = pod.fetch("--termination-log", str(log)).report

    assert json.loads(log.read_text()) == {name: report[name] for name in ("archive", "key", "outcome")}
    assert report["outcome"] == "hit"


def test_a_termination_log_that_can_not_be_written_costs_no_start(pod, offered, tmp_path):
    assert pod.fetch("--termination-log", "/proc/version").outcome == "hit"

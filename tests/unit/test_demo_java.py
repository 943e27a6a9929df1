"""What the demo does to jars and archives is what it says; its table shows what was seen."""

from __future__ import annotations

import io
import mmap
import os
import zipfile
from types import SimpleNamespace

import pytest
from rich.console import Console

from testbed.apps import spring
from testbed.demo.java import show
from testbed.demo.java.bed import read_entries, write_stored
from testbed.demo.java.pod import Pod, Service
from testbed.demo.java.story import CHANGED, NEEDLE, JavaSummary, Start, brief, change, flip, has_mapped
from testbed.demo.reporter import Reporter
from testbed.demo.verdict import Finding
from testbed.setup.jdk import Jdk
from warmroot.errors import ProgramDied, StepFailed


@pytest.fixture
def jar(tmp_path):
    path = tmp_path / "app.jar"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n" * 50)
        file.writestr("Stock.class", b"\xca\xfe" + NEEDLE + b"\0" * 100)
    return path


def test_a_stored_jar_has_the_same_entries_in_their_order(jar):
    entries = read_entries(jar)
    write_stored(jar, entries)
    with zipfile.ZipFile(jar) as file:
        assert [(one.filename, file.read(one)) for one in file.infolist()] == [
            (one.filename, content) for one, content in entries
        ]
        assert {one.compress_type for one in file.infolist()} == {zipfile.ZIP_STORED}


def test_a_changed_jar_keeps_size_and_time_and_has_other_content(jar):
    write_stored(jar, read_entries(jar))
    os.utime(jar, (1_735_689_600, 1_735_689_600))
    before = jar.stat()
    change(jar)
    after = jar.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    content = zipfile.ZipFile(jar).read("Stock.class")
    assert CHANGED in content and NEEDLE not in content


def test_a_jar_without_the_constant_is_not_called_changed(jar):
    write_stored(jar, [(one, content.replace(NEEDLE, b"")) for one, content in read_entries(jar)])
    with pytest.raises(StepFailed, match="could not be changed"):
        change(jar)


def test_one_bit_is_flipped_and_nothing_else(tmp_path):
    path = tmp_path / "archive"
    path.write_bytes(bytes(1000))
    flip(path)
    content = path.read_bytes()
    assert len(content) == 1000
    assert sum(byte.bit_count() for byte in content) == 1


def test_an_archive_is_mapped_only_where_the_process_maps_that_very_file(tmp_path):
    digest = "ab" * 32
    myself = SimpleNamespace(process=SimpleNamespace(pid=os.getpid()))
    path = tmp_path / f"{digest}.jsa"
    path.write_bytes(bytes(4096))
    assert not has_mapped(myself, digest)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ):
        assert has_mapped(myself, digest)
        assert not has_mapped(myself, "cd" * 32)
        assert not has_mapped(myself, "")


def builder(tmp_path, monkeypatch, *runs):
    """A pod whose builder ends as told, run by run: with this code and this last line."""
    application, jdk, service = spring.PAGES.application(tmp_path), Jdk(tmp_path, "17"), Service("", tmp_path)
    pod = Pod(application, jdk, "", tmp_path, service, tmp_path)
    left, samples = list(runs), []

    def words(*arguments, command=True):
        del command
        return [*map(str, arguments)]

    def run(arguments, patience, log):
        del patience
        samples.append(int(arguments[arguments.index("--samples") + 1]))
        code, line = left.pop(0)
        (tmp_path / log).write_text(f"jboost build: {line}\n")
        return code

    monkeypatch.setattr(pod, "_words", words)
    monkeypatch.setattr(pod, "_run", run)
    return pod, samples


def test_a_measurement_that_told_nothing_is_made_again_with_more_starts(tmp_path, monkeypatch):
    noisy, served = (1, "refused: gain 30 %: measure more starts"), (0, "serving: gain 33 %")
    pod, samples = builder(tmp_path, monkeypatch, noisy, served)
    assert pod.build(5) == ["jboost build: serving: gain 33 %"]
    assert samples == [5, 10]


def test_an_archive_that_is_refused_for_good_is_told_in_the_builders_words(tmp_path, monkeypatch):
    """Asked again, the service has nothing to build, which explains nothing."""
    refused, nothing = (1, "refused: gain 3 %: 10 % are wanted"), (0, "nothing to build for this key")
    pod, _ = builder(tmp_path, monkeypatch, refused, nothing)
    with pytest.raises(ProgramDied, match="gain 3 %"):
        pod.build(5)


def test_a_reason_shows_the_beginning_of_a_digest():
    assert brief(f"archive {'ab' * 32}, pod {'cd' * 20}") == "archive abababababab…, pod cdcdcdcdcdcd…"
    assert brief("10 % are wanted") == "10 % are wanted"


def test_the_table_shows_ratio_outcome_and_reason():
    summary = JavaSummary(
        starts=[Start("JDK 17.0.1", "after training", "hit", plain=4.0, warm=2.0, fetch=0.25)],
        refusals=[Start("JDK 17.0.1", "a changed jar", "classpath", "fingerprint", plain=4.1, fetch=0.1)],
    )
    console = Console(width=200, record=True, file=io.StringIO())
    show.show(summary, console)
    lines = console.export_text().splitlines()
    assert any("17.0.1" in line and "2.00 s" in line and " 2.00 " in line and "hit" in line for line in lines)
    assert any("classpath: fingerprint" in line and "4.10 s" in line for line in lines)


def test_the_demo_shows_where_its_time_went():
    console = Console(width=200, record=True, file=io.StringIO())
    reporter = Reporter(console)
    for name in ("builds", "measures"):
        with reporter.phase(name):
            pass
    console.export_text()
    reporter.show_phases()
    rows = [line.split("│") for line in console.export_text().splitlines() if line.startswith("│")]
    assert [row[1].strip() for row in rows] == ["builds", "measures", "all of it"]
    assert all(float(row[2]) < 5 for row in rows)


@pytest.mark.parametrize(("holds", "all_hold"), [((True, True), True), ((True, False), False), ((), False)])
def test_a_summary_holds_if_it_claims_something_and_all_of_it_is_true(holds, all_hold):
    summary = JavaSummary(findings=[Finding(one, "a claim") for one in holds])
    assert summary.wire()["holds"] is all_hold

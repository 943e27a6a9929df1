"""What the demo does to jars and archives is what it says; its table shows what was seen."""

from __future__ import annotations

import io
import mmap
import os
import zipfile
from types import SimpleNamespace

import pytest
from rich.console import Console

from testbed.demo.java import show
from testbed.demo.java.bed import read_entries, write_stored
from testbed.demo.java.story import CHANGED, NEEDLE, JavaSummary, Start, change, flip, has_mapped
from testbed.demo.reporter import Reporter
from testbed.demo.verdict import Finding
from warmroot.errors import StepFailed


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

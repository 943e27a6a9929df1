"""The first pods learn in a process of their own: what fails there is told, and nothing of it is left."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.demo.java.bed import JavaBed
from testbed.demo.java.learning import Learning
from tests.waiting import until
from warmroot.errors import ProgramDied

pytestmark = [pytest.mark.jvm, pytest.mark.timeout(600)]


@pytest.fixture
def bed(java, tmp_path):
    java.applications()
    with JavaBed(tmp_path) as bed:
        yield bed


def applications(folder: Path) -> list[Path]:
    """Processes that run the application of this demo."""
    jar = f"\0-jar\0{folder / 'app'}/".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if jar in path.read_bytes():
                found.append(path.parent)
        except OSError:
            continue  # it has just ended
    return found


def test_what_fails_beside_is_told_with_its_reason(bed, java):
    broken = replace(bed.ground, agent=bed.ground.folder / "no-such.jar")
    with Learning(broken, [java.jdk(17)]) as learning, pytest.raises(ProgramDied, match="ended with code 1"):
        learning.result()


def test_who_leaves_early_waits_for_no_recording_and_leaves_no_process(bed, java):
    folder = bed.ground.folder
    with Learning(bed.ground, [java.jdk(17)]):
        until(lambda: bool(applications(folder)), 60, what="the first pod starts")
        left = time.monotonic()
    assert time.monotonic() - left < 10
    until(lambda: not applications(folder), 5, what="what was killed is gone")


def test_a_process_that_was_killed_is_not_waited_for_and_leaves_no_process(bed, java):
    folder = bed.ground.folder
    with Learning(bed.ground, [java.jdk(17)]) as learning:
        until(lambda: bool(applications(folder)), 60, what="the first pod starts")
        os.kill(learning.pid, 9)
        with pytest.raises(ProgramDied, match="without a word"):
            learning.result()
    until(lambda: not applications(folder), 5, what="what was killed is gone")

"""The jar on a Java that is too old for the agent: no pod fails to start for it."""

from __future__ import annotations

import re
import struct
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jboost_agent.build import OLD_RELEASE, agent_jar
from tests.jboost.agent_driver import Driver, driving
from tests.jboost.agent_pod import Pod

pytestmark = pytest.mark.jvm
BEGINNING = ("Start", "Words")
"""The classes that a Java before 17 reads."""


@pytest.fixture(scope="module")
def driver(tmp_path_factory, jdk17) -> Iterator[Driver]:
    with driving(tmp_path_factory.mktemp("driver"), jdk17) as driver:
        yield driver


def test_what_an_old_java_reads_of_the_jar_is_made_for_it():
    """A class file of a later Java ends with an error, and an init container with it."""
    with zipfile.ZipFile(agent_jar()) as jar:
        manifest = jar.read("META-INF/MANIFEST.MF").decode()
        classes = {name: jar.read(f"io/warmroot/jboost/{name}.class") for name in BEGINNING}

    assert "Main-Class: io.warmroot.jboost.Start" in manifest
    for name, data in classes.items():
        assert struct.unpack(">H", data[6:8]) == (44 + OLD_RELEASE,), name
    ours = set(re.findall(rb"io/warmroot/jboost/(\w+)", b"".join(classes.values())))
    assert ours == {b"Start", b"Words", b"Main"}  # Main is read where Java is new enough, and there alone


def settings(pod: Pod) -> set[str]:
    """System properties of a JVM that reads the file as the application's does."""
    done = subprocess.run(
        [pod.jdk.java, "-XshowSettings:properties", "-version"],
        env=pod.environ(JDK_JAVA_OPTIONS=f"@{pod.dir / 'java.opts'}"),
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.strip() for line in done.stderr.splitlines()}


@pytest.mark.parametrize("version", ["1.8", "9", "11", "16"])
def test_a_start_on_an_old_java_is_off_and_its_options_file_is_empty(pod: Pod, driver: Driver, version: str):
    words = ["fetch", "--server", "x", "--dir", str(pod.dir), "--", "java"]

    assert driver("off", version=version, words=words, image=None) == [True, 0]

    assert (pod.dir / "java.opts").read_text() == ""
    assert settings(pod)


@pytest.mark.parametrize("version", ["17", "21", "25", "100"])
def test_later_ones_are_not_too_old(driver: Driver, version: str):
    assert driver("off", version=version, words=[], image=None) == [False, 1]


def test_the_images_own_options_are_in_the_file_that_it_leaves(pod: Pod, driver: Driver, tmp_path: Path):
    (tmp_path / "more").write_text("-Dfrom.file=1\n# a comment\n'-Dquoted=a b'")
    image = rf'-Dfirst=1 "-Dblank=a b" -Dback=\n @{tmp_path / "more"} -Dlast=2'

    assert driver("off", version="11", words=["fetch", "--dir", str(pod.dir)], image=image) == [True, 0]

    assert settings(pod) >= {
        "first = 1", "blank = a b", r"back = \n", "from.file = 1", "quoted = a b", "last = 2",
    }  # fmt: skip


def test_what_can_not_be_written_keeps_no_old_java_from_starting(pod: Pod, driver: Driver, tmp_path: Path):
    pod.dir.write_text("a file where the folder should be")

    assert driver("off", version="1.8", words=["fetch", "--dir", str(pod.dir)], image=None) == [True, 0]


def test_other_verbs_say_that_nothing_was_done(pod: Pod, driver: Driver):
    assert driver("off", version="11", words=["build", "--dir", str(pod.dir)], image=None) == [True, 1]
    assert not pod.dir.exists()


def test_only_what_stands_before_the_command_is_an_option(driver: Driver, tmp_path: Path):
    words = ["fetch", "--server", "x", "--", "--dir", str(tmp_path / "run")]

    assert driver("off", version="11", words=words, image=None) == [True, 0]
    assert not (tmp_path / "run").exists()

"""JDKs are found where machines have them, by what their release file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from images.debian import packages
from testbed.setup import jdk, newer_debian
from testbed.setup.jdk_install import RUNTIMES


def make(home: Path, version: str, *programs: str) -> Path:
    (home / "bin").mkdir(parents=True)
    (home / "release").write_text(f'IMPLEMENTOR="Somebody"\nJAVA_VERSION="{version}"\n')
    for name in ("java", *programs):
        (home / "bin" / name).touch(mode=0o755)
    return home


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without any Java, but for what a test puts below `system`."""
    monkeypatch.setattr(jdk, "SYSTEM", tmp_path / "system")
    (tmp_path / "system").mkdir()
    return tmp_path


def find(machine: Path, feature: int, environ: dict[str, str] | None = None, *, compiler: bool = False):
    path = {"PATH": str(machine / "nothing")}
    return jdk.find(feature, compiler=compiler, cache=machine / "cache", environ=path | (environ or {}))


@pytest.mark.parametrize(
    ("version", "feature"), [("17.0.15", 17), ("25", 25), ("25.0.3", 25), ("26-ea", 26), ("21+35", 21)]
)
def test_the_release_file_tells_the_feature_version(machine, version, feature):
    home = make(machine / "system" / "any-name", version)
    assert find(machine, feature) == jdk.Jdk(home, version)


def test_a_version_that_is_not_there_is_none(machine):
    make(machine / "system" / "a", "17.0.1")
    assert find(machine, 25) is None


def test_java_home_counts_before_path_and_path_before_the_system_and_that_before_the_cache(machine):
    homes = [make(machine / name, f"25.0.{number}") for number, name in enumerate("abcd")]
    chosen = {"JAVA_HOME": str(homes[0])}
    on_path = {"PATH": str(homes[1] / "bin")}
    (machine / "system" / "c").symlink_to(homes[2])
    (machine / "cache" / "jdk").mkdir(parents=True)
    jdk.cached(25, machine / "cache").symlink_to(homes[3])
    assert find(machine, 25, chosen | on_path).home == homes[0]
    assert find(machine, 25, on_path).home == homes[1]
    assert find(machine, 25).home == homes[2]
    (machine / "system" / "c").unlink()
    assert find(machine, 25).home == homes[3]


def test_who_wants_to_compile_gets_no_bare_runtime(machine):
    make(machine / "system" / "a", "17.0.1")
    whole = make(machine / "system" / "b", "17.0.2", "javac")
    assert find(machine, 17, compiler=True).home == whole


def test_a_folder_without_launcher_or_version_is_no_jdk(machine):
    (make(machine / "system" / "a", "17.0.1") / "bin" / "java").unlink()
    make(machine / "system" / "b", "x")
    assert find(machine, 17) is None


def test_absolute_links_of_a_package_stay_inside_of_its_tree(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "net.properties").write_text("here")
    (tmp_path / "usr").mkdir()
    link, dangling = tmp_path / "usr" / "net.properties", tmp_path / "usr" / "cacerts"
    link.symlink_to("/etc/net.properties")
    dangling.symlink_to("/etc/no/such/file")
    packages.keep_links_inside(tmp_path)
    assert (link.readlink(), link.read_text()) == (Path("../etc/net.properties"), "here")
    assert dangling.readlink() == Path("/etc/no/such/file")


def test_only_machine_code_is_pointed_at_another_c_library(tmp_path):
    for name, start in (("java", b"\x7fELF"), ("libjvm.so", b"\x7fELF"), ("script", b"#!/bin/sh\n")):
        (tmp_path / name).write_bytes(start)
        (tmp_path / name).chmod(0o755)
    assert [path.name for path in newer_debian.executables(tmp_path)] == ["java"]


@pytest.mark.jvm
def test_what_set_up_added_runs_with_its_default_archive(java):
    for runtime in RUNTIMES:
        text = java.output(runtime.feature, "-Xshare:on", "-version")
        assert text.splitlines()[-1].endswith("sharing)")


@pytest.mark.jvm
def test_the_other_build_is_another_build_of_25(java):
    other = java.other_build()
    assert other.feature == 25
    assert other.version != java.jdk(25).version

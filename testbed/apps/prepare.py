"""All applications of a tier, built and fetched into the cache."""

from __future__ import annotations

import shutil
from pathlib import Path

from testbed.apps import foreign, spring
from testbed.setup import jdk
from testbed.setup.debian import Tier
from testbed.setup.progress import Progress
from warmroot.errors import NotInstalled

FEATURE = 17
"""What applications are compiled for, and with."""


def missing(tier: Tier, cache: Path) -> tuple[str, ...]:
    """Names of a tier's applications that are not in the cache."""
    names = [f"our service '{one.name}'" for one in _services(tier) if not one.files(cache).exists()]
    if tier >= Tier.TEST:
        there = {make(cache).name: make(cache).jar().exists() for make in foreign.APPLICATIONS.values()}
        there["opentelemetry-javaagent"] = foreign.opentelemetry(cache).exists()
        names += [name for name, exists in there.items() if not exists]
    return tuple(names)


def lacking() -> str:
    """Why applications can't be had on this machine; empty if they can."""
    if shutil.which("mvn") is None:
        return "Maven is not installed"
    return "" if jdk.find(FEATURE, compiler=True) else f"no JDK {FEATURE} with a compiler"


def prepare(tier: Tier, cache: Path, progress: Progress) -> None:
    """Builds and fetches what is missing.

    Raises:
        NotInstalled: there is no Maven or no compiler.
        StepFailed: Maven could not have a package, or a build failed.
    """
    compiler = jdk.find(FEATURE, compiler=True, cache=cache)
    if compiler is None:
        raise NotInstalled(lacking())
    for one in _services(tier):
        one.build(compiler, cache, progress)
    if tier >= Tier.TEST:
        foreign.fetch(compiler, cache, progress)


def _services(tier: Tier) -> tuple[spring.Project, ...]:
    if tier < Tier.DEMO:
        return ()
    return spring.SERVICES if tier >= Tier.TEST else (spring.PAGES,)

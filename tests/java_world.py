"""JDKs and applications for tests. What is missing skips the test with its reason, and is an error in CI."""

from __future__ import annotations

import os
import subprocess

import pytest

from testbed.apps import foreign, prepare, spring
from testbed.apps.application import Application
from testbed.apps.running import plain_environment
from testbed.setup import jdk
from testbed.setup.debian import Tier
from testbed.setup.jdk import Jdk
from warmroot.cache import cache_dir


class Java:
    """What `make setup` put here, or a skipped test."""

    def jdk(self, feature: int, *, compiler: bool = False) -> Jdk:
        found = jdk.find(feature, compiler=compiler)
        return found or _lacks(f"Java {feature} is not installed (run `make setup`)")

    def other_build(self) -> Jdk:
        return jdk.other_build() or _lacks("the other build of Java 25 is not installed (run `make setup`)")

    def output(self, feature: int, *words: str) -> str:
        """Standard output and error of `java <words>`."""
        command = [self.jdk(feature).java, *words]
        return subprocess.run(
            command, env=plain_environment(), check=True, text=True, stdout=-1, stderr=subprocess.STDOUT
        ).stdout

    def applications(self) -> tuple[Application, ...]:
        """Ours and the foreign servers."""
        if missing := prepare.missing(Tier.TEST, cache_dir()):
            _lacks(f"not built or fetched: {', '.join(missing)} (run `make setup`)")
        foreigners = [make(cache_dir()) for make in foreign.APPLICATIONS.values()]
        return (*(one.application(cache_dir()) for one in spring.SERVICES), *foreigners)


def _lacks(reason: str):
    if "CI" in os.environ:
        pytest.fail(f"CI runs every tier: {reason}")
    pytest.skip(reason)

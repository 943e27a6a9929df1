"""Our Spring Boot services below tests/apps, each built once for each state of its sources."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testbed.apps.application import Application, Layout, Maker, Request
from testbed.apps.maven import run_maven
from testbed.setup.jdk import Jdk
from testbed.setup.process import run
from testbed.setup.progress import Progress
from testbed.setup.repository import REPOSITORY
from warmroot.cache import locked

SOURCES = REPOSITORY / "tests" / "apps"
EXTRACTED_AT = 1_735_689_600
"""Extraction gives app.jar the time of the day, and JDK 17 refuses an archive whose jar has another time."""


@dataclass(frozen=True)
class Project:
    """One service's Maven project; `name` is its folder's below tests/apps."""

    name: str
    requests: tuple[Maker, ...]

    @property
    def source(self) -> Path:
        """Its folder."""
        return SOURCES / self.name

    def files(self, cache: Path) -> Path:
        """The folder of this state of the sources; it may not exist yet."""
        digest = hashlib.sha256()
        for path in sorted(self.source.rglob("*")):
            if path.is_file():
                digest.update(f"{path.relative_to(self.source)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        return cache / "apps" / f"{self.name}-{digest.hexdigest()[:16]}"

    def application(self, cache: Path) -> Application:
        """The application as `build` left it."""
        home = self.files(cache)
        return Application(
            name=self.name,
            jars={Layout.FAT: home / "app.jar", Layout.EXTRACTED: home / "extracted" / "app.jar"},
            arguments=("--server.port={port}",),
            ready="/actuator/health",
            requests=self.requests,
        )

    def build(self, jdk: Jdk, cache: Path, progress: Progress) -> Application:
        """Builds and extracts it unless that was done. A second caller waits for the first.

        Raises:
            NotInstalled: there is no Maven.
            StepFailed: Maven or the extraction failed.
        """
        home = self.files(cache)
        with locked(cache / "apps" / "lock", lambda: progress.say("  another set-up builds; waiting for it")):
            if not home.exists():
                partial = cache / "apps" / f".{self.name}-partial"
                shutil.rmtree(partial, ignore_errors=True)
                with progress.step(f"Build the Spring Boot service '{self.name}'") as report:
                    self._build(jdk, partial, lambda line: report(None, line[:80]))
                (partial / "done").rename(home)
                shutil.rmtree(partial)
        return self.application(cache)

    def _build(self, jdk: Jdk, partial: Path, each_line: Callable[[str], None]) -> None:
        shutil.copytree(self.source, partial / "source", ignore=shutil.ignore_patterns("target"))
        run_maven(["--quiet", "-DskipTests", "package"], jdk.home, partial / "source", each_line)
        done = partial / "done"
        done.mkdir()
        jar = (partial / "source" / "target" / "app.jar").rename(done / "app.jar")
        run([jdk.java, "-Djarmode=tools", "-jar", jar, "extract", "--destination", done / "extracted"])
        for path in (jar, done / "extracted" / "app.jar"):
            os.utime(path, (EXTRACTED_AT, EXTRACTED_AT))


def _search(dice: random.Random) -> Request:
    return Request("search", f"/api/articles?q=article+{dice.randint(1, 30)}")


def _one_page(dice: random.Random) -> Request:
    return Request("page", f"/articles/{dice.randint(1, 30)}")


def _list_page(dice: random.Random) -> Request:
    return Request("list", f"/?q={dice.randint(1, 30)}")


def _priced(dice: random.Random) -> Request:
    return Request("priced", f"/api/priced?from=1&to={dice.randint(2, 45)}&page={dice.randint(0, 1)}")


def _prices(_: random.Random) -> Request:
    return Request("prices", "/api/prices")


def _order(dice: random.Random) -> Request:
    return _post(
        "order", "/api/orders", {"customer": f"customer {dice.randint(1, 9)}", "lines": _lines(dice)}
    )


def _lines(dice: random.Random) -> list[dict[str, int]]:
    return [{"article": dice.randint(1, 30), "quantity": dice.randint(1, 5)} for _ in range(2)]


def _invalid(_: random.Random) -> Request:
    return _post("invalid", "/api/articles", {"name": "", "price": -1, "category": ""}, 400)


def _count(dice: random.Random) -> Request:
    return Request("count", f"/api/orders/count?customer=customer+{dice.randint(1, 9)}")


def _missing(_: random.Random) -> Request:
    return Request("missing", "/api/nothing", 404)


def _unknown(dice: random.Random) -> Request:
    return Request("unknown", f"/articles/{dice.randint(1000, 2000)}", 404)


def _health(_: random.Random) -> Request:
    return Request("health", "/actuator/health")


def _metric(_: random.Random) -> Request:
    return Request("metric", "/actuator/metrics/jvm.memory.used")


def _post(kind: str, path: str, body: object, status: int = 201) -> Request:
    return Request(kind, path, status, "POST", json.dumps(body))


def _between(dice: random.Random) -> Request:
    return Request("priced", f"/api/priced?from=1&to={dice.randint(2, 45)}")


def _quote(dice: random.Random) -> Request:
    wanted = {"article": dice.randint(1, 30), "quantity": dice.randint(1, 5)}
    return _post("quote", "/api/quotes", wanted, 200)


_EITHER: tuple[Maker, ...] = (_search, _one_page, _list_page, _missing, _unknown, _health, _metric)
ORDERS = Project("spring", (*_EITHER, _priced, _prices, _order, _invalid, _count))
"""What most Java pods are: pages, JPA, validation, health. Tests and benchmarks start it."""
PAGES = Project("pages", (*_EITHER, _between, _quote))
"""The same without a database, so that it starts sooner: the demo does that more than two dozen times."""
SERVICES = (ORDERS, PAGES)

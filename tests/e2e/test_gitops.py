"""A Git repository drives a rollout, by server-side apply that never forces: nobody fights over a field.

Flux and Argo CD can't be fetched here (their controllers come as images), so a small loop does what both do:
apply what the repository says, again and again, and read by kstatus how that is.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from testbed.demo import objects
from testbed.demo.releases import Release
from testbed.setup.gotool import KSTATUS
from tests.e2e.driver import PACE, Driver, broken
from warmroot.cache import cache_dir
from warmroot.errors import StepFailed

pytestmark = [pytest.mark.e2e, pytest.mark.kstatus]
MANAGER = "gitops"
NOTE = "warmroot.io/clear-failed"


@dataclass
class Loop:
    """A working copy, and what applying it again and again came to."""

    driver: Driver
    work: Path
    healths: list[tuple[str, str]] = field(default_factory=list)
    """Of each time: the release that was wanted, and what kstatus says of the object."""
    failures: list[str] = field(default_factory=list)
    applied: int = 0

    def git(self, *words: str) -> str:
        author = ["-c", "user.name=team", "-c", "user.email=team@bank.example"]
        done = subprocess.run(
            ["git", "-C", self.work, *author, *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, release: Release) -> None:
        """What a person does: changes the file, and pushes it."""
        body = objects.os_object(
            self.driver.bed.run,
            version=release.version,
            source=self.driver.bed.server.url,
            digest=release.digest,
            pace=PACE,
        )
        (self.work / "os.yaml").write_text(objects.manifest([body]))
        self.git("add", "os.yaml")
        self.git("commit", "--quiet", "-m", f"workers: release {release.version}")

    def once(self) -> None:
        """Applies the newest commit, and looks."""
        text = self.git("show", "HEAD:os.yaml")
        words = ("apply", "--server-side", "--force-conflicts=false", f"--field-manager={MANAGER}", "-f", "-")
        try:
            self.driver.bed.kubectl.run(*words, text=text)
        except StepFailed as error:
            self.failures.append(str(error))
        self.applied += 1
        one = json.loads(self.driver.bed.kubectl.run("get", "os", self.driver.bed.run.os, "-o", "json"))
        said = subprocess.run(
            [KSTATUS.program(cache_dir())],
            input=json.dumps([one]),
            capture_output=True,
            text=True,
            check=True,
        )
        health = (one["spec"]["release"]["version"], json.loads(said.stdout)[0]["status"])
        if self.healths[-1:] != [health]:
            self.healths.append(health)

    @contextmanager
    def going(self) -> Iterator[None]:
        """It goes on beside, until the block ends."""
        ended = threading.Event()

        def forever() -> None:
            while not ended.wait(0.5):
                self.once()

        thread = threading.Thread(target=forever)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@pytest.fixture
def loop(driver: Driver, tmp_path):
    work = tmp_path / "repository"
    work.mkdir()
    one = Loop(driver, work)
    one.git("init", "--quiet", "--initial-branch=main")
    # Whoever applied it before, by whatever means, has no say in it any more.
    name = driver.bed.run.os
    nobody = json.dumps([{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}])
    if driver.bed.kubectl.run("get", "os", name, "--ignore-not-found"):
        driver.bed.kubectl.run("patch", "os", name, "--type=json", "-p", nobody)
    one.commit(driver.current)
    one.once()
    return one


def owners(driver: Driver, of: Callable[[dict], bool]) -> set[str]:
    """Who manages fields of the OS object of which this holds."""
    shown = ("get", "os", driver.bed.run.os, "--show-managed-fields", "-o", "json")
    found = json.loads(driver.bed.kubectl.run(*shown))["metadata"]["managedFields"]
    return {one["manager"] for one in found if of(one.get("fieldsV1", {}))}


@pytest.mark.timeout(600)
def test_a_commit_rolls_a_release_out_a_bad_one_is_failed_and_a_revert_makes_it_well(
    driver: Driver, loop: Loop
):
    good, bad = driver.make(), driver.make("not-ready")
    name = driver.bed.run.os
    with loop.going():
        loop.commit(good)
        assert driver.wait_for_end(good).phase == "Complete"
        driver.current = good
        driver.wait(lambda: loop.healths[-1] == (good.version, "Current"), "the commit is healthy")

        loop.commit(bad)
        assert driver.wait_for_end(bad).phase == "Halted"
        driver.wait(lambda: loop.healths[-1] == (bad.version, "Failed"), "the bad commit is failed")
        # A person's word is an annotation, which the repository does not speak of.
        driver.bed.kubectl.run("annotate", "os", name, f"{NOTE}=*@2020-01-01T00:00:00Z", "--overwrite")

        loop.git("revert", "--no-edit", "HEAD")
        driver.wait(lambda: loop.healths[-1] == (good.version, "Current"), "the revert is healthy", 120)
        noted = driver.bed.kubectl.run("get", "os", name, "-o", "jsonpath={.metadata.annotations}")
    driver.bed.kubectl.run("annotate", "os", name, f"{NOTE}-")

    driver.settle()
    assert loop.failures == []
    assert NOTE in json.loads(noted)
    assert owners(driver, lambda fields: "f:spec" in fields) == {MANAGER}
    assert MANAGER not in owners(driver, lambda fields: "f:status" in fields)
    assert broken(driver.all_serve(good)) == []
    way = [status for version, status in loop.healths if version == good.version]
    assert way[:2] == ["InProgress", "Current"]

"""The whole way with the real service in its own process: learn, send, build, serve, and start from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.jboost.agent_pod import PATIENT
from tests.jboost.application import PLAIN_IS_SLOW
from tests.jboost.conftest import free_port
from tests.waiting import until

pytestmark = [pytest.mark.jvm, pytest.mark.timeout(900)]


@contextmanager
def cache_service(folder: Path) -> Iterator[str]:
    """The real service over a directory; its public keys are in `folder/keys`."""
    folder.mkdir()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    words = [sys.executable, "-m", "jboost_server.web", "--store", folder / "store", "--settle", "0"]
    words += ["--listen", f"127.0.0.1:{port}", "--public-keys", folder / "keys", "--min-gain", "5"]
    with (folder / "log").open("wb") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            until(lambda: answers(f"{url}/readyz") or process.poll() is not None, 60, "the service listens")
            assert process.poll() is None, (folder / "log").read_text()
            yield url
        finally:
            process.terminate()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@dataclass
class Pod:
    """A pod's folder, its application, and the agent's verbs on it. The agent runs on the same JDK."""

    jdk: Path
    agent: Path
    folder: Path
    url: str
    keys: Path
    command: list[str | Path]
    ready: str

    def verb(self, name: str, *options: str | Path) -> str:
        """What the agent says; it ends with 0."""
        words = [self.jdk / "bin/java", "-jar", self.agent, name, "--server", self.url, "--group", "orders"]
        done = subprocess.run(
            [*words, "--dir", self.folder, *options],
            env=os.environ | PLAIN_IS_SLOW,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def fetch(self, *options: str) -> dict[str, Any]:
        """The report of a `fetch` with time enough for a loaded machine."""
        self.verb("fetch", "--keys", self.keys, *PATIENT, *options, "--", *self.command)
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return report

    @contextmanager
    def application(self, *flags: str) -> Iterator[None]:
        """The application from ready on, with the options file."""
        environment = os.environ | {"JDK_JAVA_OPTIONS": f"@{self.folder}/java.opts"}
        words = [self.command[0], *flags, *self.command[1:]]
        with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) as process:
            try:
                until(lambda: answers(self.ready) or process.poll() is not None, 60, "it is ready")
                assert process.poll() is None
                yield
            finally:
                process.terminate()


@pytest.mark.parametrize("version", ["17", "25"])
def test_one_pod_teaches_and_the_next_starts_from_what_was_learned(
    agent: Path, jar: Path, tmp_path: Path, version: str, request: pytest.FixtureRequest
) -> None:
    jdk = request.getfixturevalue(f"jdk{version}")
    port = free_port()
    ready = f"http://127.0.0.1:{port}/health"
    with cache_service(tmp_path / "service") as url:
        pod = Pod(
            jdk=jdk,
            agent=agent,
            folder=tmp_path / "run",
            url=url,
            keys=tmp_path / "service/keys",
            command=[jdk / "bin/java", "-jar", jar, str(port)],
            ready=ready,
        )
        assert pod.fetch()["outcome"] == "missing"
        assert pod.fetch("--record")["outcome"] == "learning"
        with pod.application():
            assert "(accepted)" in pod.verb("record", "--ready-url", ready)
        built = pod.verb("build", "--ready-url", ready, "--", *pod.command)
        assert "serving: gain" in built
        report = pod.fetch()
        assert report["outcome"] == "hit", report
        classes = tmp_path / "classes.log"
        with pod.application(f"-Xlog:class+load:file={classes}"):
            pass
        loaded = [line for line in classes.read_text().splitlines() if " app.Part59 " in line]
        assert len(loaded) == 1
        assert "shared objects file" in loaded[0]
        assert "nothing to build" in pod.verb("build", "--ready-url", ready, "--", *pod.command)

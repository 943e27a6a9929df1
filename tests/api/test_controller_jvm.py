"""What webhook and controller made, run by hand with the real agent: what a pod's recorder sent is built by
the Job that is made like it, of the same key, and the next pod starts from it. The test is the runtime.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from jboost_server import signing
from jboost_server.web.tenancy import AUDIENCE, BUILD_AUDIENCE
from tests.api.controller_bed import controller, shop
from tests.api.operator_bed import free_port
from tests.api.test_jboost_tokens import token
from tests.jboost.application import PLAIN_IS_SLOW, agent, jar, jdk17  # noqa: F401 - fixtures
from tests.jboost.server_world import SIGNER
from warmroot.kube.cluster import NAMESPACE

pytestmark = [pytest.mark.api, pytest.mark.jvm, pytest.mark.timeout(900)]


@pytest.fixture
def bed(kinds, control_plane, tmp_path):
    with controller(kinds, control_plane, tmp_path) as one:
        yield one


class Node:
    """Runs containers of one pod as processes: what is mounted below /jboost is in a folder."""

    def __init__(self, folder: Path, agent_jar: Path) -> None:
        self.folder, self.agent_jar = folder, agent_jar
        folder.mkdir()

    def start(self, container: dict, shown: str, *more: str) -> subprocess.Popen[str]:
        """A container whose pod has this token; `more` options for the agent."""
        (self.folder / "token").write_text(shown)
        signing.write_publics(SIGNER, self.folder / "keys")
        places = {
            "/jboost/agent/agent.jar": str(self.agent_jar),
            "/jboost/token/token": str(self.folder / "token"),
            "/jboost/keys/keys": str(self.folder / "keys"),
        }
        words = [
            places.get(word, word.replace("/jboost/run", str(self.folder))) for word in container["command"]
        ]
        at = words.index("--") if more else len(words)
        given = {one["name"]: one.get("value", "") for one in container.get("env") or ()}
        return subprocess.Popen(
            [*words[:at], *more, *words[at:]], stderr=subprocess.PIPE, text=True, env=os.environ | given
        )

    def run(self, container: dict, shown: str, *more: str) -> tuple[int, str]:
        """The same to its end: exit code and words."""
        with self.start(container, shown, *more) as process:
            said = process.communicate(timeout=600)[1]
        return process.returncode, said

    def report(self, container: str) -> dict:
        return json.loads((self.folder / container / "report.json").read_text())


PATIENT = ("--inspect-ms", "60000", "--preflight-ms", "60000")


def test_what_a_pod_learned_is_built_by_the_job_that_is_made_like_it(
    bed,
    tmp_path,
    agent,  # noqa: F811
    jar,  # noqa: F811
    jdk17,  # noqa: F811
):
    port = free_port()
    env = [{"name": name, "value": value} for name, value in PLAIN_IS_SLOW.items()]
    probe = {"httpGet": {"path": "/health", "port": port}}
    command = [str(jdk17 / "bin/java"), "-jar", str(jar), str(port)]
    ours = shop(bed, record=True, command=command, env=env, readinessProbe=probe)

    def shown(audience: str, one: dict) -> str:
        return token(bed.cluster, ours.name, "default", audience=audience, pod=one)

    _, fetch, recorder = ours.pod["spec"]["initContainers"]
    first = Node(tmp_path / "first", agent)
    assert first.run(fetch, shown(AUDIENCE, ours.pod), *PATIENT)[0] == 0
    learning = first.report("app")
    assert learning["outcome"] == "learning", learning
    options = {"JDK_JAVA_OPTIONS": f"@{first.folder}/app/java.opts"}
    with (
        first.start(recorder, shown(AUDIENCE, ours.pod)) as sidecar,
        subprocess.Popen(command, env=os.environ | options, stdout=subprocess.DEVNULL) as application,
    ):
        try:
            builder = ours.builder()  # what was recorded came, while the application goes on
        finally:
            application.terminate()
            sidecar.terminate()
        assert "sent" in sidecar.communicate(timeout=60)[1]

    (container,) = builder["spec"]["containers"]
    code, said = Node(tmp_path / "builder", agent).run(container, shown(BUILD_AUDIENCE, builder))
    assert code == 0, said
    ours.ends(builder, "Succeeded")
    status = ours.until(state="Serving", serving="1/1")
    assert status["keys"][0]["key"] == learning["key"]
    assert status["keys"][0]["startSeconds"]["without"] > 1.0

    second = Node(tmp_path / "second", agent)
    assert second.run(fetch, shown(AUDIENCE, ours.pod), *PATIENT)[0] == 0
    assert second.report("app")["outcome"] == "hit"
    ours.until(coverage=100)
    bed.cluster.delete(NAMESPACE, ours.name)

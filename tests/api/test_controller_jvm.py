"""The Job that the controller made, run by hand: the real agent in it builds what the real agent of the pod
learned, of the same key, and pods start from it. The test is kubelet and container runtime.
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
from tests.jboost.server_world import SIGNER, digest
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

    def run(self, container: dict, shown: str, *more: str) -> tuple[int, str]:
        """Exit code and words of a container whose pod has this token; `more` options for the agent."""
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
        at = words.index("--")
        given = {one["name"]: one["value"] for one in container.get("env") or ()}
        words = [*words[:at], *more, *words[at:]]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | given)
        return done.returncode, done.stderr

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
    ours = shop(bed, command=command, env=env, readinessProbe=probe)

    def shown(audience: str, one: dict) -> str:
        return token(bed.cluster, ours.name, "default", audience=audience, pod=one)

    fetch = ours.pod["spec"]["initContainers"][-1]
    first = Node(tmp_path / "first", agent)
    assert first.run(fetch, shown(AUDIENCE, ours.pod), *PATIENT, "--record")[0] == 0
    learning = first.report("app")
    assert learning["outcome"] == "learning", learning
    options = {"JDK_JAVA_OPTIONS": f"@{first.folder}/app/java.opts"}
    subprocess.run([*command[:-1], "once"], check=True, env=os.environ | options, capture_output=True)
    recorded = (first.folder / "app" / "recording.lst").read_bytes()
    query = {"group": "orders", "key": learning["key"], "lease": learning["lease"]}
    sent = ours.client(AUDIENCE).ask("PUT", f"/v1/recordings/{digest(recorded)}", params=query, data=recorded)
    assert sent.status_code == 201, sent.text

    builder = ours.builder()
    (container,) = builder["spec"]["containers"]
    code, said = Node(tmp_path / "builder", agent).run(container, shown(BUILD_AUDIENCE, builder))
    assert code == 0, said
    ours.ends(builder, "Succeeded")
    status = ours.until(state="Serving", serving="1/1")
    assert status["keys"][0]["key"] == learning["key"]
    assert status["keys"][0]["startSeconds"]["without"] > 1.0

    second = Node(tmp_path / "second", agent)
    second.run(fetch, shown(AUDIENCE, ours.pod), *PATIENT)
    assert second.report("app")["outcome"] == "hit"
    ours.until(coverage=100)
    bed.cluster.delete(NAMESPACE, ours.name)

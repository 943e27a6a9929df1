"""The real controller on the real API server, with real Jobs: from a recording to archives that serve."""

from __future__ import annotations

import base64
import os
import signal
import subprocess

import pytest

from jboost_server.controller.act import CONFIG_MAP, NETWORK_POLICY
from jboost_server.core.orders import ATTEMPTS
from jboost_server.web.tenancy import AUDIENCE, BUILD_AUDIENCE
from testbed.controlplane import build
from testbed.demo.kubectl import Kubectl
from tests.api.controller_bed import Node, Shop, controller, shop
from tests.api.operator_bed import free_port
from tests.api.test_jboost_tokens import token
from tests.injected import AGENT
from tests.jboost.application import PLAIN_IS_SLOW, agent, jar, jdk17  # noqa: F401 - fixtures
from tests.jboost.server_world import digest
from warmroot.errors import Forbidden, Invalid
from warmroot.kube.cluster import EVENT, NAMESPACE, RestCluster
from warmroot.kube.transport import KubernetesTransport

pytestmark = pytest.mark.api


@pytest.fixture(scope="module")
def bed(kinds, control_plane, tmp_path_factory):
    with controller(kinds, control_plane, tmp_path_factory.mktemp("controller")) as one:
        yield one


@pytest.fixture
def space(bed):
    """Makes namespaces, and takes them away."""
    made = []

    def make(**more) -> Shop:
        made.append(shop(bed, **more))
        return made[-1]

    yield make
    for one in made:
        bed.cluster.delete(NAMESPACE, one.name)


def test_from_a_recording_to_pods_that_start_warm_and_columns_that_say_so(bed, space, control_plane):
    ours = space()
    assert ours.until(state="Learning")["conditions"][0]["reason"] == "NotSeen"

    ours.learns()
    builder = ours.builder()  # the restricted standard let it in
    assert len(ours.jobs()) == 1
    assert ours.until(state="Building")["serving"] == "0/1"

    ours.builds(builder)
    ours.ends(builder, "Succeeded")
    pods = ours.client(AUDIENCE)
    assert pods.lookup()["outcome"] == "hit"
    pods.outcome("hit", digest(b"an archive"), preflight=1)
    status = ours.until(state="Serving", serving="1/1", coverage=100)
    assert (status["startBefore"], status["startAfter"]) == ("0.10s", "0.05s")

    kubectl = Kubectl(build.installed() / "kubectl", control_plane.kubeconfig)
    head, row = kubectl.run("get", "jcache", "-n", ours.name).splitlines()
    assert head.split() == ["NAME", "SERVING", "HIT%", "START-BEFORE", "START-AFTER", "STATE", "AGE"]
    assert row.split()[:6] == ["orders", "1/1", "100", "0.10s", "0.05s", "Serving"]
    wait = ("wait", "--for=condition=Ready", "jcache/orders", "-n", ours.name, "--timeout=10s")
    assert "condition met" in kubectl.run(*wait)
    events = bed.cluster.list(EVENT, namespace=ours.name).items
    told = [one for one in events if one["regarding"]["kind"] == "JavaCache"]
    assert [(one["reason"], one["type"]) for one in told] == [("Serving", "Normal")]


def test_a_builder_that_fails_is_told_and_not_made_again_at_once(bed, space):
    ours = space()
    ours.learns()
    builder = ours.builder()

    ours.ends(builder, "Failed")

    row = ours.until_row("BuildFailed")
    assert (row["state"], "the next one from" in row["message"]) == ("Learning", True)
    assert len(ours.jobs()) == 1
    (event,) = [
        one
        for one in bed.cluster.list(EVENT, namespace=ours.name).items
        if one["regarding"]["kind"] == "JavaCache"
    ]
    assert (event["reason"], event["type"]) == ("BuildFailed", "Warning")


def test_builders_have_a_policy_that_keeps_them_from_everything_but_the_service(bed, space):
    ours = space()
    ours.learns()
    builder = ours.builder()

    policy = bed.cluster.get(NETWORK_POLICY, "jboost-builders", namespace=ours.name)["spec"]

    chosen = policy["podSelector"]["matchLabels"]
    assert chosen.items() <= builder["metadata"]["labels"].items()
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"][0]["to"] == [{"ipBlock": {"cidr": "127.0.0.1/32"}}]


def test_without_the_grant_nothing_is_made_and_the_status_says_what_to_do(bed, space):
    ours = space(granted=False)
    ours.learns()

    row = ours.until_row("NotGranted")

    assert f"bind the ClusterRole warmroot-jboost-builders in namespace {ours.name}" in row["message"]
    assert ours.jobs() == []
    assert "agent" not in ours.cache()["status"]


def test_the_agent_is_brought_to_the_namespace_by_rights_that_read_no_config_map(bed, space):
    ours = space()
    ours.until(agent=AGENT.name)

    made = bed.cluster.get(CONFIG_MAP, AGENT.name, namespace=ours.name)
    assert base64.b64decode(made["binaryData"]["agent.jar"]) == AGENT.jar
    own = RestCluster(KubernetesTransport(str(bed.kubeconfig)))
    with pytest.raises(Forbidden):
        own.get(CONFIG_MAP, AGENT.name, namespace=ours.name)
    with pytest.raises(Invalid, match="immutable"):
        bed.cluster.patch(CONFIG_MAP, AGENT.name, {"binaryData": {"agent.jar": "UEs="}}, namespace=ours.name)

    bed.cluster.delete(CONFIG_MAP, AGENT.name, namespace=ours.name)
    bed.end(signal.SIGKILL)
    bed.start()  # one that goes on looks each minute

    def again():
        found = bed.cluster.list(CONFIG_MAP, namespace=ours.name, fields=f"metadata.name={AGENT.name}").items
        return found and found[0]["metadata"]["uid"] != made["metadata"]["uid"]

    bed.until(again, "the agent is there again")


@pytest.mark.parametrize("name", [{"name": "jboost-agent-0123456789ab"}, {"generateName": "jboost-agent-"}])
def test_nobody_else_puts_a_jar_where_pods_would_run_it(bed, space, name):
    """Not even an administrator by mistake; one that was deleted is the controller's to make again."""
    ours = space()
    ours.until(agent=AGENT.name)

    def refused():
        meta = name | {"namespace": ours.name}
        try:
            made = bed.cluster.create(CONFIG_MAP, AGENT.config_map(ours.name, {}) | {"metadata": meta})
        except Forbidden as error:
            return str(error)
        bed.cluster.delete(CONFIG_MAP, made["metadata"]["name"], namespace=ours.name)
        return None  # policies are at work after a moment

    assert "made by the controller alone" in bed.until(refused)


def test_a_controller_that_is_killed_and_started_again_makes_no_second_builder(bed, space):
    ours = space()
    ours.learns()
    builder = ours.builder()

    bed.end(signal.SIGKILL)
    ours.builds(builder)
    ours.ends(builder, "Succeeded")
    bed.start()

    ours.until(state="Serving", agent=AGENT.name)
    assert len(ours.jobs()) == 1
    version = ours.cache()["metadata"]["resourceVersion"]
    space().until(state="Learning")  # passes go on
    assert ours.cache()["metadata"]["resourceVersion"] == version, "at rest nothing is written"


PATIENT = ("--inspect-ms", "60000", "--preflight-ms", "60000")


@pytest.mark.jvm
@pytest.mark.measures
@pytest.mark.timeout(900)
def test_what_a_pod_learned_is_built_by_the_job_that_is_made_like_it(
    space,
    tmp_path,
    agent,  # noqa: F811
    jar,  # noqa: F811
    jdk17,  # noqa: F811
):
    """The containers of pod and Job run as processes of the real agent and a real application."""
    port = free_port()
    env = [{"name": name, "value": value} for name, value in PLAIN_IS_SLOW.items()]
    probe = {"httpGet": {"path": "/health", "port": port}}
    command = [str(jdk17 / "bin/java"), "-jar", str(jar), str(port)]
    ours = space(record=True, command=command, env=env, readinessProbe=probe)

    def shown(audience: str, one: dict) -> str:
        return token(ours.bed.cluster, ours.name, "default", audience=audience, pod=one)

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
    node = Node(tmp_path / "builder", agent)
    for _ in range(ATTEMPTS):  # a noisy machine hides a gain, and is asked again
        code, said = node.run(container, shown(BUILD_AUDIENCE, builder))
        if "measure more starts" not in said:
            break
    assert code == 0, said
    ours.ends(builder, "Succeeded")
    status = ours.until(state="Serving", serving="1/1")
    assert status["keys"][0]["key"] == learning["key"]
    assert status["keys"][0]["startSeconds"]["without"] > 1.0

    second = Node(tmp_path / "second", agent)
    assert second.run(fetch, shown(AUDIENCE, ours.pod), *PATIENT)[0] == 0
    assert second.report("app")["outcome"] == "hit"
    ours.until(coverage=100)


def test_it_ends_cleanly_when_it_is_told_to(bed):
    assert bed.end(signal.SIGTERM) == 0
    assert '"message": "ended"' in bed.said()
    bed.start()

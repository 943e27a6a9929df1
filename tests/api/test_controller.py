"""The real controller on the real API server, with real Jobs: from a recording to archives that serve."""

from __future__ import annotations

import signal

import pytest

from jboost_server.controller.act import NETWORK_POLICY
from jboost_server.web.tenancy import AUDIENCE
from testbed.controlplane import build
from testbed.demo.kubectl import Kubectl
from tests.api.controller_bed import Shop, controller, grant, shop
from tests.jboost.server_world import digest
from warmroot.kube.cluster import EVENT, NAMESPACE, POD

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


def test_without_the_grant_nothing_is_made_and_with_it_it_goes_on(bed, space):
    ours = space(granted=False)
    ours.learns()

    row = ours.until_row("NotGranted")

    assert f"in namespace {ours.name}" in row["message"]
    assert ours.jobs() == []
    grant(bed, ours.name)


def test_a_controller_that_is_killed_and_started_again_makes_no_second_builder(bed, space):
    ours = space()
    ours.learns()
    builder = ours.builder()

    bed.end(signal.SIGKILL)
    ours.builds(builder)
    ours.ends(builder, "Succeeded")
    bed.start()

    ours.until(state="Serving")
    assert len(ours.jobs()) == 1


def test_at_rest_nothing_is_written(bed, space):
    ours = space()
    ours.learns()
    builder = ours.builder()
    ours.builds(builder)
    ours.ends(builder, "Succeeded")
    ours.until(state="Serving")
    other = space()
    other.until(state="Learning")

    before = ours.cache()["metadata"]["resourceVersion"]
    other.learns()  # passes go on
    other.until(state="Building")

    assert ours.cache()["metadata"]["resourceVersion"] == before
    assert [one["metadata"]["name"] for one in bed.cluster.list(POD, namespace=other.name).items]


def test_it_ends_cleanly_when_it_is_told_to(bed):
    assert bed.end(signal.SIGTERM) == 0
    assert '"message": "ended"' in bed.said()
    bed.start()

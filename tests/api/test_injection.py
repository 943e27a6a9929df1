"""The real webhook on the real API server: whose pods come out injected, and that none is lost to it."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable

import pytest

from tests.api.operator_bed import until
from tests.api.webhook_bed import webhook as running
from tests.injected import container, pod
from warmroot.kube.cluster import JAVA_CACHE, NAMESPACE, POD, SECRET, SERVICE_ACCOUNT, Kind

pytestmark = pytest.mark.api

DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
QUOTA = Kind("", "v1", "resourcequotas", "ResourceQuota")
LIMITS = Kind("", "v1", "limitranges", "LimitRange")
CLIENT = {"jboost.warmroot.io/client": "true"}
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="module")
def webhook(kinds, control_plane, tmp_path_factory):
    with running(kinds, control_plane, tmp_path_factory.mktemp("webhook")) as one:
        yield one


@pytest.fixture
def space(kinds):
    """Makes namespaces in which pods can be made, with a JavaCache for those of `pod`."""
    made = []

    def make(labels: dict) -> str:
        name = f"shop-{uuid.uuid4().hex[:8]}"
        kinds.create(NAMESPACE, {"metadata": {"name": name, "labels": labels}})
        made.append(name)
        until(lambda: kinds.get(SERVICE_ACCOUNT, "default", namespace=name))
        kinds.create(
            JAVA_CACHE,
            {
                "apiVersion": JAVA_CACHE.api_version,
                "kind": "JavaCache",
                "metadata": {"name": "orders", "namespace": name},
                "spec": {"selector": {"matchLabels": {"app": "orders"}}},
            },
        )
        return name

    yield make
    for name in made:
        kinds.delete(NAMESPACE, name)


@pytest.fixture
def shop(kinds, webhook, space):
    """A namespace that takes part, whose JavaCache the webhook has seen."""
    return seen(kinds, space(CLIENT))


def seen(cluster, namespace: str) -> str:
    until(lambda: injected(create(cluster, namespace)), what="the webhook sees the JavaCache")
    return namespace


def create(cluster, namespace: str, one: dict | None = None) -> dict:
    one = one or pod()
    return cluster.create(POD, one | {"metadata": one["metadata"] | {"namespace": namespace}})


def injected(one: dict) -> bool:
    names = [each["name"] for each in one["spec"].get("initContainers", ())]
    env = [each.get("value") for each in one["spec"]["containers"][0].get("env", ())]
    ours = (names == ["jboost-agent", "jboost-fetch"], "@/jboost/run/app/java.opts" in env)
    assert ours[0] == ours[1]
    return all(ours)


def deployment(namespace: str, replicas: int, spec: dict) -> dict:
    labels = {"app": "orders", "deployed": "true"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "orders", "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def pods_of(cluster, namespace: str, count: int) -> list[dict]:
    """The pods of the deployment, once there are so many."""

    def enough() -> list[dict]:
        found = cluster.list(POD, namespace=namespace, labels="deployed=true").items
        return found if len(found) == count else []

    return until(enough, what=f"{count} pods in {namespace}")


def test_the_pods_of_a_deployment_come_out_injected_and_are_counted(kinds, webhook, shop):
    kinds.create(DEPLOYMENT, deployment(shop, 2, pod()["spec"]))

    pods = pods_of(kinds, shop, 2)

    assert [injected(one) for one in pods] == [True, True]
    for one in pods:
        assert {each["name"] for each in one["spec"]["volumes"]} > {"jboost", "jboost-keys", "jboost-token"}
        assert one["metadata"]["annotations"]["jboost.warmroot.io/injected"] == "orders"
    assert 'jboost_webhook_reviews_total{reason="Injected"}' in webhook.get("/metrics")


def test_a_restricted_namespace_whose_quota_just_has_room_admits_the_injected_pods(kinds, webhook, space):
    shop = seen_then_empty(kinds, space(CLIENT | RESTRICTED))
    asked = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    hard = {
        "pods": "2",
        "requests.cpu": "2",
        "limits.cpu": "2",
        "requests.memory": "2Gi",
        "limits.memory": "2Gi",
    }
    kinds.create(QUOTA, {"metadata": {"name": "room", "namespace": shop}, "spec": {"hard": hard}})
    limit = {"type": "Container", "min": {"cpu": "500m"}, "max": {"memory": "1Gi"}, "default": {"cpu": "2"}}
    kinds.create(LIMITS, {"metadata": {"name": "sizes", "namespace": shop}, "spec": {"limits": [limit]}})
    until(lambda: kinds.get(QUOTA, "room", namespace=shop).get("status", {}).get("hard"))

    kinds.create(DEPLOYMENT, deployment(shop, 2, restricted(asked)))

    assert [injected(one) for one in pods_of(kinds, shop, 2)] == [True, True]
    used = kinds.get(QUOTA, "room", namespace=shop)["status"]["used"]
    assert (used["requests.cpu"], used["limits.memory"]) == ("2", "2Gi")


def seen_then_empty(cluster, namespace: str) -> str:
    def tried() -> bool:
        one = create(cluster, namespace, pod() | {"spec": restricted({})})
        cluster.delete(POD, one["metadata"]["name"], namespace=namespace, grace=0)
        return injected(one)

    until(tried, what="the webhook sees the JavaCache")
    until(lambda: not cluster.list(POD, namespace=namespace).items, what="no pod is left")
    return namespace


def restricted(asked: dict) -> dict:
    locked = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
    locked["seccompProfile"] = {"type": "RuntimeDefault"}
    return {"containers": [container(securityContext=locked, resources=asked)]}


def test_a_pod_that_may_record_is_admitted_under_the_restricted_standard_and_the_next_one_does_not(
    kinds, webhook, space
):
    shop = seen_then_empty(kinds, space(CLIENT | RESTRICTED))
    kinds.patch(JAVA_CACHE, "orders", {"spec": {"training": {"recorders": 1}}}, namespace=shop)

    def recorder() -> dict | None:
        last = create(kinds, shop, pod() | {"spec": restricted({})})["spec"]["initContainers"][-1]
        return last if last["name"] == "jboost-record" else None

    found = until(recorder, what="the webhook sees the JavaCache's change")

    assert found["restartPolicy"] == "Always"
    assert recorder() is None


def test_image_volumes_are_admitted_by_the_restricted_standard_too(kinds, webhook, space):
    name = space(RESTRICTED)
    one = pod() | {"spec": restricted({})}
    one["spec"]["volumes"] = [{"name": "agent", "image": {"reference": "a", "pullPolicy": "IfNotPresent"}}]

    assert create(kinds, name, one)["spec"]["volumes"][0]["image"]["reference"] == "a"


def test_pods_that_do_not_take_part_are_not_touched(kinds, webhook, shop, space):
    other = space({})
    labels = {"labels": {"app": "orders", "jboost.warmroot.io/inject": "false"}}

    assert not injected(create(kinds, other))
    assert not injected(create(kinds, shop, pod(meta=labels)))
    assert not injected(create(kinds, shop, pod(meta={"labels": {"app": "other"}})))
    assert not injected(create(kinds, webhook.space, pod(meta={"namespace": webhook.space})))


def test_a_pod_that_is_asked_about_again_is_injected_once(kinds, webhook, shop):
    first = create(kinds, shop)
    annotations = first["metadata"]["annotations"]
    copied = pod(meta={"annotations": annotations}) | {"spec": first["spec"] | {"nodeName": None}}

    again = create(kinds, shop, copied)

    assert again["spec"]["initContainers"] == first["spec"]["initContainers"]
    assert again["spec"]["containers"] == first["spec"]["containers"]


def test_a_webhook_that_hangs_or_is_killed_lets_pods_through_plainly_and_is_asked_again_later(
    kinds, webhook, shop
):
    webhook.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    assert not injected(create(kinds, shop))
    assert time.monotonic() - began < 10  # the configuration says 2
    webhook.process.send_signal(signal.SIGCONT)

    webhook.end(signal.SIGKILL)
    assert not injected(create(kinds, shop))

    webhook.start()
    assert seen(kinds, shop)


def test_no_pod_is_lost_while_authority_and_certificate_change(kinds, webhook, shop):
    """The clock goes from 80 days ago to some hours ago: what is made on the way is good now."""

    def secret() -> dict:
        return kinds.get(SECRET, "jboost-webhook", namespace=webhook.space)["data"]

    def until_then(changed: Callable[[], bool]) -> None:
        lost, end = [], time.monotonic() + 60
        while not changed():
            assert time.monotonic() < end, webhook.said()
            if not injected(one := create(kinds, shop)):
                lost.append(one)
            assert webhook.get("/healthz")  # a new connection, with what the API server believes
        assert lost == []

    assert webhook.end(signal.SIGTERM) == 0
    kinds.delete(SECRET, "jboost-webhook", namespace=webhook.space)
    webhook.set_back(days=80)
    webhook.start()
    seen(kinds, shop)
    first, shown = secret()["ca.crt"], webhook.shown()

    webhook.set_back(days=1.3)
    until_then(lambda: secret()["ca.crt"] != first)
    assert webhook.shown() == shown  # the new authority is known, and signs nothing yet

    webhook.set_back(days=0.2)
    until_then(lambda: webhook.shown() != shown)
    more = iter(range(10))
    until_then(lambda: next(more, None) is None)

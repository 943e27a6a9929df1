"""The proxy's half of an OSInstance against the real API server: schema, defaults, watch, patch."""

import threading

import pytest

from os_proxy.backends.instance import ClusterInstance
from os_proxy.core.orders import Goal
from os_proxy.core.steps import Phase
from tests.api.test_crds import kinds  # noqa: F401 - a fixture
from tests.proxy_world import make_image, new_world
from warmroot import nodeconfig
from warmroot.kube.cluster import OSINSTANCE, RestCluster
from warmroot.kube.transport import RequestsTransport

pytestmark = pytest.mark.api
ONE, TWO = make_image(1), make_image(2)


@pytest.fixture
def connect(control_plane):
    opened = []

    def make():
        transport = RequestsTransport(str(control_plane.kubeconfig))
        opened.append(transport)
        return RestCluster(transport)

    yield make
    for transport in opened:
        transport.close()


@pytest.fixture
def instance(kinds, cluster, connect, node):  # noqa: F811
    spec = {"os": "workers", "goal": "None"}
    cluster.create(
        OSINSTANCE,
        {
            "apiVersion": "warmroot.io/v1alpha1",
            "kind": "OSInstance",
            "metadata": {"name": node},
            "spec": spec,
        },
    )
    yield ClusterInstance(connect(), node)
    cluster.delete(OSINSTANCE, node)


def order(cluster, node, image, goal, **more):
    release = {
        "version": image.release.version,
        "digest": image.digest,
        "sources": list(image.release.sources),
    }
    spec = {"goal": goal.value, "release": release, **more}
    cluster.patch(OSINSTANCE, node, {"spec": spec})


def test_a_status_is_taken_whole_and_an_unchanged_one_is_not_written(cluster, instance, node):
    world = new_world(ONE, TWO)
    world.instance = instance
    world.start_agent()
    order(cluster, node, TWO, Goal.STAGE)
    instance.refresh()
    world.settle()
    stored = cluster.get(OSINSTANCE, node)
    assert stored["status"]["phase"] == Phase.STAGED
    world.settle()
    assert (
        cluster.get(OSINSTANCE, node)["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]
    )


def test_a_node_returns_to_settings_by_an_order_of_their_revision_alone(cluster, instance, node):
    """What it keeps passes the schema, the images' own settings among them, and so does the order."""
    world = new_world(ONE)
    world.instance = instance
    world.start_agent()
    texts = [nodeconfig.encode({"sysctl": {"vm.swappiness": value}}) for value in "12"]
    first, second = (nodeconfig.revision(text) for text in texts)

    def ordered(goal, **settings):
        order(cluster, node, ONE, goal, **{"config": None, "configRevision": None} | settings)
        instance.refresh()
        world.settle()
        slot = cluster.get(OSINSTANCE, node)["status"]["slots"]["A"]
        return slot.get("configRevision"), slot.get("former")

    assert ordered(Goal.CONFIGURE, config=texts[0], configRevision=first) == (first, {})
    assert ordered(Goal.NONE) == (first, {})
    assert ordered(Goal.CONFIGURE, config=texts[1], configRevision=second) == (
        second,
        {"configRevision": first},
    )
    assert ordered(Goal.CONFIGURE, configRevision=first) == (first, None)


def test_new_orders_are_seen_by_the_watch(cluster, connect, instance, node):
    over = threading.Event()
    thread = threading.Thread(target=instance.follow, args=(connect(), over.is_set), daemon=True)
    thread.start()
    instance.wait(30)
    order(cluster, node, TWO, Goal.STAGE)
    while instance.orders() is None or instance.orders().goal is not Goal.STAGE:
        instance.wait(30)
    over.set()
    order(cluster, node, TWO, Goal.NONE)  # the watch brings it, and with it the end
    thread.join(30)
    assert (instance.orders().release, thread.is_alive()) == (TWO.release, False)


def test_no_object_is_no_orders_and_nothing_is_written(kinds, connect, node):  # noqa: F811
    instance = ClusterInstance(connect(), node)
    instance.refresh()
    instance.publish({"phase": "Idle"})
    assert instance.orders() is None

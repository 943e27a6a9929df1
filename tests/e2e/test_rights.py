"""A proxy speaks for its own node alone, and the audit log proves that it never tried otherwise."""

from __future__ import annotations

import json

import pytest

from testbed.demo.requests import PROXY
from tests.e2e.driver import Driver
from warmroot.errors import Forbidden
from warmroot.kube.cluster import NODE, OSINSTANCE, RestCluster
from warmroot.kube.transport import RequestsTransport

pytestmark = pytest.mark.e2e
NODE_CLAIM = "authentication.kubernetes.io/node-name"


@pytest.fixture
def as_proxy(driver):
    """The cluster with the credential of the first machine's own proxy, and the names of two machines."""
    first, second = list(driver.bed.fleet)[:2]
    kubeconfig = max(first.paths.directory.glob("credentials/*/kubeconfig"), key=lambda p: p.stat().st_mtime)
    transport = RequestsTransport(str(kubeconfig))
    yield RestCluster(transport), first.name, second.name
    transport.close()


@pytest.fixture(autouse=True, scope="module")
def after_a_rollout(_driver):
    """There are OSInstances, and something was written."""
    _driver.rest()
    release = _driver.make()
    _driver.roll(release)
    _driver.current = release


def test_a_proxy_s_credential_is_refused_on_another_node_s_object(as_proxy):
    cluster, own, other = as_proxy
    cluster.patch(OSINSTANCE, own, {"status": {}}, subresource="status")
    with pytest.raises(Forbidden, match=f"the proxy of node {own} may not write OSInstance {other}"):
        cluster.patch(OSINSTANCE, other, {"status": {"agentVersion": "stolen"}}, subresource="status")


def test_a_proxy_s_credential_can_neither_give_orders_nor_touch_nodes(as_proxy):
    cluster, own, _ = as_proxy
    with pytest.raises(Forbidden):
        cluster.patch(OSINSTANCE, own, {"spec": {"goal": "None"}})
    with pytest.raises(Forbidden):
        cluster.patch(NODE, own, {"spec": {"unschedulable": True}})


def test_no_proxy_ever_wrote_anything_but_its_own_osinstance_s_status(driver: Driver):
    strays, writes = [], 0
    with driver.bed.plane.audit_log.open() as log:
        for line in log:
            raw = json.loads(line)
            user, target = raw["user"], raw.get("objectRef", {})
            if user.get("username") != PROXY or raw["verb"] in ("get", "list", "watch"):
                continue
            if raw.get("responseStatus", {}).get("code") == 403:
                continue  # this module's own attempts
            writes += 1
            here = user["extra"][NODE_CLAIM][0], "status"
            if (target.get("name"), target.get("subresource")) != here or target["resource"] != "osinstances":
                strays.append(line)
    assert strays == []
    assert writes > 0

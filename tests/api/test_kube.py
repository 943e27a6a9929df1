"""The Cluster port keeps its promises against the real API server, over both transports."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from tests import waiting
from warmroot import errors
from warmroot.kube.cluster import CRD, NODE, PDB, POD, Kind, RestCluster
from warmroot.kube.transport import KubernetesTransport, RequestsTransport

until = partial(waiting.until, seconds=30)

pytestmark = pytest.mark.api

CONFIGMAP = Kind("", "v1", "configmaps", "ConfigMap")


def configmap(namespace, name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}} | (
        {"data": data} if data else {}
    )


def test_a_list_in_pages_has_every_object_once_and_a_version_to_watch_from(either, namespace):
    names = [f"item-{number}" for number in range(7)]
    for name in names:
        either.create(CONFIGMAP, configmap(namespace, name))
    small_pages = RestCluster(either.transport, page=3)
    listing = small_pages.list(CONFIGMAP, namespace=namespace, fields="metadata.name!=kube-root-ca.crt")
    assert names == [item["metadata"]["name"] for item in listing.items]
    assert int(listing.resource_version) > 0


def test_a_list_selects_by_label_and_by_field(either, namespace):
    for name, labels in (("one", {"a": "1"}), ("two", {"a": "2"})):
        body = configmap(namespace, name)
        body["metadata"]["labels"] = labels
        either.create(CONFIGMAP, body)
    by_label = either.list(CONFIGMAP, namespace=namespace, labels="a in (2,3)").items
    by_field = either.list(CONFIGMAP, namespace=namespace, fields="metadata.name=one").items
    assert [item["metadata"]["name"] for item in by_label + by_field] == ["two", "one"]


def test_a_list_without_a_namespace_spans_all(either, namespace):
    either.create(CONFIGMAP, configmap(namespace, "mine"))
    spaces = {item["metadata"]["namespace"] for item in either.list(CONFIGMAP).items}
    assert spaces >= {namespace, "kube-system"}


def test_a_kind_is_found_by_its_name_in_manifests(either):
    assert either.discover("v1", "Pod") == POD
    assert either.discover("v1", "Node") == NODE
    assert either.discover("policy/v1", "PodDisruptionBudget") == PDB
    for version, kind in (("v1", "Pud"), ("policy/v9", "PodDisruptionBudget"), ("nobody.example/v1", "Pod")):
        with pytest.raises(errors.NotFound):
            either.discover(version, kind)


def test_a_watch_tells_what_happened_in_order(either, namespace):
    version = either.list(CONFIGMAP, namespace=namespace).resource_version
    made = either.create(CONFIGMAP, configmap(namespace, "watched"))
    either.patch(CONFIGMAP, "watched", {"data": {"k": "v"}}, namespace=namespace)
    either.delete(CONFIGMAP, "watched", namespace=namespace)
    seen = []
    for event in either.watch(CONFIGMAP, version, namespace=namespace, fields="metadata.name=watched"):
        seen.append((event.type, event.object["metadata"]["uid"], event.object.get("data")))
        if event.type == "DELETED":
            break
    uid = made["metadata"]["uid"]
    assert seen == [("ADDED", uid, None), ("MODIFIED", uid, {"k": "v"}), ("DELETED", uid, {"k": "v"})]


def test_a_watch_delivers_an_event_while_it_waits_for_the_next(either, cluster, namespace):
    version = cluster.list(CONFIGMAP, namespace=namespace).resource_version
    body = configmap(namespace, "late", text="x" * 100_000)
    timer = threading.Timer(0.5, lambda: cluster.create(CONFIGMAP, body))
    timer.start()
    watch = either.watch(CONFIGMAP, version, namespace=namespace, fields="metadata.name=late", timeout=60)
    began = time.monotonic()
    event = next(watch)
    watch.close()
    timer.join()
    assert (event.type, event.object["data"]) == ("ADDED", body["data"])
    assert time.monotonic() - began < 30


def test_a_watch_ends_by_itself_after_its_timeout(either, namespace):
    version = either.list(CONFIGMAP, namespace=namespace).resource_version
    began = time.monotonic()
    # By name: the controller manager puts a kube-root-ca.crt of its own into a young namespace.
    watch = either.watch(CONFIGMAP, version, namespace=namespace, fields="metadata.name=never", timeout=0.5)
    kinds = {event.type for event in watch}
    assert kinds <= {"BOOKMARK"}
    assert time.monotonic() - began < 20


@pytest.fixture(scope="module")
def young_kind(cluster):
    """A kind that the API server has just learned: of the time before, it remembers nothing."""
    kind = Kind("test.warmroot.io", "v1", "youngs", "Young")
    schema = {"type": "object", "properties": {"spec": {"type": "object"}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "youngs", "singular": "young", "kind": "Young"}
    spec = {"group": kind.group, "scope": "Namespaced", "names": names, "versions": [version]}
    cluster.create(CRD, {"metadata": {"name": "youngs.test.warmroot.io"}, "spec": spec})

    def served():
        try:
            return cluster.list(kind)
        except errors.NotFound:
            return None

    until(served)
    yield kind
    cluster.delete(CRD, "youngs.test.warmroot.io")


def test_a_watch_from_a_forgotten_version_is_gone_and_says_so(either, young_kind):
    with pytest.raises(errors.Gone, match="too old resource version"):
        list(either.watch(young_kind, "1", timeout=5))


def test_a_watch_that_is_not_allowed_is_forbidden_and_names_the_user(control_plane, open_cluster, tmp_path):
    path = control_plane.issue_kubeconfig("onlooker", [], tmp_path / "onlooker.kubeconfig")
    with pytest.raises(errors.Forbidden, match="onlooker"):
        list(open_cluster(path).watch(NODE, "0", timeout=5))


def test_what_is_not_there_is_not_found(either, namespace):
    with pytest.raises(errors.NotFound, match='"absent" not found'):
        either.get(CONFIGMAP, "absent", namespace=namespace)


def test_a_second_create_is_already_exists(either, namespace):
    either.create(CONFIGMAP, configmap(namespace, "twice"))
    with pytest.raises(errors.AlreadyExists):
        either.create(CONFIGMAP, configmap(namespace, "twice"))


@pytest.mark.parametrize("write", ["replace", "patch"])
def test_a_stale_version_is_a_conflict_and_writes_nothing(either, namespace, write):
    old = either.create(CONFIGMAP, configmap(namespace, "fenced", k="first"))
    either.patch(CONFIGMAP, "fenced", {"data": {"k": "second"}}, namespace=namespace)
    old["data"]["k"] = "lost"
    with pytest.raises(errors.Conflict):
        if write == "replace":
            either.replace(CONFIGMAP, old)
        else:
            fence = {"resourceVersion": old["metadata"]["resourceVersion"]}
            either.patch(CONFIGMAP, "fenced", {"metadata": fence, "data": {"k": "lost"}}, namespace=namespace)
    assert either.get(CONFIGMAP, "fenced", namespace=namespace)["data"] == {"k": "second"}


def test_a_body_that_breaks_a_rule_is_invalid_and_names_the_field(either, namespace):
    with pytest.raises(errors.Invalid, match=r"metadata\.name") as refused:
        either.create(CONFIGMAP, configmap(namespace, "Not_A_Name"))
    assert refused.value.status == 422


def test_a_body_that_is_no_such_object_is_invalid(either, namespace):
    with pytest.raises(errors.Invalid) as refused:
        either.create(CONFIGMAP, {"metadata": "none"}, namespace=namespace)
    assert refused.value.status == 400


def test_apply_creates_and_changes_what_its_manager_owns(either, namespace):
    either.apply(CONFIGMAP, configmap(namespace, "applied", a="1", b="1"), manager="one")
    changed = either.apply(CONFIGMAP, configmap(namespace, "applied", a="2"), manager="one")
    assert changed["data"] == {"a": "2"}


def test_apply_refuses_a_field_that_does_not_exist(either, namespace):
    body = configmap(namespace, "typo") | {"daata": {"a": "1"}}
    with pytest.raises(errors.Invalid, match="daata"):
        either.apply(CONFIGMAP, body, manager="one")


def test_apply_conflicts_with_another_manager_unless_forced(either, namespace):
    either.apply(CONFIGMAP, configmap(namespace, "shared", a="1"), manager="one")
    with pytest.raises(errors.Conflict, match="one"):
        either.apply(CONFIGMAP, configmap(namespace, "shared", a="2"), manager="two")
    forced = either.apply(CONFIGMAP, configmap(namespace, "shared", a="2"), manager="two", force=True)
    assert forced["data"] == {"a": "2"}


def test_a_delete_with_anothers_uid_is_a_conflict(either, namespace):
    either.create(CONFIGMAP, configmap(namespace, "kept"))
    with pytest.raises(errors.Conflict):
        either.delete(CONFIGMAP, "kept", namespace=namespace, uid="00000000-0000-0000-0000-000000000000")
    assert either.get(CONFIGMAP, "kept", namespace=namespace)["metadata"]["name"] == "kept"


def test_a_pod_is_gone_at_once_with_no_grace(either, namespace, node):
    _running_pod(either, namespace, node, "short")
    either.delete(POD, "short", namespace=namespace, grace=0)
    with pytest.raises(errors.NotFound):
        either.get(POD, "short", namespace=namespace)


def test_an_eviction_that_a_budget_forbids_names_the_budget_as_its_cause(either, namespace, node):
    for name in ("one", "two"):
        _running_pod(either, namespace, node, name)
    selector = {"matchLabels": {"app": "a"}}
    budget = {
        "metadata": {"name": "a", "namespace": namespace},
        "spec": {"minAvailable": 1, "selector": selector},
    }
    either.create(PDB, budget)
    until(lambda: either.get(PDB, "a", namespace=namespace).get("status", {}).get("disruptionsAllowed") == 1)
    _evict(either, namespace, "one")
    with pytest.raises(errors.TooManyRequests, match="disruption budget") as refused:
        _evict(either, namespace, "two")
    assert (refused.value.status, refused.value.cause) == (429, "DisruptionBudget")


def test_a_server_that_is_not_there_is_a_network_error(control_plane, open_cluster, tmp_path):
    text = control_plane.kubeconfig.read_text().replace(control_plane.server, "https://127.0.0.1:1")
    path = tmp_path / "nowhere.kubeconfig"
    path.write_text(text)
    cluster = open_cluster(path)
    with pytest.raises(errors.NetworkError):
        cluster.get(NODE, "any")
    with pytest.raises(errors.NetworkError):
        list(cluster.watch(NODE, "0"))


def test_a_server_that_the_kubeconfigs_authority_did_not_sign_is_not_believed(
    control_plane, open_cluster, tmp_path
):
    from testbed.controlplane import pki

    stranger = pki.Authority.new()
    path = tmp_path / "stranger.kubeconfig"
    path.write_bytes(
        pki.kubeconfig(control_plane.server, stranger.credential.certificate, stranger.client("a"))
    )
    with pytest.raises(errors.NetworkError):
        open_cluster(path).get(NODE, "any")


def test_the_environments_certificates_do_not_replace_the_kubeconfigs(control_plane, monkeypatch, tmp_path):
    from testbed.controlplane import pki

    other = tmp_path / "other.pem"
    other.write_bytes(pki.Authority.new().credential.certificate)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(other))
    for transport in (
        RequestsTransport(str(control_plane.kubeconfig)),
        KubernetesTransport(str(control_plane.kubeconfig)),
    ):
        assert transport.request("GET", "/readyz").status == 200
        transport.close()


def _running_pod(cluster, namespace, node, name):
    spec = {"nodeName": node, "containers": [{"name": "a", "image": "none"}]}
    cluster.create(
        POD, {"metadata": {"name": name, "namespace": namespace, "labels": {"app": "a"}}, "spec": spec}
    )
    ready = {"type": "Ready", "status": "True"}
    cluster.patch(
        POD,
        name,
        {"status": {"phase": "Running", "conditions": [ready]}},
        namespace=namespace,
        subresource="status",
    )


def _evict(cluster, namespace, name):
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
    }
    cluster.create(POD, body, namespace=namespace, name=name, subresource="eviction")

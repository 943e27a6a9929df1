"""Who asks the cache service, by tokens of a real API server."""

import contextlib
import uuid

import pytest

from jboost_server.store.directory import DirectoryStore
from jboost_server.web.tenancy import AUDIENCE, BUILD_AUDIENCE, CONTROL_AUDIENCE, TokenReview
from testbed.controlplane.clients import admin_cluster
from tests.jboost.server_world import Client, Clock, reason, running
from tests.waiting import until
from warmroot.errors import AlreadyExists, NetworkError, Unbound, WrongToken
from warmroot.kube.cluster import POD, SERVICE_ACCOUNT, RestCluster
from warmroot.kube.transport import Response

pytestmark = pytest.mark.api


@pytest.fixture
def pod(cluster, namespace):
    """A pod on no node: a token can be bound to it all the same."""
    name = f"orders-{uuid.uuid4().hex[:8]}"
    an_account(cluster, namespace)
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": "app", "image": "none"}], "serviceAccountName": "default"},
    }
    return cluster.create(POD, body)


def an_account(cluster, namespace):
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": namespace},
    }
    with contextlib.suppress(AlreadyExists):
        cluster.create(SERVICE_ACCOUNT, account)


def token(cluster, namespace, *, audience=AUDIENCE, pod=None, seconds=600):
    """What a kubelet asks for when it projects a token."""
    spec = {"audiences": [audience], "expirationSeconds": seconds}
    if pod is not None:
        meta = pod["metadata"]
        bound = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
        spec["boundObjectRef"] = bound
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    answer = cluster.create(SERVICE_ACCOUNT, body, namespace=namespace, name="default", subresource="token")
    return answer["status"]["token"]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tenants(control_plane, clock):
    return TokenReview(admin_cluster(control_plane), monotonic=clock, fresh=30.0)


def test_a_projected_token_names_its_namespace_and_its_pod(cluster, namespace, pod, tenants):
    identity = tenants.identify(f"Bearer {token(cluster, namespace, pod=pod)}")
    assert (identity.tenant, identity.pod) == (namespace, pod["metadata"]["uid"])
    assert not identity.builder


def test_a_token_of_the_builders_audience_names_a_builder(cluster, namespace, pod, tenants):
    identity = tenants.identify(f"Bearer {token(cluster, namespace, pod=pod, audience=BUILD_AUDIENCE)}")
    assert (identity.tenant, identity.builder) == (namespace, True)


@pytest.mark.parametrize("base", [AUDIENCE, BUILD_AUDIENCE])
def test_a_token_that_was_projected_for_a_group_is_good_for_that_one(cluster, namespace, pod, tenants, base):
    identity = tenants.identify(f"Bearer {token(cluster, namespace, pod=pod, audience=f'{base}/orders')}")
    assert (identity.group, identity.builder) == ("orders", base == BUILD_AUDIENCE)


def test_a_token_for_another_audience_is_refused(cluster, namespace, pod, tenants):
    with pytest.raises(WrongToken):
        tenants.identify(f"Bearer {token(cluster, namespace, pod=pod, audience='https://elsewhere')}")


def test_a_token_that_is_bound_to_no_pod_is_refused(cluster, namespace, pod, tenants):
    with pytest.raises(Unbound):
        tenants.identify(f"Bearer {token(cluster, namespace)}")


def test_a_token_of_a_deleted_pod_is_refused_once_what_is_remembered_is_old(
    cluster, namespace, pod, tenants, clock
):
    bearer = f"Bearer {token(cluster, namespace, pod=pod)}"
    tenants.identify(bearer)
    cluster.delete(POD, pod["metadata"]["name"], namespace=namespace, grace=0)
    assert tenants.known(bearer) is not None
    clock.now += 30
    assert tenants.known(bearer) is None

    def refused():
        clock.now += 30
        try:
            tenants.identify(bearer)
        except WrongToken:
            return True
        return False

    until(refused, 30, "the API server forgets the pod, which it remembers for some seconds")


def test_the_named_account_with_the_controllers_audience_may_look_at_all_tenants_and_nobody_else(
    control_plane, cluster, namespace, pod, tenants, clock
):
    ours = f"Bearer {token(cluster, namespace, pod=pod, audience=CONTROL_AUDIENCE)}"
    named = TokenReview(admin_cluster(control_plane), monotonic=clock, controller=f"{namespace}:default")
    assert named.identify(ours).controller
    named.identify(ours).must_control()
    usual = named.identify(f"Bearer {token(cluster, namespace, pod=pod)}")
    with pytest.raises(WrongToken, match="not the controller's"):
        usual.must_control()
    with pytest.raises(WrongToken, match="not for"):
        tenants.identify(ours)


@pytest.mark.parametrize("bearer", ["Bearer none", "Bearer a.b.c"])
def test_what_is_no_token_is_refused(tenants, bearer):
    with pytest.raises(WrongToken):
        tenants.identify(bearer)


def test_a_builder_brings_an_archive_and_pods_of_its_namespace_get_it_over_http(
    tmp_path, cluster, namespace, pod, tenants
):
    with running(DirectoryStore(tmp_path), tenants=tenants) as client:
        builder = Client(client.url, token(cluster, namespace, pod=pod, audience=BUILD_AUDIENCE))
        name = builder.publish(b"an archive")
        ours = Client(client.url, token(cluster, namespace, pod=pod))
        assert reason(ours.order()) == (403, "NotBuilder")
        assert ours.archive(name).content == b"an archive"
        wrong = Client(client.url, token(cluster, namespace, pod=pod, audience="https://elsewhere"))
        assert reason(wrong.archive(name)) == (401, "WrongToken")
        unbound = Client(client.url, token(cluster, namespace))
        assert reason(unbound.archive(name)) == (401, "Unbound")


class Down:
    """A transport to an API server that is not there."""

    def request(self, method, path, **more) -> Response:
        raise NetworkError("refused")


def test_while_the_api_server_is_down_who_was_known_is_served_and_others_come_later(
    tmp_path, cluster, namespace, pod, tenants
):
    bearer = token(cluster, namespace, pod=pod)
    with running(DirectoryStore(tmp_path), tenants=tenants) as client:
        known = Client(client.url, bearer)
        assert known.lookup()["outcome"] == "missing"
        tenants._cluster = RestCluster(Down())
        assert known.lookup()["outcome"] == "missing"
        stranger = Client(client.url, token(cluster, namespace, pod=pod, seconds=700))
        answer = stranger.ask("GET", "/v1/status")
        assert reason(answer) == (503, "NetworkError")
        assert answer.headers["Retry-After"]

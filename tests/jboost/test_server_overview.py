"""What the controller is told of a group: how far keys are, who recorded, when a builder is wanted."""

import dataclasses

import pytest

from jboost_server.core.control import parse
from jboost_server.core.progress import Stage
from jboost_server.settings import Policy
from jboost_server.store.directory import DirectoryStore
from tests.jboost.server_world import GROUP, Client, Clock, Names, digest, reason, running
from tests.jboost_world import KEY

AOT_KEY = dataclasses.replace(KEY, jvm=dataclasses.replace(KEY.jvm, feature=25))
PATH = f"/v1/tenants/shop/groups/{GROUP}"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def service(tmp_path, clock):
    policy = Policy(fresh=0.0, recorders=2)
    with running(DirectoryStore(tmp_path), tenants=Names(), policy=policy, clock=clock) as client:
        yield client


def as_(service: Client, who: str) -> Client:
    return Client(service.url, who)


def told(service: Client, path: str = PATH):
    answer = as_(service, "system/controller").ask("GET", path)
    assert answer.status_code == 200, answer.text
    return parse.keys(answer.json())


@pytest.mark.parametrize("key", [KEY, AOT_KEY], ids=["classlist", "aot"])
def test_a_builder_is_wanted_from_the_last_recording_to_the_order_and_not_while_it_serves(service, key):
    pods = [as_(service, f"shop/pod-{number}") for number in (1, 2)]
    leases = [pod.lease(key) for pod in pods]
    assert [one.wanted for one in told(service)] == [False]

    for number, (pod, lease) in enumerate(zip(pods, leases, strict=True)):
        assert pod.record(lease, f"java/lang/Object id: {number}\n".encode(), key).status_code == 201
    (found,) = told(service)
    assert (found.digest, found.stage, found.recordings) == (key.digest, Stage.LEARNING, 2)
    assert (found.wanted, sorted(found.recorded_by)) == (True, ["pod-1", "pod-2"])

    builder = as_(service, "shop/builder")
    order = builder.order(key).json()["order"]["id"]
    assert [(one.stage, one.wanted) for one in told(service)] == [(Stage.BUILDING, False)]

    assert builder.upload(order, b"an archive").status_code == 201
    assert builder.result(order, b"an archive").json()["state"] == "serving"
    for _ in range(2):  # read, and remembered
        (found,) = told(service)
        assert (found.stage, found.wanted, found.archive.size) == (Stage.SERVING, False, 10)


def test_what_failed_is_wanted_again_until_it_is_given_up(service, clock):
    for number in (1, 2):
        pod = as_(service, f"shop/pod-{number}")
        pod.record(pod.lease(), f"java/lang/Object id: {number}\n".encode())
    builder, wanted = as_(service, "shop/builder"), []
    for _ in range(3):
        wanted.append(told(service)[0].wanted)
        order = builder.order().json()["order"]["id"]
        builder.ask("POST", f"/v1/builds/{order}/result", json={"failed": "no room"})
    assert wanted == [True, True, True]
    (found,) = told(service)
    assert (found.stage, found.wanted) == (Stage.REFUSED, False)
    clock.now += 86_400
    assert told(service)[0].wanted


def test_a_group_that_nobody_asked_for_has_no_keys(service):
    assert told(service, "/v1/tenants/shop/groups/none") == ()


def test_groups_and_tenants_are_kept_apart(service):
    as_(service, "shop/pod-1").lease()
    as_(service, "bank/pod-1").lease()
    assert len(told(service)) == len(told(service, f"/v1/tenants/bank/groups/{GROUP}")) == 1
    assert told(service, f"/v1/tenants/other/groups/{GROUP}") == ()


@pytest.mark.parametrize("who", ["shop/pod-1", "shop/builder", "system/builder"])
def test_nobody_but_the_controller_looks_at_a_tenant_by_its_name(service, who):
    assert reason(as_(service, who).ask("GET", PATH)) == (401, "WrongToken")


@pytest.mark.parametrize(
    "path", ["/v1/tenants/archives/groups/a", "/v1/tenants/a/groups/A", "/v1/tenants/a/groups/archives"]
)
def test_what_can_be_no_group_is_refused(service, path):
    answer = as_(service, "system/controller").ask("GET", path)
    assert reason(answer) == (400, "BadRequest")


def serves(service: Client) -> str:
    """An archive serves; its digest."""
    for number in (1, 2):
        pod = as_(service, f"shop/pod-{number}")
        assert pod.record(pod.lease(), f"java/lang/Object id: {number}\n".encode()).status_code == 201
    builder = as_(service, "shop/builder")
    order = builder.order().json()["order"]["id"]
    assert builder.upload(order, b"an archive").status_code == 201
    assert builder.result(order, b"an archive").json()["state"] == "serving"
    return digest(b"an archive")


def died(service: Client, archive: str, pod: str, who: str = "system/controller", **more: str):
    body = {"key": KEY.digest, "archive": archive, "pod": pod, "outcome": "crash", "why": "SIGSEGV in p"}
    return as_(service, who).ask("POST", f"{PATH}/outcomes", json=body | more)


def test_an_archive_of_which_jvms_die_is_withdrawn_after_as_many_deaths_as_the_policy_says(service):
    archive = serves(service)
    for death in ("a/app/1", "a/app/1", "a/app/2"):  # one is told twice
        assert died(service, archive, death).status_code == 204
    assert as_(service, "shop/pod-9").lookup()["outcome"] == "hit"
    assert died(service, archive, "b/app/1").status_code == 204
    (found,) = told(service)
    assert (found.stage, found.archive) == (Stage.WITHDRAWN, None)
    assert "SIGSEGV in p" in found.why
    assert as_(service, "shop/pod-9").lookup()["outcome"] != "hit"


def test_what_was_withdrawn_never_comes_back_of_the_same_recordings(service):
    archive = serves(service)
    for death in "abc":
        died(service, archive, death)
    assert as_(service, "shop/builder").order().status_code == 204


def test_only_the_controller_accuses_and_of_nothing_but_a_death(service):
    archive = serves(service)
    assert reason(died(service, archive, "a", who="shop/pod-1")) == (401, "WrongToken")
    assert reason(died(service, archive, "a", who="shop/builder")) == (401, "WrongToken")
    assert reason(died(service, archive, "a", outcome="hit")) == (400, "BadRequest")
    assert reason(died(service, "x", "a")) == (400, "BadRequest")
    assert reason(died(service, archive, "")) == (400, "BadRequest")
    assert died(service, digest(b"nobody's"), "a").status_code == 204  # it is gone: nothing to say
    assert told(service)[0].stage is Stage.SERVING

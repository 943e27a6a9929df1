"""A token that was projected for one group is good for no other of its namespace, whoever stole it."""

from __future__ import annotations

import pytest

from jboost_server.settings import Policy
from jboost_server.store.directory import DirectoryStore
from tests.jboost.server_world import CLASSES, GROUP, Client, Names, digest, reason, running
from tests.jboost_world import KEY

OTHER = "billing"
WRONG = (403, "WrongGroup")


@pytest.fixture
def service(tmp_path):
    with running(DirectoryStore(tmp_path), tenants=Names(), policy=Policy(fresh=0.0)) as client:
        yield client


@pytest.fixture
def archive(service):
    """Of the group GROUP; its digest."""
    builder = Client(service.url, "shop/builder")
    return builder.publish(b"an archive")


def as_(service: Client, who: str) -> Client:
    return Client(service.url, who)


def asked(client: Client, group: str, *, record: bool = False):
    return client.ask("POST", "/v1/lookup", json={"group": group, "key": KEY.tree(), "record": record})


def test_it_is_good_for_its_own_group(service, archive):
    own = as_(service, f"shop/pod@{GROUP}")
    assert own.lookup()["outcome"] == "hit"
    assert own.archive(archive).content == b"an archive"
    assert own.outcome("hit", archive).status_code == 204
    (group,) = own.ask("GET", "/v1/status").json()["groups"]
    assert group["group"] == GROUP


def test_it_neither_reads_nor_changes_anything_of_another_group(service, archive):
    thief = as_(service, f"shop/pod@{OTHER}")
    assert reason(asked(thief, GROUP)) == WRONG
    assert reason(asked(thief, GROUP, record=True)) == WRONG
    assert reason(thief.archive(archive)) == (404, "NoObject")
    assert reason(thief.outcome("crash", archive)) == WRONG
    assert reason(thief.ask("GET", f"/v1/status?group={GROUP}")) == WRONG
    assert thief.ask("GET", "/v1/status").json()["groups"] == []
    lease = as_(service, "shop/pod").lookup(record=True)["recorder"]
    assert lease is None  # it serves: nobody records
    assert reason(thief.record("0" * 16)) == WRONG
    assert as_(service, "shop/pod").lookup()["outcome"] == "hit"


def test_a_builders_token_of_one_group_takes_and_brings_nothing_of_another(service):
    pod = as_(service, "shop/pod")
    assert pod.record(pod.lease()).status_code == 201
    thief, builder = as_(service, f"shop/builder@{OTHER}"), as_(service, f"shop/builder@{GROUP}")
    assert reason(thief.order()) == WRONG
    order = builder.order().json()["order"]["id"]
    for method, path in (("GET", "input"), ("PUT", f"archive?digest={digest(b'x')}"), ("POST", "result")):
        answer = thief.ask(method, f"/v1/builds/{order}/{path}", data=b"x")
        assert reason(answer) == WRONG, path
    assert builder.ask("GET", f"/v1/builds/{order}/input").status_code == 200
    assert builder.upload(order, b"an archive").status_code == 201
    assert builder.result(order, b"an archive").json()["state"] == "serving"


def test_an_archive_of_two_groups_is_each_ones_own(service, archive):
    """Equal bytes are kept once, and belong to whoever's manifest names them."""
    other = as_(service, "shop/builder")
    assert other.publish(b"an archive", group=OTHER, classes=CLASSES) == archive
    for group in (GROUP, OTHER):
        assert as_(service, f"shop/pod@{group}").archive(archive).status_code == 200
    assert reason(as_(service, "shop/pod@third").archive(archive)) == (404, "NoObject")


def test_one_without_a_group_is_good_for_all_of_its_namespace_and_for_no_other(service, archive):
    assert as_(service, "shop/pod").lookup()["outcome"] == "hit"
    assert asked(as_(service, "shop/pod"), OTHER).status_code == 200
    assert as_(service, f"stranger/pod@{GROUP}").lookup()["outcome"] == "missing"
    assert reason(as_(service, f"stranger/pod@{GROUP}").archive(archive)) == (404, "NoObject")

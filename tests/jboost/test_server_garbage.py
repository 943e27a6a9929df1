"""What is swept from a store, and what stays; on a directory and on a real S3 server."""

import dataclasses
import time

import pytest

from jboost_server import garbage
from jboost_server.core.retention import DAY, Retention
from tests.jboost.server_world import GROUP, Client, Clock, Names, running
from tests.jboost.test_server_loop import ARCHIVE
from tests.jboost_world import JAR, KEY

OTHER = dataclasses.replace(KEY, class_path=(JAR,))


@pytest.fixture
def now():
    """Objects have the store's time."""
    return int(time.time())


@pytest.fixture
def client(store):
    with running(store) as client:
        yield client


def names(store):
    return [stat.name for stat in store.list()]


def test_what_is_in_use_stays(store, client, now):
    name = client.publish(ARCHIVE)
    before = names(store)
    assert garbage.collect(store, Retention(), now + 2 * DAY) == []
    assert names(store) == before
    assert client.archive(name).content == ARCHIVE


def test_what_nobody_used_for_long_goes_whole_and_is_learned_anew(store, client, now):
    client.publish(ARCHIVE)
    long_after = now + 15 * DAY + 3600
    would = garbage.collect(store, Retention(), long_after, dry_run=True)
    assert names(store) != []
    assert garbage.collect(store, Retention(), long_after) == would
    assert names(store) == []
    assert "unused for 15 days" in would[0].why and would[0].size > 0
    assert client.lookup(record=True)["outcome"] == "learning"


def test_an_old_build_of_a_group_makes_room_for_a_newer_one(store, now):
    clock = Clock(now)
    with running(store, clock=clock) as client:
        old = client.publish(ARCHIVE)
        clock.now += 1
        new = client.publish(ARCHIVE + b"2", OTHER)
        gone = garbage.collect(store, Retention(keep_builds=1, grace=0), now + 60)
        assert KEY.digest in gone[0].what and old in gone[1].what and len(gone) == 2
        assert (client.lookup()["outcome"], client.lookup(OTHER)["outcome"]) == ("classpath", "hit")
        assert (client.archive(old).status_code, client.archive(new).status_code) == (404, 200)


def test_an_archive_that_was_uploaded_just_now_waits_for_its_manifest(store, client, now):
    client.record(client.lease())
    order = client.order().json()["order"]["id"]
    client.upload(order, ARCHIVE)
    assert garbage.collect(store, Retention(), now + 60) == []
    assert garbage.collect(store, Retention(grace=0), now + 60) == []  # a build order names it
    assert client.result(order, ARCHIVE).json()["state"] == "serving"


def test_a_recording_whose_upload_was_never_finished_goes_after_a_while(store, client, now):
    client.lease()
    orphan = f"local/{GROUP}/{KEY.digest}/recordings/{'e' * 64}"
    store.put_new(orphan, [b"1"], 1)
    assert garbage.collect(store, Retention(), now + 60) == []
    assert [deleted.what for deleted in garbage.collect(store, Retention(), now + 2 * DAY)] == [orphan]


def test_one_tenants_sweep_leaves_the_others_alone(store, now):
    with running(store, tenants=Names()) as client:
        for tenant in ("shop", "bank"):
            Client(client.url, f"{tenant}/builder").publish(ARCHIVE)
        garbage.collect(store, Retention(), now + 16 * DAY, tenant="shop")
        assert {name.split("/")[0] for name in names(store)} == {"bank"}

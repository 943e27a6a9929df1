"""What is swept from a store, and what stays; on a directory and on a real S3 server."""

import dataclasses
import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from jboost_server import garbage
from jboost_server.core.retention import DAY, Retention
from jboost_server.store.directory import DirectoryStore
from tests.jboost.faulty_store import FaultyStore, later
from tests.jboost.server_world import GROUP, PLAIN, Client, Clock, Names, digest, running
from tests.jboost.test_server_loop import ARCHIVE
from tests.jboost_world import JAR, KEY
from tests.waiting import until

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


def test_the_service_deletes_by_itself_what_nobody_used_for_long(store, now):
    clock = Clock(now)
    with running(store, clock=clock, sweep=0.02) as client:
        name = client.publish(ARCHIVE)
        assert client.archive(name).content == ARCHIVE
        clock.now += 15 * DAY + 3600
        until(lambda: names(store) == [], what="the service collects garbage")
        assert client.lookup()["outcome"] == "missing"


def test_a_store_that_is_unwell_does_not_end_the_collecting(tmp_path, now):
    def fault(method, name):
        if method == "list" and not name and next(sweeps) < 2:
            raise later()

    sweeps = itertools.count()
    store = DirectoryStore(tmp_path)
    with running(FaultyStore(store, fault=fault), clock=Clock(now + 16 * DAY), sweep=0.02):
        store.put_new(f"local/archives/{'e' * 64}", [b"1"], 1)
        until(lambda: names(store) == [], what="the third sweep deletes")


def test_replicas_that_collect_at_the_same_time_do_not_disturb_one_another(tmp_path, now):
    store = DirectoryStore(tmp_path)
    with running(store) as client:
        for group in ("a", "b", "c", "d"):
            client.publish(ARCHIVE + group.encode(), group=group)
    long_after = now + 16 * DAY
    with ThreadPoolExecutor(3) as replicas:
        swept = [replicas.submit(garbage.collect, store, Retention(), long_after) for _ in range(3)]
        told = {each.what for one in swept for each in one.result()}
    assert len([what for what in told if "/archives/" in what]) == 4
    assert names(store) == []


def unused(store, tenant="local"):
    return [name for name in names(store) if name.startswith(f"{tenant}/archives/")]


def test_an_order_keeps_one_archive_and_none_once_it_came_to_nothing(store, client):
    client.record(client.lease())
    order = client.order().json()["order"]["id"]
    client.upload(order, ARCHIVE)
    client.upload(order, ARCHIVE + b"2")
    assert unused(store) == [f"local/archives/{digest(ARCHIVE + b'2')}"]
    client.ask("POST", f"/v1/builds/{order}/result", json={"failed": "out of memory"})
    assert unused(store) == []
    order = client.order().json()["order"]["id"]
    client.upload(order, ARCHIVE)
    assert client.result(order, ARCHIVE, plain=PLAIN, warm=PLAIN).json()["state"] == "refused"
    assert unused(store) == []


def test_an_archive_that_serves_outlives_an_order_that_brought_it_once_more_in_vain(store, client):
    name = client.publish(ARCHIVE)
    client.record(client.lease(OTHER), key=OTHER)
    order = client.order(OTHER).json()["order"]["id"]
    client.upload(order, ARCHIVE)
    client.ask("POST", f"/v1/builds/{order}/result", json={"failed": "out of memory"})
    assert client.archive(name).content == ARCHIVE


def test_one_tenants_sweep_leaves_the_others_alone(store, now):
    with running(store, tenants=Names()) as client:
        for tenant in ("shop", "bank"):
            Client(client.url, f"{tenant}/builder").publish(ARCHIVE)
        garbage.collect(store, Retention(), now + 16 * DAY, tenant="shop")
        assert {name.split("/")[0] for name in names(store)} == {"bank"}

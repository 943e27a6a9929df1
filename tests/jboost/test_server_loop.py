"""The whole way of an archive over HTTP, on a directory and on a real S3 server."""

import base64
import dataclasses
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import zstandard

from jboost_server.builds import Builds
from jboost_server.catalogue import Catalogue
from jboost_server.core import merge, orders
from jboost_server.core.lookup import Scope
from jboost_server.core.manifest import Preflight, verify
from jboost_server.settings import Policy
from jboost_server.signing import Signer
from tests.jboost.server_world import (
    CLASSES,
    GROUP,
    PLAIN,
    SIGNER,
    Client,
    Clock,
    Names,
    digest,
    reason,
    running,
)
from tests.jboost_world import JAR, KEY
from tests.waiting import until

ARCHIVE = bytes(range(256)) * 4096
AOT = dataclasses.replace(KEY, jvm=dataclasses.replace(KEY.jvm, feature=25))
OTHER = dataclasses.replace(KEY, class_path=(JAR,))


@pytest.fixture
def client(store):
    with running(store) as client:
        yield client


def envelope(answer):
    return json.dumps(answer["proposals"][0]).encode()


def test_a_pod_learns_and_the_next_one_gets_a_signed_archive(client):
    assert client.lookup()["outcome"] == "missing"
    name = client.publish(ARCHIVE)
    answer = client.lookup(record=True)
    signed = verify(envelope(answer), SIGNER.publics)
    assert (answer["outcome"], answer["recorder"]) == ("hit", None)
    assert (signed.digest, signed.size, signed.key, signed.preflight) == (
        name,
        len(ARCHIVE),
        KEY,
        Preflight.REQUIRED,
    )
    assert client.archive(name).content == ARCHIVE


COMMON = {"java/lang/Object"}


@pytest.mark.parametrize(
    ("threshold", "classes"),
    [(1, COMMON | {"java/lang/String", "org/shop/Orders", "org/shop/Rare"}), (2, COMMON)],
)
def test_what_is_built_of_is_the_merge_of_all_recordings(store, threshold, classes):
    with running(store, policy=Policy(recorders=2, fresh=0.0, threshold=threshold)) as client:
        leases = [client.lease(), client.lease()]
        lists = [CLASSES, b"java/lang/Object id: 0\norg/shop/Rare id: 1\n"]
        for lease, data in zip(leases, lists, strict=True):
            assert client.record(lease, data).status_code == 201
        order = client.order().json()["order"]
        data = client.ask("GET", f"/v1/builds/{order['id']}/input").content
        assert (digest(data), len(data), order["form"]) == (order["input"], order["size"], "classlist")
        assert set(data.decode().splitlines()[1:]) == classes


def test_nothing_is_built_while_a_recorder_is_at_work_and_too_few_came(store):
    clock = Clock()
    with running(store, policy=Policy(recorders=2, fresh=0.0, lease=100), clock=clock) as client:
        lease, _ = client.lease(), client.lease()
        client.record(lease)
        assert client.order().status_code == 204
        clock.now += 100
        assert client.order().status_code == 200


def test_no_more_pods_record_than_are_wanted(client):
    client.lease()
    answer = client.lookup(record=True)
    assert (answer["outcome"], answer["recorder"]) == ("missing", None)


def test_a_recorder_that_died_does_not_block_the_next(store):
    clock = Clock()
    with running(store, policy=Policy(fresh=0.0, lease=100), clock=clock) as client:
        first = client.lease()
        clock.now += 100
        second = client.lease()
        assert reason(client.record(first)) == (403, "NoLease")
        assert client.record(second).status_code == 201


def test_an_archive_that_is_not_faster_is_refused_and_not_built_again(client):
    client.record(client.lease())
    order = client.order().json()["order"]["id"]
    client.upload(order, ARCHIVE)
    verdict = client.result(order, ARCHIVE, plain=PLAIN, warm=PLAIN).json()
    assert (verdict["state"], verdict["gain"]) == ("refused", 0)
    answer = client.lookup(record=True)
    assert answer["outcome"] == "missing" and "refused" in answer["why"][0]
    assert client.order().status_code == 204
    assert client.archive(digest(ARCHIVE)).status_code == 404


UNCLEAR = {"plain": [100, 200, 300, 400, 500], "warm": [90, 110, 150, 310, 490]}


def measure_in_vain(client):
    """Three builds on a machine too noisy to tell anything."""
    client.record(client.lease())
    for number in range(3):
        order = client.order().json()["order"]["id"]
        client.upload(order, ARCHIVE)
        verdict = client.result(order, ARCHIVE, **UNCLEAR).json()
        assert verdict["state"] == "refused" and "measure more" in verdict["why"], number
    assert client.order().status_code == 204


def test_a_measurement_that_tells_nothing_is_made_again_at_once_and_later_once_a_day(store):
    clock = Clock()
    with running(store, clock=clock) as client:
        measure_in_vain(client)
        clock.now += orders.REST
        assert client.order().status_code == 200


def test_what_was_measured_in_vain_is_told_and_can_be_tried_again_at_once(store, client):
    measure_in_vain(client)
    (key,) = client.ask("GET", "/v1/status").json()["groups"][0]["keys"]
    assert key["state"] == "Refused"
    assert "measure more" in key["why"] and "--again" in key["why"]
    catalogue = Catalogue(store, SIGNER, Policy(), clock=time.time, monotonic=time.monotonic)
    Builds(catalogue).forgive(Scope("local", GROUP))
    order = client.order().json()["order"]["id"]
    client.upload(order, ARCHIVE)
    assert client.result(order, ARCHIVE).json()["state"] == "serving"


def test_what_was_refused_can_be_built_again(store, client):
    client.record(client.lease())
    order = client.order().json()["order"]["id"]
    client.upload(order, ARCHIVE)
    assert client.result(order, ARCHIVE, plain=PLAIN, warm=PLAIN).json()["state"] == "refused"
    assert client.order().status_code == 204
    catalogue = Catalogue(store, SIGNER, Policy(), clock=time.time, monotonic=time.monotonic)
    Builds(catalogue).forgive(Scope("local", GROUP))
    assert client.order().status_code == 200


def test_a_result_that_is_told_twice_is_judged_once(client):
    client.record(client.lease())
    order = client.order().json()["order"]["id"]
    client.upload(order, ARCHIVE)
    first = client.result(order, ARCHIVE).json()
    assert client.result(order, ARCHIVE, warm=PLAIN).json() == first


def test_a_build_that_failed_is_tried_again_until_it_is_given_up(client):
    client.record(client.lease())
    for _ in range(3):
        order = client.order().json()["order"]["id"]
        answer = client.ask("POST", f"/v1/builds/{order}/result", json={"failed": "out of memory"})
        assert answer.json()["state"] == "failed"
    assert client.order().status_code == 204
    keys = client.ask("GET", "/v1/status").json()["groups"][0]["keys"]
    assert "out of memory" in keys[0]["why"]


def test_one_builder_at_a_time_and_the_same_order_for_it_again(client):
    client.record(client.lease())
    first = client.order(holder="one").json()
    assert reason(client.order(holder="two")) == (409, "Held")
    assert client.order(holder="one").json() == first


def test_an_order_is_over_when_its_time_is(store):
    clock = Clock()
    with running(store, policy=Policy(fresh=0.0, order=100), clock=clock) as client:
        client.record(client.lease())
        old = client.order(holder="one").json()["order"]["id"]
        clock.now += 100
        assert client.order(holder="two").status_code == 200
        assert reason(client.upload(old, ARCHIVE)) == (404, "NoOrder")
        assert reason(client.ask("GET", f"/v1/builds/{old}/input")) == (404, "NoOrder")


def test_a_result_for_another_archive_than_was_uploaded_is_refused(client):
    client.record(client.lease())
    order = client.order().json()["order"]["id"]
    client.upload(order, ARCHIVE)
    assert reason(client.result(order, b"another")) == (404, "NoOrder")


def test_of_binary_recordings_the_one_that_saw_most_is_built_of(store):
    """It is never opened: any bytes do."""
    with running(store, policy=Policy(recorders=2, fresh=0.0)) as client:
        small, large = b"\xff" * 1000, b"\x00" * 5000
        for lease, data in ((client.lease(AOT), small), (client.lease(AOT), large)):
            assert client.record(lease, data, AOT).status_code == 201
        order = client.order(AOT).json()["order"]
        assert (order["form"], order["input"]) == ("aot", digest(large))
        assert client.ask("GET", f"/v1/builds/{order['id']}/input").content == large
        client.upload(order["id"], ARCHIVE)
        assert client.result(order["id"], ARCHIVE).json()["state"] == "serving"
        assert client.order(AOT).status_code == 204


def test_another_key_misses_with_the_difference(client):
    client.publish(ARCHIVE)
    answer = client.lookup(OTHER)
    assert (answer["outcome"], answer["proposals"]) == ("classpath", [])
    assert "entries" in answer["why"][0]


def test_a_recording_is_taken_once(client):
    lease = client.lease()
    assert client.record(lease).json() == {"state": "accepted", "recordings": 1}
    again = client.record(lease)
    assert (again.status_code, again.json()) == (200, {"state": "known", "recordings": 1})


def test_two_uploads_of_one_recording_at_once_are_one_recording(store):
    with running(store, policy=Policy(recorders=2, fresh=0.0)) as client:
        leases = [client.lease(), client.lease()]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda lease: Client(client.url).record(lease), leases))
        assert {answer.status_code for answer in answers} <= {200, 201}
        assert client.ask("GET", "/v1/status").json()["groups"][0]["keys"][0]["recordings"] == 1


def test_an_archive_is_had_whole_in_ranges_and_compressed(client):
    name = client.publish(ARCHIVE)
    tag = f'"{name}"'
    whole = client.archive(name)
    assert (whole.status_code, whole.headers["ETag"], whole.headers["Accept-Ranges"]) == (200, tag, "bytes")
    for sent, start, end in (("0-9", 0, 10), ("10-", 10, None), ("-7", -7, None), ("5-99999999", 5, None)):
        part = client.archive(name, Range=f"bytes={sent}")
        assert (part.status_code, part.content) == (206, ARCHIVE[start:end])
    assert part.headers["Content-Range"] == f"bytes 5-{len(ARCHIVE) - 1}/{len(ARCHIVE)}"
    assert client.archive(name, If_None_Match=tag).status_code == 304
    assert client.archive(name, Range="bytes=0-9", If_Range=tag).status_code == 206
    assert client.archive(name, Range="bytes=0-9", If_Range='"old"').status_code == 200
    assert reason(client.archive(name, Range=f"bytes={len(ARCHIVE)}-")) == (416, "BadRange")
    for odd in ("bytes=0-1,4-5", "lines=1-2", "bytes=9-2", "bytes=-", "bytes=x-"):
        assert client.archive(name, Range=odd).status_code == 200
    head = client.ask("HEAD", f"/v1/archives/{name}", headers={"Accept-Encoding": "identity"})
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(len(ARCHIVE)), b"")
    with client.session.get(
        f"{client.url}/v1/archives/{name}", headers={"Accept-Encoding": "br, zstd"}, stream=True
    ) as packed:
        raw = packed.raw.read(decode_content=False)
    assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == ("zstd", "Accept-Encoding")
    assert len(raw) < len(ARCHIVE)
    assert zstandard.ZstdDecompressor().decompressobj().decompress(raw) == ARCHIVE


def test_status_says_how_far_every_key_is(client):
    def state():
        keys = client.ask("GET", "/v1/status", params={"group": GROUP}).json()["groups"][0]["keys"]
        return keys[0]["state"]

    lease = client.lease()
    assert state() == "Learning"
    client.record(lease)
    order = client.order().json()["order"]["id"]
    assert state() == "Building"
    client.upload(order, ARCHIVE)
    client.result(order, ARCHIVE)
    assert state() == "Serving"
    key = client.ask("GET", "/v1/status").json()["groups"][0]["keys"][0]
    assert (key["key"], key["jdk"], key["arch"], key["recordings"]) == (KEY.digest, "17.0.15+6", "amd64", 1)
    assert (key["archive"]["plain"], key["archive"]["warm"]) == (102, 52)


def test_after_enough_good_preflights_none_is_asked_for_until_one_fails(store):
    with running(store, policy=Policy(fresh=0.0, waive_after=3)) as client:
        name = client.publish(ARCHIVE)

        def preflight():
            return verify(envelope(client.lookup()), SIGNER.publics).preflight

        for _ in range(5):
            assert client.outcome("hit", name, total=100).status_code == 204
        for _ in range(2):
            client.outcome("hit", name, total=200, preflight=90)
        until(lambda: hits(client) == 7)
        assert preflight() is Preflight.REQUIRED  # five of the seven did not try it
        client.outcome("hit", name, total=200, preflight=90)
        until(lambda: preflight() is Preflight.WAIVED)
        assert client.outcome("preflight", name).status_code == 204
        assert preflight() is Preflight.REQUIRED


def hits(client):
    return key_status(client)["hits"]


@pytest.mark.parametrize("harm", ["preflight", "crash"])
def test_an_archive_that_jvms_refuse_or_die_of_is_withdrawn_from_all(store, harm):
    with running(store, policy=Policy(fresh=0.0, withdraw_after=2)) as client:
        name = client.publish(ARCHIVE)
        client.outcome(harm, name)
        assert client.lookup()["outcome"] == "hit"
        client.outcome(harm, name)
        answer = client.lookup(record=True)
        assert (answer["outcome"], answer["recorder"]) == ("missing", None)
        assert "2 pods" in answer["why"][0]
        assert client.archive(name).status_code == 404
        until(lambda: key_status(client)["misses"] == {harm: 2})
        assert key_status(client)["state"] == "Withdrawn"


def test_one_pod_alone_has_no_archive_withdrawn_however_often_it_dies(store):
    with running(store, policy=Policy(fresh=0.0, withdraw_after=2), tenants=Names()) as client:
        name = Client(client.url, "shop/builder").publish(ARCHIVE)
        pod = Client(client.url, "shop/pod")
        for _ in range(3):
            assert pod.outcome("crash", name).status_code == 204
        (proposal,) = pod.lookup()["proposals"]
        assert verify(json.dumps(proposal).encode(), SIGNER.publics).preflight is Preflight.REQUIRED


def key_status(client):
    return client.ask("GET", "/v1/status").json()["groups"][0]["keys"][0]


def test_tenants_have_nothing_in_common(store):
    with running(store, tenants=Names()) as client:
        ours, theirs = (Client(client.url, f"{tenant}/builder") for tenant in ("shop", "bank"))
        name = ours.publish(ARCHIVE)
        assert theirs.lookup()["outcome"] == "missing"
        assert theirs.archive(name).status_code == 404
        assert theirs.ask("GET", "/v1/status").json() == {"groups": []}
        lease = theirs.lease()
        assert reason(ours.record(lease)) == (403, "NoLease")
        theirs.record(lease)
        order = theirs.order().json()["order"]["id"]
        assert reason(ours.upload(order, ARCHIVE)) == (404, "NoOrder")
        assert reason(ours.ask("GET", f"/v1/builds/{order}/input")) == (404, "NoOrder")
        theirs.outcome("preflight", name)
        assert ours.lookup()["outcome"] == "hit"


def test_archives_signed_before_a_key_was_added_are_signed_with_both(store):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    new = Ed25519PrivateKey.generate()
    with running(store) as client:
        client.publish(ARCHIVE)
    both = Signer((*SIGNER.keys, new))
    with running(store, signer=both) as client:
        assert len(client.lookup()["proposals"][0]["signatures"]) == 2
    with running(store, signer=Signer((new,))) as client:
        assert verify(envelope(client.lookup()), [new.public_key().public_bytes_raw()]).key == KEY


def test_what_another_key_signed_is_not_proposed(store):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    with running(store) as client:
        client.publish(ARCHIVE)
    with running(store, signer=Signer((Ed25519PrivateKey.generate(),))) as client:
        assert client.lookup()["outcome"] == "missing"


@pytest.mark.s3
def test_readers_are_sent_to_the_bucket_with_an_address_and_no_token(bucket):
    with running(bucket, redirect=True, tenants=Names()) as client:
        client.token = "shop/builder"
        name = client.publish(ARCHIVE)
        answer = client.archive(name)
        assert (answer.status_code, answer.content) == (307, b"")
        there = answer.headers["Location"]
        assert "shop/builder" not in there
        assert requests.get(there, timeout=10).content == ARCHIVE
        assert requests.get(there, headers={"Range": "bytes=1-3"}, timeout=10).content == ARCHIVE[1:4]


def test_the_merge_in_the_store_is_readable(store, client):
    client.record(client.lease())
    client.order()
    name = next(stat.name for stat in store.list() if stat.name.endswith("/merge.json"))
    with store.get(name) as opened:
        assert merge.decode(b"".join(opened.chunks)).recordings == (digest(CLASSES),)


def test_a_manifest_in_an_answer_is_base64_of_what_was_signed(client):
    client.publish(ARCHIVE)
    manifest = json.loads(base64.b64decode(client.lookup()["proposals"][0]["manifest"]))
    assert (manifest["tenant"], manifest["group"], manifest["digest"]) == ("local", GROUP, digest(ARCHIVE))

"""The admission endpoint: what the API server is told, and that no mistake of ours keeps a pod out."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from dataclasses import replace

import httpx
import pytest

from jboost_server.core.injection.choose import cache_of
from jboost_server.core.injection.reason import Reason
from jboost_server.webhook import app as webhook
from jboost_server.webhook.app import MAX_BODY, Metrics, create_app
from jboost_server.webhook.recorders import EVERY, Recorders
from tests.injected import INSTALLATION, SPACE, cache, patched, pod


def review(one: object = None, **request) -> dict:
    """As the API server asks about a new pod."""
    asked = {
        "uid": "705ab4f5",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "operation": "CREATE",
        "namespace": SPACE,
        "object": pod() if one is None else one,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked | request}


class Asked:
    """The application with these JavaCaches."""

    def __init__(self, caches=lambda _: [cache()], unready: str = "") -> None:
        self.metrics = Metrics()
        self.app = create_app(caches, INSTALLATION, self.metrics, lambda: unready)

    def get(self, path: str) -> httpx.Response:
        return asyncio.run(self._request("GET", path))

    def post(self, content: object) -> httpx.Response:
        return asyncio.run(self._request("POST", "/inject", content=content))

    async def _request(self, method: str, path: str, **more) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="https://webhook") as client:
            return await client.request(method, path, **more)

    def answer(self, body: object) -> dict:
        reply = self.post(json.dumps(body).encode())
        assert reply.status_code == 200, reply.text
        return reply.json()["response"]

    def counted(self) -> dict[str, float]:
        samples = [one for family in self.metrics.registry.collect() for one in family.samples]
        found = [one for one in samples if one.name == "jboost_webhook_reviews_total" and one.value]
        return {one.labels["reason"]: one.value for one in found}


def test_a_pod_that_is_selected_comes_back_with_a_patch_and_is_counted():
    asked = Asked()

    answer = asked.answer(review())

    operations = json.loads(base64.b64decode(answer["patch"]))
    assert (answer["uid"], answer["allowed"], answer["patchType"]) == ("705ab4f5", True, "JSONPatch")
    assert answer["auditAnnotations"] == {"reason": "Injected"}
    names = [one["name"] for one in patched(pod(), operations)["spec"]["initContainers"]]
    assert names == ["jboost-agent", "jboost-fetch"]
    assert asked.counted() == {"Injected": 1}


def test_a_pod_that_is_left_is_let_in_without_a_patch_and_with_its_reason():
    asked = Asked(lambda _: [])

    answer = asked.answer(review())

    assert answer == {"uid": "705ab4f5", "allowed": True, "auditAnnotations": {"reason": "NotSelected"}}
    assert asked.counted() == {"NotSelected": 1}


def test_only_java_caches_of_the_pods_namespace_are_asked_for():
    spaces = []
    asked = Asked(lambda space: spaces.append(space) or [])

    asked.answer(review(namespace="other"))

    assert spaces == ["other"]


def test_our_own_mistake_lets_the_pod_in_is_counted_and_logged(caplog):
    def broken(_: str):
        raise RuntimeError("a bug")

    asked = Asked(broken)
    with caplog.at_level(logging.WARNING):
        answer = asked.answer(review())

    assert (answer["allowed"], "patch" in answer) == (True, False)
    assert asked.counted() == {"Mistake": 1}
    assert "our own mistake" in caplog.text


@pytest.mark.parametrize("one", [{}, {"spec": None}, {"spec": {"containers": "a"}}, [], "pod", 7])
def test_a_pod_that_is_none_is_let_in_for_the_api_server_to_refuse(one):
    asked = Asked()

    assert asked.answer(review(one))["allowed"] is True
    assert asked.counted() == {"Unreadable": 1}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b"null",
        b"{}",
        json.dumps(review(operation="UPDATE")).encode(),
        json.dumps(review(kind={"group": "apps", "kind": "Deployment"})).encode(),
        json.dumps(review(uid=None)).encode(),
    ],
)
def test_what_is_no_review_of_a_new_pod_is_refused(body):
    assert Asked().post(body).status_code == 400


def test_a_body_that_does_not_end_is_not_read_to_its_end():
    read = 0

    async def endless():
        nonlocal read
        while read < 10 * MAX_BODY:
            read += 2**20
            yield b" " * 2**20

    assert Asked().post(endless()).status_code == 413
    assert read < 2 * MAX_BODY


def test_it_is_ready_when_pods_are_injected_and_alive_before():
    asked = Asked(unready="JavaCaches were not read yet")

    assert asked.get("/healthz").status_code == 200
    assert asked.get("/readyz").status_code == 503
    assert Asked().get("/readyz").status_code == 200


def test_every_reason_is_a_series_from_the_beginning():
    page = Asked().get("/metrics").text

    assert [one for one in Reason if f'jboost_webhook_reviews_total{{reason="{one}"}} 0.0' not in page] == []
    assert webhook.MAX_BODY > 3 * 2**20


def recorders(asked: Asked, count: int, **request) -> list[bool]:
    """Of so many new pods which ones may record."""
    found = []
    for _ in range(count):
        one = pod()
        patch = json.loads(base64.b64decode(asked.answer(review(one, **request))["patch"]))
        names = [each["name"] for each in patched(one, patch)["spec"]["initContainers"]]
        found.append("jboost-record" in names)
    return found


def test_as_many_new_pods_record_as_their_java_cache_says_and_those_that_are_only_tried_take_no_turn():
    asked = Asked(lambda _: [cache(training={"recorders": 2})])
    assert recorders(asked, 3, dryRun=True) == [False] * 3
    assert recorders(asked, 4) == [True, True, False, False]


@pytest.mark.parametrize("wanted", [0, 1])
def test_where_no_archive_gains_enough_one_pod_looks_for_a_new_image_and_all_others_cost_nothing(wanted):
    found = replace(cache(training={"recorders": wanted}), refused=True)
    asked = Asked(lambda _: [found])
    assert recorders(asked, 1) == [bool(wanted)]
    assert ["patch" in asked.answer(review()) for _ in range(3)] == [False] * 3
    assert asked.counted() == {Reason.INJECTED: 1, Reason.NOTHING_GAINED: 3}
    assert "patch" in asked.answer(review(dryRun=True)), "a pod that is only tried has its turn"


def test_a_status_that_says_refused_is_what_counts():
    spec = {"metadata": {"name": "orders", "namespace": SPACE}, "spec": {"selector": {"matchLabels": {}}}}
    states = ("Refused", "Learning", "Serving", "of a later version")
    found = [cache_of(spec | {"status": {"state": state}}).refused for state in states]
    assert found == [True, False, False, False]
    assert not cache_of(spec).refused


def test_no_pod_records_unless_its_java_cache_says_so():
    assert recorders(Asked(), 2) == [False, False]


def test_a_pod_that_is_asked_about_again_takes_no_further_turn():
    asked = Asked(lambda _: [cache(training={"recorders": 1})])
    first = pod()
    patch = json.loads(base64.b64decode(asked.answer(review(first))["patch"]))
    again = patched(first, patch)
    again["spec"]["containers"][0]["image"] = "mirror/shop/orders:1"
    patch = json.loads(base64.b64decode(asked.answer(review(again))["patch"]))
    names = [each["name"] for each in patched(again, patch)["spec"]["initContainers"]]
    assert names == ["jboost-agent", "jboost-fetch", "jboost-record"]
    assert recorders(asked, 1) == [False]


def test_after_half_an_hour_others_may_record_and_caches_count_apart():
    turns, one, other = Recorders(), ("shop", "orders"), ("shop", "carts")
    assert [turns.take(one, 1, at) for at in (0.0, EVERY - 1, EVERY, EVERY + 1)] == [True, False, True, False]
    assert turns.take(other, 1, EVERY + 1)
    assert not turns.take(other, 0, 9 * EVERY)
    assert turns.take(one, 1, 9 * EVERY)
    assert len(turns._taken) == 1, "what is over is forgotten"

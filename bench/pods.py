"""Real pods on real kubelets: from a pod's creation to its first answer, with a JavaCache and without; and
the pods that are missing while one of two nodes is drained.

`WARMROOT_ROUNDS` says how many starts there are of each kind; at least five.
"""

from __future__ import annotations

import http.client
import statistics
import sys
import time
import uuid
from pathlib import Path

from bench.javastart.entry import runtimes, workplace
from bench.javastart.race import ROUNDS, machine
from bench.report import Row
from jboost_server.core.promotion import judge
from testbed.apps import spring, traffic
from testbed.apps.application import Layout
from testbed.setup.jdk import Jdk
from testbed.workers import pods
from testbed.workers.bed import Bed, bed
from testbed.workers.java import JavaCaches
from testbed.workers.shop import PORT, Shop, ready_at
from warmroot.cache import cache_dir
from warmroot.errors import NotFound, ProgramDied
from warmroot.kube.cluster import POD, Object

FEATURES = (17, 25)
LEAST = 5
"""Starts a side: with fewer nothing can be said with confidence."""
DRAINS = 3
"""Of each kind, on the first of the runtimes: what differs is the start."""
TRAINING = 30.0
"""Seconds of requests that a recorder serves."""
REPLICAS = 2
_POLL = 0.02


def run() -> list[Row]:
    """One cluster for all of it.

    Raises:
        NotInstalled: set-up is missing something.
        ProgramDied: what was waited for did not come.
        StepFailed: the kernel, or the API server, refused something.
    """
    jdks = runtimes(*FEATURES)
    application = spring.PAGES.application(cache_dir()).jar(Layout.EXTRACTED).parent
    rounds = max(ROUNDS, LEAST)
    with workplace("pods") as folder, bed(folder) as kubelets:
        images = {one.feature: _image(one, application, kubelets) for one in jdks}
        first, second = kubelets.workers
        with first, second:
            for worker in kubelets.workers:
                worker.until_ready(kubelets.cluster)
            with JavaCaches(folder / "java", kubelets.plane) as caches:
                rows = [
                    row
                    for feature in FEATURES
                    for row in _feature(kubelets, caches, feature, images[feature], rounds)
                ]
    return [*rows, Row("pods", "rounds", rounds, "", against=machine(jdks))]


def _image(one: Jdk, application: Path, kubelets: Bed) -> str:
    return pods.write_java(one, application, f"bench/pages-{one.feature}", kubelets.images)


def _feature(kubelets: Bed, caches: JavaCaches, feature: int, image: str, rounds: int) -> list[Row]:
    shop = Shop(kubelets.cluster, kubelets.kubectl, f"java-{feature}", image)
    caches.takes_part(shop.namespace)
    _learn(shop, caches)
    gained = _gained(shop)
    plain, warm = _starts(shop, rounds)
    verdict = judge(plain, warm, min_gain=0)
    told = f"medians of {rounds} pods each, confidence {verdict.confidence} %"
    without, having = statistics.median(plain) / 1000, statistics.median(warm) / 1000
    rows = [
        Row("pods", f"{feature}: creation to first answer, plain pod", without, "s"),
        Row("pods", f"{feature}: the same with a JavaCache", having, "s"),
        Row("pods", f"{feature}: what the JVM gains, as its builder measured", gained, "s"),
        Row("pods", f"{feature}: what of it the way to the archive eats", gained - without + having, "s"),
        Row("pods", f"{feature}: times faster", without / having, "x", 1.0, "higher", told),
    ]
    return rows + (_drained(shop, kubelets, feature) if feature == FEATURES[0] else [])


def _drained(shop: Shop, kubelets: Bed, feature: int) -> list[Row]:
    missing = {injected: _drains(shop, kubelets, injected=injected) for injected in (False, True)}
    saved = 1 - missing[True] / missing[False]
    against = f"of medians of {DRAINS} drains each, {REPLICAS} replicas on two nodes"
    return [
        Row("pods", f"{feature}: pod-seconds missing during a drain, plain", missing[False], "s"),
        Row("pods", f"{feature}: the same with a JavaCache", missing[True], "s"),
        Row("pods", f"{feature}: share that is saved", saved, "ratio", 0.4, "higher", against),
    ]


def _learn(shop: Shop, caches: JavaCaches) -> None:
    """A pod records while it serves, and ends; until an archive serves."""
    _say(f"{shop.namespace}: a pod learns")
    shop.apply(shop.cache(), shop.deployment())
    recorder = shop.until(shop.only_pod, "a pod is Ready", caches.said)
    traffic.send(
        spring.PAGES.application(cache_dir()), PORT, seconds=TRAINING, host=recorder["status"]["podIP"]
    )
    shop.restart()
    shop.until(lambda: shop.status().get("state") == "Serving", "an archive serves", caches.said)
    shop.apply(shop.deployment(replicas=0))
    shop.until(lambda: not shop.all_pods(), "its pods are gone", every=_POLL)


def _gained(shop: Shop) -> float:
    """Seconds between the medians of starts without the archive and with it."""
    (best,) = {
        row["archiveDigest"]: row for row in shop.status()["keys"] if row["state"] == "Serving"
    }.values()
    return float(best["startSeconds"]["without"] - best["startSeconds"]["with"])


def _starts(shop: Shop, rounds: int) -> tuple[list[int], list[int]]:
    """Milliseconds without and with, in turns."""
    found: dict[bool, list[int]] = {False: [], True: []}
    for number in range(rounds):
        for injected in (False, True) if number % 2 else (True, False):
            found[injected].append(_start(shop, injected=injected))
        _say(f"{shop.namespace}: start {number + 1} of {rounds}: {found[False][-1]} and {found[True][-1]} ms")
    return found[False], found[True]


def _start(shop: Shop, *, injected: bool) -> int:
    name = f"start-{uuid.uuid4().hex[:8]}"
    body = shop.pod(injected=injected, grace=0)
    body["metadata"] |= {"name": name, "namespace": shop.namespace}
    began = time.monotonic()
    shop.cluster.create(POD, {"apiVersion": "v1", "kind": "Pod", **body}, namespace=shop.namespace)

    def one() -> Object:
        return shop.cluster.get(POD, name, namespace=shop.namespace)

    address = str(shop.until(lambda: one()["status"].get("podIP"), f"{name} has an address", every=_POLL))
    shop.until(lambda: _answers(address), f"{name} answers", every=_POLL)
    took = round((time.monotonic() - began) * 1000)
    if injected and (outcome := shop.report(one())["outcome"]) != "hit":
        raise ProgramDied(f"{name} started without an archive: {outcome}", hint=shop.told())
    shop.cluster.delete(POD, name, namespace=shop.namespace)
    shop.until(lambda: _gone(shop, name), f"{name} is gone", every=_POLL)
    return took


def _drains(shop: Shop, kubelets: Bed, *, injected: bool) -> float:
    """Pod-seconds that were missing of the wanted replicas, the median of some drains."""
    kubelets.kubectl.run("-n", shop.namespace, "delete", "deployment", "pages", "--ignore-not-found")
    shop.until(lambda: not shop.all_pods(), "its pods are gone", every=_POLL)
    shop.apply(shop.deployment(replicas=REPLICAS, injected=injected))
    found = []
    for number in range(DRAINS):
        shop.until(lambda: _ready(shop) == REPLICAS, "all replicas are Ready", every=_POLL)
        node = kubelets.workers[number % 2].name
        if node not in {one["spec"]["nodeName"] for one in shop.all_pods()}:
            node = kubelets.workers[1 - number % 2].name
        kubelets.kubectl.run("cordon", node)
        began, missing = time.monotonic(), 0.0
        for one in shop.all_pods():
            if one["spec"]["nodeName"] == node:
                _evict(shop, one)
        while _ready(shop) < REPLICAS or time.monotonic() - began < 1:
            before = time.monotonic()
            short = REPLICAS - _ready(shop)
            time.sleep(_POLL)
            missing += short * (time.monotonic() - before)
        kubelets.kubectl.run("uncordon", node)
        found.append(missing)
        shop.restart()
        kubelets.kubectl.run("-n", shop.namespace, "rollout", "status", "deployment/pages", "--timeout=300s")
    _say(f"{shop.namespace}: pod-seconds missing: {', '.join(f'{one:.1f}' for one in found)}")
    return statistics.median(found)


def _evict(shop: Shop, one: Object) -> None:
    meta = {"name": one["metadata"]["name"], "namespace": shop.namespace}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
    shop.cluster.create(POD, body, namespace=shop.namespace, name=meta["name"], subresource="eviction")


def _ready(shop: Shop) -> int:
    return sum(bool(ready_at(one)) for one in shop.all_pods())


def _gone(shop: Shop, name: str) -> bool:
    try:
        shop.cluster.get(POD, name, namespace=shop.namespace)
    except NotFound:
        return True
    return False


def _answers(address: str) -> bool:
    link = http.client.HTTPConnection(address, PORT, timeout=5)
    try:
        link.request("GET", "/actuator/health")
        return link.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()


def _say(words: str) -> None:
    print(f"  {words}", file=sys.stderr, flush=True)

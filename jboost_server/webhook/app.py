"""The admission endpoint. Whatever of ours fails, the pod is let in as it is."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from jboost_server.core.injection.choose import Cache
from jboost_server.core.injection.inject import INJECTED, Injection, was_injected
from jboost_server.core.injection.installation import Installation
from jboost_server.core.injection.reason import Left, Reason
from jboost_server.core.injection.review import answer, decide, namespace_of
from jboost_server.webhook.recorders import Recorders

MAX_BODY = 4 * 2**20
"""Bytes of a review. The API server takes no pod of more than about half of that."""
log = logging.getLogger(__name__)


class Metrics:
    """The figures of one webhook."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.reviews = Counter(
            "jboost_webhook_reviews", "New pods by what became of them", ("reason",), registry=self.registry
        )
        for reason in Reason:
            self.reviews.labels(reason.value)
        self.seconds = Histogram(
            "jboost_webhook_review_seconds",
            "Seconds that a new pod waited for us",
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2),
            registry=self.registry,
        )
        self.ends = Gauge(
            "jboost_webhook_certificate_end_seconds",
            "When the certificate that is shown ends, as Unix time",
            registry=self.registry,
        )


def create_app(
    caches: Callable[[str], Sequence[Cache]],
    installation: Installation,
    metrics: Metrics,
    unready: Callable[[], str],
) -> FastAPI:
    """The application. `caches` are those of a namespace; `unready` says why pods are not injected yet."""
    app = FastAPI(title="jboost webhook", docs_url=None, redoc_url=None, openapi_url=None)
    recorders = Recorders()

    @app.post("/inject")
    async def inject(request: Request) -> Response:
        began = time.perf_counter()
        body = await _body(request)
        if body is None:
            return PlainTextResponse(f"a review has at most {MAX_BODY} bytes\n", 413)
        try:
            review = json.loads(body)
            namespace_of(review)
        except (ValueError, RecursionError) as error:
            return PlainTextResponse(f"{error}\n", 400)
        injection = _decide(review, caches, installation, recorders)
        metrics.reviews.labels(injection.reason.value).inc()
        metrics.seconds.observe(time.perf_counter() - began)
        return JSONResponse(answer(review, injection))

    @app.get("/healthz")
    async def alive() -> Response:
        return PlainTextResponse("ok\n")

    @app.get("/readyz")
    async def ready() -> Response:
        why = unready()
        return PlainTextResponse(f"{why}\n", 503) if why else PlainTextResponse("ok\n")

    @app.get("/metrics")
    async def figures() -> Response:
        page = generate_latest(metrics.registry)
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")

    return app


async def _body(request: Request) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def _decide(
    review: dict[str, Any],
    caches: Callable[[str], Sequence[Cache]],
    installation: Installation,
    recorders: Recorders,
) -> Injection:
    namespace = namespace_of(review)
    try:
        injection = _recording(review, caches(namespace), installation, recorders)
    except Exception as error:  # an entry point: no pod waits for our mistakes
        log.warning("our own mistake, please report it", exc_info=True, extra={"namespace": namespace})
        return Injection(Reason.MISTAKE, repr(error), {})
    if injection.reason not in (Reason.NOT_SELECTED, Reason.ALREADY_INJECTED):
        log.info(
            injection.reason.value,
            extra={"namespace": namespace, "pod": _name(review), "why": injection.why},
        )
    return injection


def _recording(
    review: dict[str, Any], caches: Sequence[Cache], installation: Installation, recorders: Recorders
) -> Injection:
    """The injection, with a recorder if it is this pod's turn. One that is only tried, or was injected
    before, takes nobody's.

    Where every archive so far gained too little, only whose turn it is gets the agent: one pod is enough to
    see that there is a new image, and all others start without what init containers cost.
    """
    injection = decide(review, caches, installation)
    request = review["request"]
    if injection.reason is not Reason.INJECTED or request.get("dryRun") or was_injected(request["object"]):
        return injection
    name = injection.pod["metadata"]["annotations"][INJECTED]
    cache = next(one for one in caches if one.name == name)
    records = cache.records(recorders.take((namespace_of(review), name), cache.turns, time.monotonic()))
    if isinstance(records, Left):
        return Injection(records.reason, records.why, request["object"])
    return decide(review, caches, installation, record=True) if records else injection


def _name(review: dict[str, Any]) -> str:
    pod = review["request"].get("object")
    meta = pod.get("metadata") if isinstance(pod, dict) else None
    return str((meta or {}).get("name") or (meta or {}).get("generateName") or "")

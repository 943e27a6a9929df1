"""Figures for Prometheus. Labels are few and known: no tenant, group or key is one."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Metrics:
    """The figures of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "jboost_requests", "Requests by route and status", ("route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "jboost_request_seconds",
            "Seconds until an answer was sent whole",
            ("route",),
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
            registry=self.registry,
        )
        self.lookups = Counter("jboost_lookups", "Answers by outcome", ("outcome",), registry=self.registry)
        self.reported = Counter(
            "jboost_outcomes", "Starts as pods reported them", ("outcome",), registry=self.registry
        )
        self.recordings = Counter(
            "jboost_recordings", "Recordings by state", ("state",), registry=self.registry
        )
        self.results = Counter("jboost_results", "Builds by verdict", ("state",), registry=self.registry)
        self.sent = Counter("jboost_archive_bytes", "Bytes of archives sent", registry=self.registry)

    def render(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self.registry)


class Measured:
    """ASGI middleware that counts and times each request by its route's template."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = "500"

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(route, status).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)

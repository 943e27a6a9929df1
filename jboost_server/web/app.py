"""The application: routes, errors, figures, health, and what runs beside them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator

from anyio import to_thread
from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse

from jboost_server.web import refusals, routes
from jboost_server.web.hosts import KnownHosts
from jboost_server.web.metrics import Measured
from jboost_server.web.remembered import Remembered
from jboost_server.web.service import Service, Settings
from warmroot.errors import NoObject, WarmrootError

FLUSH = 1.0
"""Seconds between two writes of what pods reported."""
log = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """The application of one service."""
    service = Service(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        over = asyncio.Event()
        flushing = asyncio.create_task(_flush(service, over))
        collecting = asyncio.create_task(_collect(service))
        try:
            yield
        finally:
            over.set()
            collecting.cancel()
            await asyncio.wait([flushing, collecting])
            for task in (flushing, collecting):
                if not task.cancelled():
                    task.result()

    app = FastAPI(title="jboost cache service", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    app.include_router(routes.router(service))
    _health(app, service)
    refusals.install(app)
    app.add_middleware(Remembered, answers=service.answers, tenants=settings.tenants, metrics=service.metrics)
    if settings.hosts:
        app.add_middleware(KnownHosts, hosts=settings.hosts)
    app.add_middleware(Measured, metrics=service.metrics)
    return app


def _health(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def alive() -> Response:
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    async def ready() -> Response:
        try:
            async with asyncio.timeout(5):
                await to_thread.run_sync(_touch, service, abandon_on_cancel=True)
        except TimeoutError:
            return PlainTextResponse("the store does not answer within 5 s\n", 503)
        except WarmrootError as error:
            return PlainTextResponse(f"{error}\n", 503)
        return PlainTextResponse("ok\n")

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        page = await to_thread.run_sync(service.metrics.render)
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")


def _touch(service: Service) -> None:
    with contextlib.suppress(NoObject):
        service.store.stat("ready")


async def _flush(service: Service, over: asyncio.Event) -> None:
    """Writes reports every second, and once more at the end."""
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), FLUSH)
        last = over.is_set()
        try:
            await to_thread.run_sync(service.outcomes.flush)
        except WarmrootError as error:
            log.warning("reports are not written yet", extra={"why": str(error)})
        if last:
            return


async def _collect(service: Service) -> None:
    """Deletes what nobody needs any more, each replica at times of its own. It may be left at any point."""
    while True:
        await asyncio.sleep(service.settings.sweep * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        try:
            await to_thread.run_sync(service.collect, abandon_on_cancel=True)
        except WarmrootError as error:
            log.warning("not everything was deleted that may go", extra={"why": str(error)})

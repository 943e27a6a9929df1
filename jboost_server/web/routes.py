"""The requests of pods, builders and people. Each reads what was sent, asks, and renders the answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import lru_cache
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.responses import StreamingResponse

from jboost_server import messages
from jboost_server.catalogue import Accepted, Answer
from jboost_server.core import layout
from jboost_server.core.buildkey import BuildKey
from jboost_server.core.layout import KeyPlace
from jboost_server.core.orders import Order
from jboost_server.messages import MAX_LOOKUP, MAX_REPORT, place_of, scope_of
from jboost_server.outcomes import Report
from jboost_server.store.port import PresigningStore
from jboost_server.views import GroupView
from jboost_server.web import archives, bodies
from jboost_server.web.service import Service

Digest = Annotated[str, Query(pattern=r"^[0-9a-f]{64}$")]
PathDigest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
Group = Annotated[str, Query(max_length=128)]
Count = Annotated[int, Query(ge=0, le=2**53 - 1)]
OrderId = Annotated[str, Path(pattern=r"^[0-9a-f]{1,400}$")]


def _json_body(*required: str) -> dict[str, Any]:
    schema = {"type": "object", "required": list(required)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_BYTES = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["reason", "message", "hint"],
            "properties": {name: {"type": "string"} for name in ("reason", "message", "hint")},
        }
    },
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": what, "content": {"application/json": {"schema": _ERROR}}}
    for status, what in {
        400: "Not in the form of the protocol, or what was uploaded is no good",
        401: "Who asks is not known",
        403: "No lease, or no builder",
        404: "There is none, or it is another tenant's",
        409: "Another builder has it",
        413: "Too large",
        416: "No such range",
        503: "Not now",
        507: "The store is full",
    }.items()
}


SHORT = 64 * 1024
"""Bytes of a lookup that is taken apart at once, and remembered: two hundred pods of one Deployment send the
same. A key of megabytes is taken apart by a thread, or all others would wait."""
_short_lookup = lru_cache(256)(messages.lookup)


def router(service: Service) -> APIRouter:
    """Every route of protocol version 1."""
    routes = APIRouter(prefix="/v1", responses=REFUSALS)
    _for_pods(routes, service)
    _for_recorders(routes, service)
    _for_builders(routes, service)
    _for_people(routes, service)
    _for_the_controller(routes, service)
    return routes


def _for_pods(routes: APIRouter, service: Service) -> None:
    @routes.post("/lookup", openapi_extra=_json_body("group", "key", "record"))
    async def lookup(request: Request) -> Response:
        """Which archives fit, or why none does."""
        identity = await service.who(request)
        data = await bodies.whole(request, MAX_LOOKUP)
        found = _short_lookup(data) if len(data) <= SHORT else await service.waiting(messages.lookup, data)
        key, record = found.key, found.record
        identity.must_be_of(found.group)
        scope = scope_of(identity.tenant, found.group)
        view = await service.answers.view(scope)
        answer = service.catalogue.answer(scope, key, view) if view else None
        if view is None or answer is None or not _final(service, answer, record, key, view):
            answer = await service.waiting(
                service.catalogue.lookup, scope, key, record=record, pod=identity.pod
            )
        service.metrics.lookups.labels(answer.outcome.value).inc()
        body = messages.answer(answer)
        if view is not None and answer.proposals:
            service.answers.put(data, scope, view, body)
        return Response(body, media_type="application/json")

    @routes.get("/archives/{digest}")
    @routes.head("/archives/{digest}", include_in_schema=False)
    async def archive(request: Request, digest: PathDigest) -> Response:
        """The bytes of an archive that a manifest of the asking tenant names."""
        identity = await service.who(request)
        size = await service.waiting(service.archives.size, identity.tenant, digest, identity.group)
        etag = f'"{digest}"'
        headers = {
            "ETag": etag,
            "Accept-Ranges": "bytes",
            "Cache-Control": "private",
            "Vary": "Accept-Encoding",
        }
        if archives.matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        name = layout.archive(identity.tenant, digest)
        store = service.store
        if service.settings.redirect and isinstance(store, PresigningStore):
            return RedirectResponse(await service.waiting(store.presigned, name), 307)
        return await _bytes(service, request, identity.tenant, digest, size, headers)

    @routes.post("/outcomes", status_code=204, openapi_extra=_json_body("group", "key", "outcome"))
    async def outcome(request: Request) -> Response:
        """How a start ended."""
        identity = await service.who(request)
        told = messages.outcome(await bodies.whole(request, MAX_REPORT))
        identity.must_be_of(told.group)
        place, report = place_of(identity.tenant, told.group, told.key), told.report
        await _note(service, place, identity.pod, report)
        return Response(status_code=204)


def _for_recorders(routes: APIRouter, service: Service) -> None:
    @routes.put("/recordings/{digest}", status_code=201, openapi_extra=_BYTES)
    async def recording(
        request: Request,
        digest: PathDigest,
        group: Group,
        key: Digest,
        lease: Annotated[str, Query(max_length=64)],
        seconds: Count = 0,
        requests: Count = 0,
    ) -> Response:
        """Takes what a recorder recorded."""
        identity = await service.who(request)
        identity.must_be_of(group)
        place = place_of(identity.tenant, group, key)
        caps = service.settings.policy.caps
        size = bodies.length(request, max(caps.aot, caps.class_list))

        def record(chunks: Iterator[bytes]) -> Accepted:
            return service.catalogue.record(place, lease, digest, size, chunks, run=(seconds, requests))

        accepted = await service.uploads.take(request, size, record)
        state = "known" if accepted.known else "accepted"
        service.metrics.recordings.labels(state).inc()
        return JSONResponse(
            {"state": state, "recordings": accepted.recordings}, 200 if accepted.known else 201
        )


def _for_builders(routes: APIRouter, service: Service) -> None:
    @routes.post("/builds", openapi_extra=_json_body("group", "key", "holder"))
    async def order(request: Request) -> Response:
        """Something to build, 204 if there is nothing."""
        identity = await service.builder(request)
        data = await bodies.whole(request, MAX_LOOKUP)
        offer = await service.waiting(messages.offer, data)
        identity.must_be_of(offer.group)
        scope = scope_of(identity.tenant, offer.group)
        found = await service.waiting(service.builds.order, scope, offer.key, offer.holder)
        if found is None:
            return Response(status_code=204)
        return JSONResponse({"order": _order(found, service)})

    @routes.get("/builds/{order}/input")
    async def build_input(request: Request, order: OrderId) -> Response:
        """The merged class list, or the recording."""
        tenant = await service.builder_of(request, order)
        stack = ExitStack()
        found = await service.waiting(stack.enter_context, service.builds.input(tenant, order))
        headers = {"Content-Length": str(found.size)}
        return StreamingResponse(
            _closing(stack, found.chunks), media_type="application/octet-stream", headers=headers
        )

    @routes.put("/builds/{order}/archive", status_code=201, openapi_extra=_BYTES)
    async def built(request: Request, order: OrderId, digest: Digest) -> Response:
        """Takes the archive."""
        tenant = await service.builder_of(request, order)
        size = bodies.length(request, service.settings.policy.caps.archive)

        def take(chunks: Iterator[bytes]) -> bool:
            return service.builds.archive(tenant, order, digest, size, chunks)

        new = await service.uploads.take(request, size, take)
        return JSONResponse({"state": "accepted" if new else "known"}, 201)

    @routes.post("/builds/{order}/result", openapi_extra=_json_body())
    async def result(request: Request, order: OrderId) -> Response:
        """Judges what was measured."""
        tenant = await service.builder_of(request, order)
        sent = messages.result(await bodies.whole(request, MAX_REPORT))
        if isinstance(sent, str):
            ended = await service.waiting(service.builds.failed, tenant, order, sent)
        else:
            ended = await service.waiting(service.builds.result, tenant, order, sent)
        service.metrics.results.labels(ended.state).inc()
        return JSONResponse({"state": ended.state, "gain": ended.gain, "why": ended.why})


def _for_people(routes: APIRouter, service: Service) -> None:
    @routes.get("/status")
    async def status(
        request: Request, group: Annotated[str | None, Query(max_length=128)] = None
    ) -> Response:
        """What every key of the asking tenant has come to."""
        identity = await service.who(request)
        group = group if group is not None else identity.group or None
        if group is not None:
            identity.must_be_of(group)
            scope_of(identity.tenant, group)
        return JSONResponse(await service.waiting(service.status.of, identity.tenant, group))


def _for_the_controller(routes: APIRouter, service: Service) -> None:
    @routes.get("/tenants/{tenant}/groups/{group}")
    async def group_of(
        request: Request,
        tenant: Annotated[str, Path(max_length=128)],
        group: Annotated[str, Path(max_length=128)],
    ) -> Response:
        """How far the keys of any tenant's group are, and which of them wait for a builder."""
        (await service.who(request)).must_control()
        scope = scope_of(tenant, group)
        return JSONResponse(await service.waiting(service.status.of_group, scope))

    @routes.post(
        "/tenants/{tenant}/groups/{group}/outcomes",
        status_code=204,
        openapi_extra=_json_body("key", "archive", "pod", "outcome", "why"),
    )
    async def witnessed(
        request: Request,
        tenant: Annotated[str, Path(max_length=128)],
        group: Annotated[str, Path(max_length=128)],
    ) -> Response:
        """A JVM of any tenant died of its archive, as the status of its pod shows."""
        (await service.who(request)).must_control()
        told = messages.witnessed(await bodies.whole(request, MAX_REPORT))
        place, report = place_of(tenant, group, told.key), told.report
        await _note(service, place, told.pod, report)
        return Response(status_code=204)


async def _note(service: Service, place: KeyPlace, pod: str, report: Report) -> None:
    """That an archive did harm is written before the answer goes."""
    service.metrics.reported.labels(report.outcome.value).inc()
    if report.doubts:
        await service.waiting(service.catalogue.doubt, place, report.archive, pod, report.why)
    service.outcomes.add(place, pod, report)


async def _bytes(
    service: Service, request: Request, tenant: str, digest: str, size: int, headers: dict[str, str]
) -> Response:
    part = archives.wanted(request.headers, size, headers["ETag"])
    name, status = layout.archive(tenant, digest), 200
    if not part.whole:
        status = 206
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    elif archives.takes_zstd(request.headers.get("accept-encoding", "")):
        size = await service.compressed(tenant, digest)
        name = layout.compressed(tenant, digest)
        part = archives.Part(0, size, whole=True)
        headers |= {"Content-Encoding": "zstd", "ETag": f'"{digest}-zstd"'}
    headers["Content-Type"] = "application/octet-stream"
    return archives.Bytes(
        service.store, name, part, status, headers, service.readers, service.metrics.sent.inc
    )


def _final(service: Service, answer: Answer, record: bool, key: BuildKey, view: GroupView) -> bool:
    """Whether a view's answer needs no more work: there is something to propose, or nobody is to record."""
    return bool(answer.proposals) or not record or not service.catalogue.wants_recorder(key.digest, view)


def _order(order: Order, service: Service) -> dict[str, Any]:
    policy = service.settings.policy
    return {
        "id": order.id,
        "form": order.form.value,
        "input": order.input,
        "size": order.size,
        "minGain": policy.min_gain,
        "samples": policy.samples,
    }


def _closing(stack: ExitStack, chunks: Iterator[bytes]) -> Iterator[bytes]:
    with stack:
        yield from chunks

"""Lookups that came a moment ago: two hundred pods of one Deployment ask with the very same bytes.

A hit that was answered to the same tenant, from the view that is still fresh, is sent again before the
framework takes the request apart: that is most of what a lookup costs. Whatever is new goes the whole way.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Request

from jboost_server.core.lookup import Scope
from jboost_server.core.outcome import Outcome
from jboost_server.views import GroupView, Views
from jboost_server.web.bodies import STALL
from jboost_server.web.metrics import Metrics
from jboost_server.web.tenancy import Identity, Tenants
from warmroot.errors import WarmrootError

log = logging.getLogger(__name__)
PATH = "/v1/lookup"
LONGEST = 64 * 1024
"""Bytes of a lookup that is remembered."""
COUNT = 512


@dataclass(frozen=True)
class _Answered:
    scope: Scope
    version: object
    body: bytes


class Answers:
    """Hits by tenant and request, and the one reading of a group that all who ask for it wait for.

    One event loop uses it.
    """

    def __init__(self, views: Views) -> None:
        self._views = views
        self._known: OrderedDict[tuple[str, bytes], _Answered] = OrderedDict()
        self._reading: dict[Scope, asyncio.Task[None]] = {}

    async def get(self, tenant: str, request: bytes) -> bytes | None:
        """The answer, if the group still says what it was made of."""
        found = self._known.get((tenant, hashlib.sha256(request).digest()))
        if found is None:
            return None
        view = await self.view(found.scope)
        return found.body if view is not None and view.version is found.version else None

    def put(self, request: bytes, scope: Scope, view: GroupView, answer: bytes) -> None:
        """Remembers a hit."""
        if len(request) <= LONGEST:
            found = _Answered(scope, view.version, answer)
            self._known[scope.tenant, hashlib.sha256(request).digest()] = found
            if len(self._known) > COUNT:
                self._known.popitem(last=False)

    async def view(self, scope: Scope) -> GroupView | None:
        """A fresh view. One that is aging is read anew beside, so that while pods ask nobody waits.

        None where it can't be read; whoever needs it asks itself, and is told why.
        """
        view = self._views.peek(scope)
        if view is None:
            await asyncio.wait([self._read(scope)])
            return self._views.peek(scope)
        if self._views.aging(scope):
            self._read(scope)
        return view

    def _read(self, scope: Scope) -> asyncio.Task[None]:
        task = self._reading.get(scope)
        if task is None:
            task = self._reading[scope] = asyncio.create_task(self._refresh(scope))
            task.add_done_callback(lambda _: self._reading.pop(scope, None))
        return task

    async def _refresh(self, scope: Scope) -> None:
        try:
            await asyncio.to_thread(self._views.refresh, scope)
        except WarmrootError as error:
            log.warning("a group can't be read", extra={"why": str(error)})


class Remembered:
    """ASGI middleware that answers what is known, and hands everything else on untouched."""

    def __init__(self, app: ASGIApp, answers: Answers, tenants: Tenants, metrics: Metrics) -> None:
        self._app = app
        self._answers = answers
        self._tenants = tenants
        self._metrics = metrics
        self._route = Route(PATH, endpoint=self.__call__)

    async def __call__(self, scope: Request, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        messages: list[Message] = []
        identity = self._identity(scope)
        if identity is not None and (body := await _short(receive, messages)) is not None:
            answer = await self._answers.get(identity.tenant, body)
            if answer is not None:
                scope["route"] = self._route
                self._metrics.lookups.labels(Outcome.HIT.value).inc()
                await _send(send, answer)
                return
        await self._app(scope, _again(messages, receive), send)

    def _identity(self, scope: Request) -> Identity | None:
        try:
            return self._tenants.known(Headers(scope=scope).get("authorization", ""))
        except WarmrootError:
            return None  # the route says why


async def _short(receive: Receive, messages: list[Message]) -> bytes | None:
    """A whole short body; None if it is longer, or did not come. Keeps what was received."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STALL):
            while size <= LONGEST:
                messages.append(await receive())
                if messages[-1]["type"] != "http.request":
                    return None
                size += len(messages[-1].get("body", b""))
                if not messages[-1].get("more_body", False):
                    return b"".join(message.get("body", b"") for message in messages)
    return None


def _again(messages: list[Message], receive: Receive) -> Receive:
    """What was received, once more, then what comes."""

    async def replay() -> Message:
        return messages.pop(0) if messages else await receive()

    return replay


async def _send(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})

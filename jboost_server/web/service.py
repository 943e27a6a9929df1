"""What the routes share: the service's parts, who asks, and threads for what waits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Request

from jboost_server import garbage
from jboost_server.archives import Archives
from jboost_server.builds import Builds
from jboost_server.catalogue import Catalogue
from jboost_server.core import layout, orders
from jboost_server.core.retention import Retention
from jboost_server.outcomes import Outcomes
from jboost_server.settings import Policy
from jboost_server.signing import Signer
from jboost_server.status import Status
from jboost_server.store.port import ObjectStore
from jboost_server.web.archives import Readers
from jboost_server.web.bodies import Uploads
from jboost_server.web.metrics import Metrics
from jboost_server.web.remembered import Answers
from jboost_server.web.tenancy import Identity, Tenants
from warmroot.errors import BadRequest

T = TypeVar("T")
REVIEWS = 8
"""Tokens that are reviewed at one time; an API server that hangs takes no more threads than this."""
PACKERS = 1
"""Archives that are compressed at one time: each takes a whole core."""
log = logging.getLogger(__name__)


class Threads:
    """So many threads for one kind of work. What waits for one of them holds no other: lookups go on."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._limiter: CapacityLimiter | None = None  # it belongs to an event loop, which is not there yet

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Runs it in one of them."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(self._at_once)
        return await to_thread.run_sync(partial(function, *arguments), limiter=self._limiter)


@dataclass(frozen=True)
class Settings:
    """What an application is made of. `redirect`: send readers to the S3 store itself. `hosts`: the only
    names under which it answers, if there are any. What `retention` lets go is deleted each `sweep` seconds.

    `clock` gives seconds since 1970, `monotonic` those of a clock that never jumps.
    """

    store: ObjectStore
    signer: Signer
    tenants: Tenants
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    policy: Policy = field(default_factory=Policy)
    redirect: bool = False
    hosts: frozenset[str] = frozenset()
    retention: Retention = field(default_factory=Retention)
    sweep: float = 3600.0


class Service:
    """One running service."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = settings.store
        self.catalogue = Catalogue(
            settings.store,
            settings.signer,
            settings.policy,
            clock=settings.clock,
            monotonic=settings.monotonic,
        )
        self.builds = Builds(self.catalogue)
        self.outcomes = Outcomes(self.catalogue)
        self.archives = Archives(self.catalogue)
        self.status = Status(self.catalogue, self.builds, self.outcomes)
        self.answers = Answers(self.catalogue.views)
        self.uploads = Uploads()
        self.readers = Readers()
        self.metrics = Metrics()
        self._reviews = Threads(REVIEWS)
        self._packers = Threads(PACKERS)

    async def who(self, request: Request) -> Identity:
        """Who asks.

        Raises:
            AccessError: it is not known; NetworkError, ClusterError: nobody says.
        """
        header = request.headers.get("authorization", "")
        identity = self.settings.tenants.known(header)
        if identity is None:
            identity = await self._reviews.run(self.settings.tenants.identify, header)
        _must_be_tenant(identity)
        return identity

    async def builder(self, request: Request) -> Identity:
        """A builder who asks.

        Raises:
            NotBuilder: who asks is a pod. Else as for `who`.
        """
        identity = await self.who(request)
        identity.must_build()
        return identity

    async def builder_of(self, request: Request, order: str) -> str:
        """The tenant of a builder who asks about an order.

        Raises:
            NoOrder: it is no id of an order. WrongGroup: it is another group's. Else as for `builder`.
        """
        identity = await self.builder(request)
        identity.must_be_of(orders.place_of(order, identity.tenant).scope.group)
        return identity.tenant

    async def compressed(self, tenant: str, digest: str) -> int:
        """The size in bytes of an archive's compressed form, which is made if nobody asked for it before.

        Raises:
            StoreError: it can't be made.
        """
        found = await self.waiting(self.archives.compressed, tenant, digest)
        if found is None:
            found = await self._packers.run(self.archives.compress, tenant, digest)
        return found

    def collect(self) -> None:
        """Deletes what retention lets go, of every tenant. Replicas may do so at the same time.

        Raises:
            StoreError: the store can't be read or written.
        """
        for each in garbage.collect(self.store, self.settings.retention, self.catalogue.now()):
            log.info("deleted", extra={"what": each.what, "why": each.why, "bytes": each.size})

    async def waiting(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Runs what waits for the store in a thread."""
        return await to_thread.run_sync(partial(function, *arguments, **named))


def _must_be_tenant(identity: Identity) -> None:
    try:
        layout.tenant_folder(identity.tenant)
    except ValueError as error:
        raise BadRequest(str(error), hint="run the application in another namespace") from error

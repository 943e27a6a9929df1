"""The controller's process: one elected writer, two watches, a thread of passes."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import start_http_server

from jboost_server.controller.act import JOB, Actor
from jboost_server.controller.gather import Gather
from jboost_server.controller.loop import LONGEST, Engine
from jboost_server.controller.metrics import Metrics
from jboost_server.controller.service import HttpService
from jboost_server.core.control import builder, parse
from jboost_server.core.injection.delivery import Agent
from jboost_server.core.injection.installation import Installation
from jboost_server.web.listening import host_and_port
from jboost_server.web.process import log_json
from warmroot.errors import ProgramDied
from warmroot.kube.cluster import JAVA_CACHE, connect
from warmroot.kube.informer import Informer
from warmroot.kube.lease import Lease, Terms
from warmroot.kube.passes import Loop
from warmroot.kube.transport import RequestsTransport
from warmroot.kube.watched import Watched

LEASE = "jboost-controller"
GRACE = 10.0
"""Seconds that a pass under way has to end after SIGTERM."""
log = logging.getLogger("jboost_server.controller")


@dataclass(frozen=True)
class Options:
    """What the operator chose. `token` is the file of the token that the cache service wants; `builders` run
    at one time at most; each `poll` seconds the service is asked; `metrics` is `host:port`. `agent` is
    put into the namespaces of JavaCaches.
    """

    installation: Installation
    namespace: str = "warmroot-jboost"
    identity: str | None = None
    token: Path = Path("/var/run/jboost/token")
    builders: int = 4
    poll: float = 15.0
    metrics: str = "0.0.0.0:9090"
    agent: Agent | None = None
    terms: Terms = field(default_factory=Terms)


def serve(options: Options) -> None:
    """Runs until SIGTERM or SIGINT, and gives the Lease back.

    Raises:
        UserError: options that can't be, no way to the API server.
        ProgramDied: a part of it ended by itself.
    """
    log_json()
    host, port = host_and_port(options.metrics)
    builder.policy("any", options.installation.server)
    process = Process(options)
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: process.stop())
    start_http_server(port, host, registry=process.metrics.registry)
    process.run()


class Process:
    """All parts, wired."""

    def __init__(self, options: Options) -> None:
        self._stopped = threading.Event()
        self._failed = ""
        self.metrics = Metrics()
        cluster = connect(RequestsTransport)
        identity = options.identity or f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
        self._lease = Lease(
            connect(RequestsTransport),
            options.namespace,
            LEASE,
            identity,
            monotonic=time.monotonic,
            wall=time.time,
            terms=options.terms,
        )
        labels = ",".join(f"{name}={value}" for name, value in builder.MANAGED.items())
        caches, builds = Watched(parse.cache), Watched(parse.build)
        self._informers = (
            Informer(connect(RequestsTransport), JAVA_CACHE, caches, self._wake),
            Informer(connect(RequestsTransport), JOB, builds, self._wake, labels=labels),
        )
        service = HttpService(options.installation.server, options.token)
        gather = Gather(cluster, service, caches, builds, options.poll, options.installation.agent_map)
        actor = Actor(
            cluster,
            service,
            options.installation,
            caches,
            builds,
            self._lease.held,
            gather,
            identity,
            options.agent,
        )
        longest = min(LONGEST, options.poll)
        engine = Engine(gather, actor, self.metrics, options.builders, longest=longest)
        self._loop = Loop(engine, self._lease.held)

    def _wake(self) -> None:
        self._loop.wake()

    def stop(self) -> None:
        """Ends the process in good order."""
        self._stopped.set()
        self._loop.stop()
        for informer in self._informers:
            informer.stop()

    def run(self) -> None:
        """Runs until it is stopped.

        Raises:
            ProgramDied: a part of it ended by itself.
        """
        passes = self._thread("passes", self._passes)
        for name, work in (
            *((informer.kind.plural, informer.run) for informer in self._informers),
            ("lease", self._renew),
        ):
            self._thread(name, work)
        self._stopped.wait()
        self.stop()
        passes.join(timeout=GRACE)
        self._lease.release()
        if self._failed:
            raise ProgramDied(self._failed, hint="report it, with the log before it")
        log.info("ended")

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """A thread that dies takes the process with it: half a controller is worse than none."""

        def guarded() -> None:
            try:
                work()
            except Exception as error:  # an entry point
                log.exception("our own mistake, please report it")
                self._failed = f"the thread of {name} ended: {error!r}"
                self.stop()

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread

    def _passes(self) -> None:
        for informer in self._informers:
            while not informer.synced.wait(0.2):
                if self._stopped.is_set():
                    return
        self._loop.run()

    def _renew(self) -> None:
        leading = False
        while not self._stopped.is_set():
            before, leading = leading, self._lease.attempt()
            if leading and not before:
                log.info("leading", extra={"identity": self._lease.identity})
                self._loop.wake()
            elif before and not leading:
                log.warning("the Lease is lost; nothing is written any more")
            self._stopped.wait(self._lease.terms.every)

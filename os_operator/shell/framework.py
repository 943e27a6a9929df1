"""kopf: events that wake us, probes, and the life of the process. It decides nothing and writes nothing.

Only `on.event` handlers are registered: kopf patches objects (finalizers, progress annotations) for its other
handlers alone. Its own posting of Events, its peering and its scanning for new resources are off. It watches
OS objects; Nodes and OSInstances come in thousands and are watched by our informers, because kopf keeps whole
bodies and a worker task per object.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import kopf

from warmroot.api.base import GROUP, VERSION
from warmroot.kube.kubeconfig import load

GRACE = 0.5
"""Seconds that kopf has to end by itself. It writes nothing that could be lost, and our Lease waits."""


def registry(
    wake: Callable[[], None], probe: Callable[[], dict[str, Any]], kubeconfig: str | None
) -> kopf.OperatorRegistry:
    """Handlers that mark work, tell how we are, and log in."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.event(GROUP, VERSION, "oses", registry=handlers)
    def changed(**_: Any) -> None:
        wake()

    @kopf.on.probe(registry=handlers, id="operator")
    def alive(**_: Any) -> dict[str, Any]:
        return probe()

    @kopf.on.startup(registry=handlers)
    def settle(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.peering.standalone = True
        settings.scanning.disabled = True
        settings.watching.server_timeout = 300

    @kopf.on.login(registry=handlers)
    def login(**options: Any) -> kopf.ConnectionInfo | None:
        if kubeconfig is None:
            return kopf.login_with_service_account(**options) or kopf.login_with_kubeconfig(**options)
        return _connection(kubeconfig)

    return handlers


def _connection(kubeconfig: str) -> kopf.ConnectionInfo:
    config = load(Path(kubeconfig))
    token = config.token_file.read_text().strip() if config.token_file else config.token
    return kopf.ConnectionInfo(
        server=config.server,
        ca_data=config.ca,
        certificate_data=config.client_cert,
        private_key_data=config.client_key,
        token=token,
    )


class Framework:
    """kopf for the length of the process. `liveness`: an address such as http://127.0.0.1:8080/healthz."""

    def __init__(self, handlers: kopf.OperatorRegistry, liveness: str | None) -> None:
        self._handlers, self._liveness = handlers, liveness
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._asked = threading.Event()

    def run(self) -> None:
        """Serves until `stop`, SIGTERM or SIGINT; in the main thread, for the signals."""
        asyncio.run(self._serve())

    def stop(self) -> None:
        """Ends `run`; from any thread, at any time."""
        self._asked.set()
        # An asyncio event: for one of threads kopf blocks an executor's thread, and a SIGTERM never ends it.
        if self._loop is not None and self._ended is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ended.set)

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._asked.is_set():
            return
        told = asyncio.create_task(self._ended.wait())
        ours = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(
            registry=self._handlers,
            clusterwide=True,
            standalone=True,
            liveness_endpoint=self._liveness,
            stop_flag=self._ended,
        )
        # kopf's own handlers leave its task that waits for `_ended` waiting, and then give it 5 s to end.
        for ending in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(ending, self.stop)
        running = asyncio.create_task(kopf.run_tasks(tasks, ignored=ours))
        await asyncio.wait({running, told}, return_when=asyncio.FIRST_COMPLETED)
        # What still asks a server that is silent would have those 5 s, too. Cancelled, kopf cancels it.
        await asyncio.wait({running}, timeout=GRACE)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

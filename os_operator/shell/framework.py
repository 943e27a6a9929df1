"""kopf: events that wake us, probes, and the life of the process. It decides nothing and writes nothing.

Only `on.event` handlers are registered: kopf patches objects (finalizers, progress annotations) for its other
handlers alone. Its own posting of Events, its peering and its scanning for new resources are off. It watches
OS objects; Nodes and OSInstances come in thousands and are watched by our informers, because kopf keeps whole
bodies and a worker task per object.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import kopf

from warmroot.api.base import GROUP, VERSION
from warmroot.kube.kubeconfig import load


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
    from pathlib import Path

    config = load(Path(kubeconfig))
    token = config.token_file.read_text().strip() if config.token_file else config.token
    return kopf.ConnectionInfo(
        server=config.server,
        ca_data=config.ca,
        certificate_data=config.client_cert,
        private_key_data=config.client_key,
        token=token,
    )


async def serve(handlers: kopf.OperatorRegistry, liveness: str | None, stop: threading.Event) -> None:
    """Runs kopf until `stop` is set. `liveness`: an address such as http://127.0.0.1:8080/healthz."""
    await kopf.operator(
        registry=handlers,
        clusterwide=True,
        standalone=True,
        liveness_endpoint=liveness,
        stop_flag=stop,
    )

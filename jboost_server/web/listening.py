"""Where the service listens, and how uvicorn serves it: on a person's folder and in a container alike."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import uvicorn

from jboost_server.web.zerocopy import ZeroCopyProtocol
from warmroot.errors import UserError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

BACKLOG = 2048
"""Pods that may wait for their connection to be taken: a whole Deployment may start at once."""
KEEP_ALIVE = 30
"""Seconds for which a connection may be idle."""


def host_and_port(listen: str) -> tuple[str, int]:
    """The two parts of `host:port`; an IPv6 address is in brackets.

    Raises:
        UserError: it is not of that form.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UserError(f"--listen {listen} is no address", hint="use host:port, such as 127.0.0.1:8780")
    return host.strip("[]"), int(port)


def listening(listen: str) -> socket.socket:
    """A socket that listens on `host:port`. Whoever connects before the service is up waits in its queue.

    Raises:
        UserError: it is no address, or can't be listened on.
    """
    host, port = host_and_port(listen)
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        both = family is socket.AF_INET6 and socket.has_dualstack_ipv6()
        return socket.create_server(address[:2], family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        # The reason alone: create_server adds the address, which ours names already.
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
        raise UserError(
            f"{listen} can't be listened on: {why}",
            hint="end what listens there, or name another --listen; with port 0 a free one is taken",
        ) from error


def config(app: ASGIApp, *, grace: int) -> uvicorn.Config:
    """How uvicorn serves the application. `grace`: seconds that requests under way have to end in.

    Over TLS nothing is sent without being copied, so that a webhook is served as well.
    """
    return uvicorn.Config(
        app,
        http=ZeroCopyProtocol,
        log_config=None,
        access_log=False,
        ws="none",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=grace,
        backlog=BACKLOG,
    )

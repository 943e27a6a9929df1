"""Names under which a service without tokens answers.

On a laptop whoever reaches the loopback address is trusted, and so would be every web page in a browser
there that gives its own name this address (DNS rebinding). An archive is code: so a request has to name an
address of this machine.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from jboost_server.web.refusals import answer
from warmroot.errors import WrongToken

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class KnownHosts:
    """ASGI middleware that refuses requests to any other name."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and _host(Headers(scope=scope).get("host", "")) not in self._hosts:
            refused = WrongToken(
                "this service answers to the names of its own machine alone",
                hint="ask 127.0.0.1; by another name `jboost serve` can be reached, which wants a token",
            )
            await answer(refused)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _host(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""

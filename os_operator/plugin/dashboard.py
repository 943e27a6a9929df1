"""A page that shows rollouts and Java caches, to whoever may read them in the cluster.

It reads as the person who started it, or as a ServiceAccount of its own, and writes nothing. It loads nothing
from elsewhere. Answers go to the page alone: other names than those it is reached by are refused, since a web
site could have a browser ask for them (DNS rebinding), and where others could reach it a token is wanted.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from os_operator.core.overview import wire
from os_operator.plugin.watching import EVERY, Watching
from warmroot.errors import ClusterError, NetworkError, UserError

_READERS = 64
"""Questions that wait at one time."""
_FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Doors:
    """Where it listens, and who is let in. `names`: what it is called beside its address."""

    host: str
    port: int
    token: str = ""
    names: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.token and not _is_loopback(self.host):
            raise UserError(
                f"others could reach {self.host}, and there is no token",
                hint="listen at 127.0.0.1 and use `kubectl port-forward`, or give --token-file",
            )

    def knows(self, host: str) -> bool:
        """Whether a browser that asked for this name meant us."""
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        name = name.strip("[]").lower()
        return name in self.names or name in ("localhost", self.host) or _is_loopback(name)

    def lets_in(self, authorization: str) -> bool:
        """Whether this header has the token, where one is wanted."""
        given = authorization.encode(errors="surrogateescape")  # as it came, which may be no text
        return not self.token or hmac.compare_digest(given, f"Bearer {self.token}".encode())


def create_app(watching: Watching, doors: Doors) -> web.Application:
    """The page, what it asks for, and a probe."""
    app = web.Application(middlewares=[_guarded(doors)])
    pool = ThreadPoolExecutor(_READERS, thread_name_prefix="reader")

    async def news(request: web.Request) -> web.StreamResponse:
        if not doors.lets_in(request.headers.get("Authorization", "")):
            return web.json_response({"error": "a token is wanted"}, status=401)
        try:
            after = int(request.query.get("after", "0"))
        except ValueError:
            return web.json_response({"error": "after is a number"}, status=400)
        loop = asyncio.get_running_loop()
        try:
            number, seen = await loop.run_in_executor(pool, watching.latest)
            if number == after:
                await loop.run_in_executor(pool, watching.after, after, EVERY)
                number, seen = await loop.run_in_executor(pool, watching.latest)
        except (ClusterError, NetworkError) as error:
            return web.json_response({"error": str(error)}, status=503)
        return web.json_response({"number": number, **wire(seen, watching.unread)})

    async def file(request: web.Request) -> web.StreamResponse:
        name, kind = _FILES[request.path]
        text = (files("os_operator.plugin") / "page" / name).read_text()
        return web.Response(text=text, content_type=kind)

    async def alive(_: web.Request) -> web.StreamResponse:
        return web.Response(text="ok")

    app.router.add_get("/overview.json", news)
    app.router.add_get("/healthz", alive)
    for path in _FILES:
        app.router.add_get(path, file)

    async def closed(_: web.Application) -> None:
        pool.shutdown(wait=False, cancel_futures=True)

    app.on_cleanup.append(closed)
    return app


def serve(watching: Watching, doors: Doors) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        UserError: the address is taken, or is not one of this machine.
    """
    try:
        web.run_app(
            create_app(watching, doors),
            host=doors.host,
            port=doors.port,
            print=lambda *_: None,
            access_log=None,
            shutdown_timeout=1.0,
        )
    except OSError as error:
        raise UserError(
            f"{doors.host}:{doors.port} can't be listened at: {error.strerror}", hint="name another: --listen"
        ) from error


def _guarded(doors: Doors) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != "/healthz" and not doors.knows(request.host):
            answer: web.StreamResponse = web.json_response(
                {"error": f"{request.host} is not our name: --name gives us another"}, status=421
            )
        else:
            answer = await handler(request)
        answer.headers.update(_HEADERS)
        return answer

    return guard


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

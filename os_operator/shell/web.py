"""Requests to servers that are not trusted: they may be silent, slow, endless or speak something else.

No redirect is followed, no proxy, cookie or password of the environment is used, and of a body no more is
read than a bound. How long an answer may take is the caller's affair.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from os_operator.core import answers
from os_operator.core.world import Answer
from warmroot.api.health import CheckReason

_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "warmroot"}
InThread = Callable[..., Awaitable[Any]]
Authorities = Callable[[str], Awaitable[ssl.SSLContext | Answer]]


class _Resolver(AbstractResolver):
    """The system's resolver, in a thread that no process waits for when it ends."""

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._in_thread(
            socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG
        )
        return [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        pass


class Web:
    """One session. Made and used in one event loop."""

    def __init__(self, in_thread: InThread, authorities: Authorities) -> None:
        self._authorities = authorities
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(in_thread), use_dns_cache=False, force_close=True, limit=0
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
            headers=_HEADERS,
        )

    async def close(self) -> None:
        """Ends all connections."""
        await self._session.close()

    async def ask(
        self,
        url: str,
        ca_secret: str | None,
        *,
        most: int,
        query: Mapping[str, str] | None = None,
        method: str = "GET",
        body: Any = None,
    ) -> tuple[int, bytes] | Answer:
        """Status and body, of that not more than a byte over `most`; or why there is none.

        `ca_secret` names who vouches for the server; `body` is sent as JSON.
        """
        trust = await self._authorities(ca_secret) if ca_secret is not None else True
        if isinstance(trust, Answer):
            return trust
        where = answers.place(url)
        try:
            async with self._session.request(
                method, url, params=query, json=body, ssl=trust, allow_redirects=False
            ) as response:
                read = b""
                while most and len(read) <= most and (part := await response.content.read(most + 1)):
                    read += part
                response.close()
                return response.status, read[: most + 1]
        except aiohttp.ClientSSLError as error:
            return Answer(CheckReason.UNTRUSTED, f"{where}: {_of_tls(error)}")
        except aiohttp.ClientConnectorError as error:
            text = error.os_error.strerror or "no connection"
            return Answer(CheckReason.UNREACHABLE, f"{where}: {text}")
        except aiohttp.ClientOSError as error:
            return Answer(CheckReason.UNREACHABLE, f"{where}: {error.strerror or 'the connection broke'}")
        except (aiohttp.ClientError, ValueError) as error:
            return Answer(CheckReason.BAD_ANSWER, f"{where} does not speak HTTP: {type(error).__name__}")


def _of_tls(error: aiohttp.ClientSSLError) -> str:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
    text = getattr(cause, "verify_message", None) or getattr(cause, "reason", None)
    return str(text or "no TLS connection")

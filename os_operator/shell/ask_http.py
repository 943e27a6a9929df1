"""Checks that a server somewhere answers: a status code, or Prometheus's word.

The server is not trusted: it may be silent, slow, endless or speak something else. The time is the
scheduler's; here no redirect is followed, no proxy, cookie or password of the environment is used, and of a
body no more is read than a bound.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from os_operator.core import answers, promql
from os_operator.core.health import Question
from os_operator.core.world import Answer
from warmroot.api.health import CheckReason, HttpCheck, PrometheusCheck

LARGEST = 2**20
"""Bytes of Prometheus's answer: more than ten thousand samples."""
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


class HttpQuestions:
    """Asks servers. Made and used in one event loop."""

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

    async def http(self, check: HttpCheck, question: Question) -> Answer:
        """Whether the expected status comes."""
        if "{nodeIP}" in check.url and not question.address:
            return _no_address(question)
        url = _with_node(check.url, question)
        found = await self._get(url, {}, check.ca_secret, most=0)
        return found if isinstance(found, Answer) else answers.status(check, url, found[0])

    async def prometheus(self, check: PrometheusCheck, question: Question) -> Answer:
        """Whether the query's value is in bounds."""
        if "{nodeIP}" in check.query + check.url and not question.address:
            return _no_address(question)
        url = _with_node(check.url, question).rstrip("/") + "/api/v1/query"
        query = {
            "query": promql.with_node(check.query, question.node, question.address),
            "timeout": f"{question.check.timeout * 1000:.0f}ms",
        }
        found = await self._get(url, query, check.ca_secret, most=LARGEST)
        if isinstance(found, Answer):
            return found
        code, body = found
        if len(body) > LARGEST:
            return Answer(
                CheckReason.TOO_LARGE, f"{answers.place(url)} answers with more than {LARGEST >> 20} MiB"
            )
        return promql.judge(check, code, body)

    async def _get(
        self, url: str, query: Mapping[str, str], ca_secret: str | None, *, most: int
    ) -> tuple[int, bytes] | Answer:
        """Status and body, of that not more than a byte over `most`; or why there is none."""
        trust = await self._authorities(ca_secret) if ca_secret is not None else True
        if isinstance(trust, Answer):
            return trust
        where = answers.place(url)
        try:
            async with self._session.get(url, params=query, ssl=trust, allow_redirects=False) as response:
                body = b""
                while most and len(body) <= most and (part := await response.content.read(most + 1)):
                    body += part
                response.close()
                return response.status, body[: most + 1]
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


def _with_node(url: str, question: Question) -> str:
    address = f"[{question.address}]" if ":" in question.address else question.address
    return url.replace("{nodeIP}", address).replace("{nodeName}", question.node)


def _no_address(question: Question) -> Answer:
    return Answer(CheckReason.NO_ADDRESS, f"Node {question.node} has no InternalIP")

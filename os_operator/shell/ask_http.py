"""Checks that a server somewhere answers: a status code, or Prometheus's word.

How long an answer may take is the scheduler's affair.
"""

from __future__ import annotations

from os_operator.core import answers, promql
from os_operator.core.health import Question
from os_operator.core.world import Answer
from os_operator.shell.web import Authorities, InThread, Web
from warmroot.api.health import CheckReason, HttpCheck, PrometheusCheck

LARGEST = 2**20
"""Bytes of Prometheus's answer: more than ten thousand samples."""


class HttpQuestions:
    """Asks servers. Made and used in one event loop."""

    def __init__(self, in_thread: InThread, authorities: Authorities) -> None:
        self._web = Web(in_thread, authorities)

    async def close(self) -> None:
        """Ends all connections."""
        await self._web.close()

    async def http(self, check: HttpCheck, question: Question) -> Answer:
        """Whether the expected status comes."""
        if "{nodeIP}" in check.url and not question.address:
            return _no_address(question)
        url = _with_node(check.url, question)
        found = await self._web.ask(url, check.ca_secret, most=0)
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
        found = await self._web.ask(url, check.ca_secret, query=query, most=LARGEST)
        if isinstance(found, Answer):
            return found
        code, body = found
        if len(body) > LARGEST:
            return Answer(
                CheckReason.TOO_LARGE, f"{answers.place(url)} answers with more than {LARGEST >> 20} MiB"
            )
        return promql.judge(check, code, body)


def _with_node(url: str, question: Question) -> str:
    address = f"[{question.address}]" if ":" in question.address else question.address
    return url.replace("{nodeIP}", address).replace("{nodeName}", question.node)


def _no_address(question: Question) -> Answer:
    return Answer(CheckReason.NO_ADDRESS, f"Node {question.node} has no InternalIP")

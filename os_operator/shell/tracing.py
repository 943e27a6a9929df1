"""The way of each node as an OpenTelemetry trace: one trace a node and rollout, one span a phase.

Names of traces and spans follow from the rollout, the node and the time, so an operator that takes over goes
on in the same trace. Whatever becomes of a collector, no pass waits for it.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from os_operator.core.plan import Decision
from os_operator.core.ways import FAILED, Part, Way, Ways
from warmroot import __version__
from warmroot.rollout_id import rollout_id

WAITING = 1000
"""Spans that wait to be sent, at most; more are lost, and a line of the log says so."""
AT_ONCE = 200
_SECOND = 1_000_000_000
log = logging.getLogger(__name__)


class Traces:
    """Sends spans from a thread of its own, until `close`."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._ways = Ways()
        self._waiting: queue.Queue[ReadableSpan | None] = queue.Queue(WAITING)
        self._resource = Resource({"service.name": "warmroot-operator", "service.version": __version__})
        self._thread = threading.Thread(target=self._send, name="traces", daemon=True)
        self._thread.start()

    def observe(self, decision: Decision, now: float) -> None:
        """Takes one pass in; `now` in Unix seconds."""
        rollouts = {os: rollout_id(os, one.target_digest) for os, one in decision.statuses.items()}
        failed = {os: {row.node for row in one.failed} for os, one in decision.statuses.items()}
        for ended in self._ways.observe(decision.phases, rollouts, failed, now):
            try:
                self._waiting.put_nowait(span(ended, self._resource))
            except queue.Full:
                log.warning("a span is lost: the collector does not keep up")

    def forget(self) -> None:
        """Another process leads: it begins anew."""
        self._ways = Ways()

    def close(self) -> None:
        """Sends what waits, as far as that goes in some seconds."""
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(timeout=5.0)
        self._exporter.shutdown()

    def _send(self) -> None:
        ended = False
        while not ended:
            spans = [self._waiting.get()]
            while len(spans) < AT_ONCE and not self._waiting.empty():
                spans.append(self._waiting.get_nowait())
            ended = None in spans
            if real := [one for one in spans if one is not None]:
                self._export(real)

    def _export(self, spans: Sequence[ReadableSpan]) -> None:
        try:
            if self._exporter.export(spans) is not SpanExportResult.SUCCESS:
                log.warning("traces are not sent: the collector refused them, or is not reached")
        except Exception as error:  # noqa: BLE001 - whatever a library raises, a rollout does not end for it
            log.warning("traces are not sent: %s", error)


def otlp(endpoint: str) -> Traces:
    """To a collector that speaks OTLP over HTTP, such as http://collector:4318/v1/traces."""
    return Traces(OTLPSpanExporter(endpoint=endpoint, timeout=10))


def span(ended: Part | Way, resource: Resource) -> ReadableSpan:
    """What ended, as a span of its node's trace; the parts are children of the way."""
    trace = _number(16, ended.rollout, ended.node)
    way = _context(trace, _number(8, ended.rollout, ended.node, "way"))
    attributes = {"warmroot.rollout": ended.rollout, "k8s.node.name": ended.node}
    if isinstance(ended, Part):
        name, parent = ended.phase.value, way
        own = _context(trace, _number(8, ended.rollout, ended.node, name, str(ended.begin)))
        status = Status(StatusCode.UNSET)
    else:
        name, parent, own = f"{ended.node} to {ended.rollout}", None, way
        status = Status(StatusCode.ERROR if ended.result == FAILED else StatusCode.OK)
        attributes["warmroot.result"] = ended.result
    return ReadableSpan(
        name,
        context=own,
        parent=parent,
        resource=resource,
        attributes=attributes,
        kind=SpanKind.INTERNAL,
        status=status,
        start_time=int(ended.begin * _SECOND),
        end_time=int(ended.end * _SECOND),
        instrumentation_scope=InstrumentationScope("warmroot", __version__),
    )


def _context(trace: int, own: int) -> SpanContext:
    return SpanContext(trace, own, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _number(length: int, *words: str) -> int:
    """A name of so many bytes, never 0, which means none."""
    found = hashlib.sha256("\0".join(words).encode()).digest()[:length]
    return int.from_bytes(found) or 1

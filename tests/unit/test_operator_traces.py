"""The way of a node as a trace: its phases in order, one way at the end; no pass waits for a collector."""

from __future__ import annotations

import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from os_operator.core.plan import Decision
from os_operator.core.ways import Part, Way, Ways
from os_operator.main import _traces
from os_operator.shell import tracing
from tests.unit.operator_worlds import NEW
from tests.waiting import until
from warmroot.api.os import FailedNode, OSStatus
from warmroot.api.reasons import NodePhase, WaitReason
from warmroot.errors import UserError
from warmroot.rollout_id import rollout_id

ROLLOUT = rollout_id("workers", NEW)
WHOLE = [
    NodePhase.STAGING,
    None,
    NodePhase.CORDONED,
    NodePhase.DRAINING,
    NodePhase.REBOOTING,
    NodePhase.TRIAL,
    NodePhase.CONFIRMING,
    None,
]
"""Where a node is, pass by pass; None: in nobody's hands."""


def walked(places, ways=None, failed=()):
    """What `Ways` gives over these passes, ten seconds apart."""
    ways, found = ways or Ways(), []
    for number, place in enumerate([None, *places]):
        phases = {"workers": {"n1": place} if place else {}}
        found += ways.observe(phases, {"workers": ROLLOUT}, {"workers": failed}, number * 10.0)
    return found


def test_each_phase_is_a_part_and_the_way_is_from_the_first_to_the_last():
    *parts, way = walked(WHOLE)
    assert [one.phase for one in parts] == [one for one in WHOLE if one]
    assert (way.begin, way.end, way.result) == (10.0, 80.0, "Current")
    assert parts[0] == Part(ROLLOUT, "n1", NodePhase.STAGING, 10.0, 20.0)


def test_a_node_on_which_it_failed_has_a_way_that_says_so():
    *_, way = walked([NodePhase.CORDONED, NodePhase.TRIAL, None], failed=("n1",))
    assert isinstance(way, Way)
    assert way.result == "Failed"


def test_a_node_that_waits_after_its_download_is_still_on_its_way():
    assert not any(isinstance(one, Way) for one in walked([NodePhase.STAGING, None, None]))


def test_what_was_under_way_at_the_first_pass_is_left_out():
    ways = Ways()
    assert ways.observe({"workers": {"n1": NodePhase.TRIAL}}, {"workers": ROLLOUT}, {}, 0.0) == []
    assert ways.observe({"workers": {}}, {"workers": ROLLOUT}, {}, 10.0) == []


@given(st.lists(st.sampled_from([None, *NodePhase]), max_size=30))
def test_parts_never_overlap_and_each_lies_within_its_way(places):
    parts, last = [], 0.0
    for one in walked(places):
        assert one.begin < one.end
        if isinstance(one, Part):
            assert one.begin >= last
            last = one.end
            parts.append(one)
        else:
            assert parts
            assert one.begin == parts[0].begin
            assert one.end == parts[-1].end
            parts = []


def decision(place, failed=()):
    rows = tuple(
        FailedNode(node=name, digest=NEW, reason=WaitReason.FELL_BACK, at="2027-01-15T07:00:00Z")
        for name in failed
    )
    status = OSStatus(target_digest=NEW, failed=rows)
    return Decision((), {"workers": status}, None, {"workers": {"n1": place} if place else {}})


@pytest.fixture
def collector():
    """What came, and a switch: what it answers."""
    came, answer = [], [200]

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            came.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(answer[0])
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", came
        server.shutdown()


def spans(came):
    return [
        span
        for one in came
        for each in one.resource_spans
        for scope in each.scope_spans
        for span in scope.spans
    ]


def test_a_collector_gets_one_trace_of_a_way_whichever_operator_saw_it(collector):
    url, came = collector
    now = 1_800_000_000.0
    for passes in (WHOLE[:2], WHOLE[1:]):  # two operators, one after the other
        traces = tracing.otlp(url)
        for number, place in enumerate([None, *passes]):
            traces.observe(decision(place), now + number)
        now += 100
        began = time.monotonic()
        traces.close()
        assert time.monotonic() - began < 4, "it waits for nothing once all is sent"
    found = spans(came)
    assert {one.trace_id for one in found} == {found[0].trace_id}
    *_, way = found
    assert way.name == f"n1 to {ROLLOUT}"
    assert {one.parent_span_id for one in found[:-1]} == {way.span_id}
    assert [one.name for one in found[:-1]] == [one.value for one in WHOLE if one]
    (resource,) = {one.resource_spans[0].resource.attributes[0].value.string_value for one in came} - {""}
    assert resource == "warmroot-operator"


class Stuck(SpanExporter):
    """A collector that takes nothing and does not say so."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def export(self, spans):
        del spans
        self.free.wait(30)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        pass


def test_no_pass_waits_for_a_collector_that_hangs_and_what_is_lost_is_said(monkeypatch, caplog):
    monkeypatch.setattr(tracing, "WAITING", 3)
    stuck = Stuck()
    traces = tracing.Traces(stuck)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            for place in (None, NodePhase.CORDONED):
                traces.observe(decision(place), time.monotonic())
    assert time.monotonic() - began < 1
    assert "a span is lost" in caplog.text
    stuck.free.set()
    until(lambda: "traces are not sent" in caplog.text, 10)


def test_an_address_that_is_none_is_refused_when_the_operator_starts():
    assert _traces(None) is None
    with pytest.raises(UserError, match="is no address"):
        _traces("collector:4318")

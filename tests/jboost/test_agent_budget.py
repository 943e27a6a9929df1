"""No start is later than its budget, whatever the cache service does; and it then starts plainly."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from jboost_server.core.manifest import Preflight
from tests.jboost import agent_server
from tests.jboost.agent_pod import Pod, need
from tests.jboost.agent_server import Behaviour

pytestmark = pytest.mark.jvm
HELLO = "hello from one a,-b\n"
LOOKUP, FETCH = 400, 800
OTHERS = 20_000
"""Milliseconds for the phases that a test is not about: no machine is too slow for them."""
LATE = {
    "hangs": agent_server.hang,
    "hangs in the body": agent_server.hang_in_body,
    "sends a byte at a time": agent_server.drip,
    "sends headers without end": agent_server.drip_head,
}
ODD = {
    "sends garbage": agent_server.garbage,
    "sends another protocol": agent_server.not_http,
    "sends a body without end": agent_server.endless,
    "sends a head without end": agent_server.endless_head,
    "is cut off": agent_server.cut,
    "sends what was not asked for": agent_server.zipped,
    "is unavailable": agent_server.unavailable,
    "redirects": agent_server.redirect_to_itself,
}


@pytest.fixture(scope="session", params=[17])
def runtime(request):
    """How the agent waits is the same on every JDK: one is enough here."""
    return need(request.param)


@pytest.fixture
def waived(pod: Pod) -> Pod:
    """A pod to which an archive is proposed that needs no preflight."""
    pod.server.offer(pod.key(), b"an archive" * 100_000, preflight=Preflight.WAIVED)
    return pod


def in_time(pod: Pod, lookup: int = OTHERS, fetch: int = OTHERS, preflight: int = OTHERS):
    """A decision that came within what the test's phase may take, beyond what a good one took just before."""
    decision = pod.fetch(
        *("--lookup-ms", str(lookup), "--fetch-ms", str(fetch), "--preflight-ms", str(preflight)),
        patient=False,
    )
    assert decision.code == 0
    assert pod.start() == HELLO
    return decision


@pytest.mark.parametrize("behaviour", LATE.values(), ids=LATE)
def test_a_lookup_without_an_answer_ends_with_its_budget(pod: Pod, behaviour: Behaviour) -> None:
    pod.server.instead["lookup"] = behaviour
    decision = in_time(pod, lookup=LOOKUP)
    assert (decision.outcome, decision.why) == ("budget", f"lookup took longer than {LOOKUP} ms")
    assert LOOKUP - 50 <= decision.report["ms"]["lookup"] < LOOKUP + 1000
    assert pod.server.outcomes == []


@pytest.mark.parametrize("behaviour", ODD.values(), ids=ODD)
def test_an_answer_that_is_none_costs_the_archive_and_not_the_start(pod: Pod, behaviour: Behaviour) -> None:
    pod.server.instead["lookup"] = behaviour
    decision = in_time(pod)
    assert decision.outcome == "server", decision.said
    assert decision.options == ""


@pytest.mark.parametrize("behaviour", LATE.values(), ids=LATE)
def test_an_archive_that_does_not_come_ends_with_its_budget(waived: Pod, behaviour: Behaviour) -> None:
    waived.server.instead["archives"] = behaviour
    decision = in_time(waived, fetch=FETCH)
    assert (decision.outcome, decision.why) == ("budget", f"fetching the archive took longer than {FETCH} ms")
    assert FETCH - 50 <= decision.report["ms"]["fetch"] < FETCH + 1000
    assert list((waived.dir / "archives").iterdir()) == []


ODD_BODIES = {
    name: ODD[name]
    for name in ("sends another protocol", "sends a body without end", "sends a head without end")
} | {
    "is cut off": agent_server.cut,
    "sends what was not asked for": agent_server.zipped,
    "is unavailable": agent_server.unavailable,
    "redirects in a circle": agent_server.redirect_to_itself,
    "redirects to no address": agent_server.redirect("gopher://[/"),
    "sends garbage of another length": agent_server.garbage,
    "promises a byte more": agent_server.longer,
    "sends a byte more than it says": agent_server.longer_unsaid,
}


@pytest.mark.parametrize("behaviour", ODD_BODIES.values(), ids=ODD_BODIES)
def test_an_archive_that_is_none_is_not_kept(waived: Pod, behaviour: Behaviour) -> None:
    waived.server.instead["archives"] = behaviour
    decision = in_time(waived)
    assert decision.outcome == "server", decision.said
    assert decision.options == ""
    assert list((waived.dir / "archives").iterdir()) == []


def test_a_preflight_is_killed_at_its_budget(pod: Pod) -> None:
    pod.server.offer(pod.key(), b"an archive" * 1000)
    decision = in_time(pod, preflight=1)
    assert (decision.outcome, decision.why) == ("budget", "trying the archive took longer than 1 ms")


@contextmanager
def deaf() -> Iterator[str]:
    """The address of somebody who never takes a connection: its queue is full."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_service_that_takes_no_connection_ends_with_the_lookups_budget(pod: Pod) -> None:
    with deaf() as url:
        decision = in_time(replace(pod, server=replace(pod.server, url=url)), lookup=LOOKUP)
    assert (decision.outcome, decision.why) == ("budget", f"lookup took longer than {LOOKUP} ms")


def test_a_service_that_is_down_is_named(pod: Pod) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        decision = in_time(replace(pod, server=replace(pod.server, url=url)))
    assert decision.outcome == "server"
    assert "lookup failed: ConnectException" in decision.why


def test_a_name_that_nobody_knows_is_named(pod: Pod) -> None:
    decision = in_time(replace(pod, server=replace(pod.server, url="http://cache.invalid:1")))
    assert decision.outcome == "server"
    assert "cache.invalid" in decision.why


@pytest.mark.parametrize("behaviour", [*LATE.values(), agent_server.garbage, agent_server.endless])
def test_a_service_that_does_not_hear_the_outcome_costs_no_more_than_the_lookup(
    waived: Pod, behaviour: Behaviour
) -> None:
    waived.server.instead["outcomes"] = behaviour
    decision = in_time(waived, lookup=1500)
    assert decision.outcome == "hit"
    assert decision.report["ms"]["total"] < decision.seconds * 1000 + 50
    assert decision.seconds * 1000 < decision.report["ms"]["total"] + 1500 + 1000


def test_a_second_proposal_has_no_budget_of_its_own(pod: Pod) -> None:
    key = pod.key()
    for number in range(3):
        pod.server.offer(key, b"an archive %d" % number * 1000, preflight=Preflight.WAIVED)
    pod.server.instead["archives"] = agent_server.hang
    decision = in_time(pod, fetch=FETCH)
    assert decision.outcome == "budget"
    assert decision.report["ms"]["fetch"] < FETCH + 1000

"""No start is later than its budget, whatever the cache service does; and it then starts plainly."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from jboost_server.core.manifest import Preflight
from testbed.setup.jdk import Jdk
from tests.java_world import Java
from tests.jboost import agent_server, agent_tls
from tests.jboost.agent_pod import Decision, Pod, java_that
from tests.jboost.agent_server import Behaviour
from tests.waiting import until

pytestmark = pytest.mark.jvm
HELLO = "hello from one a,-b\n"
LOOKUP, FETCH = 400, 800
OTHERS = 20_000
"""Milliseconds for the phases that a test is not about: no machine is too slow for them."""
SLACK = 5_000
"""What a busy machine may add to a budget: far less than whoever waited without one would take."""
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


@pytest.fixture(scope="session")
def runtime(java: Java) -> Jdk:
    """How the agent waits is the same on every JDK: one is enough here."""
    return java.jdk(17)


@pytest.fixture
def waived(pod: Pod) -> Pod:
    """A pod to which an archive is proposed that needs no preflight."""
    pod.server.offer(pod.key(), b"an archive" * 100_000, preflight=Preflight.WAIVED)
    return pod


def in_time(pod: Pod, lookup: int = OTHERS, fetch: int = OTHERS, preflight: int = OTHERS):
    """A decision with these budgets, in milliseconds, after which the application starts."""
    decision = pod.fetch(
        *("--lookup-ms", str(lookup), "--fetch-ms", str(fetch), "--preflight-ms", str(preflight)),
    )
    assert decision.code == 0
    assert pod.start() == HELLO
    return decision


@pytest.mark.parametrize("behaviour", LATE.values(), ids=LATE)
def test_a_lookup_without_an_answer_ends_with_its_budget(pod: Pod, behaviour: Behaviour) -> None:
    pod.server.instead["lookup"] = behaviour
    decision = in_time(pod, lookup=LOOKUP)
    assert (decision.outcome, decision.why) == ("budget", f"lookup took longer than {LOOKUP} ms")
    assert LOOKUP - 50 <= decision.report["ms"]["lookup"] < LOOKUP + SLACK
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
    assert FETCH - 50 <= decision.report["ms"]["fetch"] < FETCH + SLACK
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


def test_a_preflight_is_killed_at_its_budget(stuck: Pod, tmp_path: Path) -> None:
    decision = stuck.fetch("--preflight-ms", str(FETCH), command=stuck_command(stuck, tmp_path))
    assert (decision.outcome, decision.why) == ("budget", f"trying the archive took longer than {FETCH} ms")
    number = (tmp_path / "preflight").read_text().strip()
    until(lambda: not alive(number), 20, "the preflight is gone")


@pytest.fixture
def stuck(pod: Pod, tmp_path: Path) -> Iterator[Pod]:
    """A pod to which an archive is proposed, and whose JVM hangs when it tries one."""
    pod.server.offer(pod.key(), b"an archive" * 1000)
    yield pod
    number = (tmp_path / "preflight").read_text().strip()
    if alive(number):
        os.kill(int(number), signal.SIGKILL)


def stuck_command(pod: Pod, folder: Path) -> list[str]:
    hang = f'case "$*" in *-Xshare:on*) echo $$ > {folder}/preflight; exec sleep 600;; esac'
    return [str(java_that(folder / "jdk", pod.jdk, hang)), *pod.command[1:]]


def alive(number: str) -> bool:
    """Whether the process of this number is what the preflight became."""
    try:
        return b"sleep" in Path("/proc", number, "cmdline").read_bytes()
    except OSError:
        return False


# Nothing is said about a phase: it has the time that the documentation names.


def test_a_lookup_has_300_ms(pod: Pod) -> None:
    pod.server.instead["lookup"] = agent_server.hang
    decision = pod.fetch(patient=False)
    assert (decision.outcome, decision.why) == ("budget", "lookup took longer than 300 ms")


def test_an_archive_has_2_s(waived: Pod) -> None:
    waived.server.instead["archives"] = agent_server.hang
    decision = waived.fetch("--lookup-ms", str(OTHERS), patient=False)
    assert (decision.outcome, decision.why) == ("budget", "fetching the archive took longer than 2000 ms")


def test_a_preflight_has_1_s(stuck: Pod, tmp_path: Path) -> None:
    options = ("--lookup-ms", str(OTHERS), "--fetch-ms", str(OTHERS))
    decision = stuck.fetch(*options, command=stuck_command(stuck, tmp_path), patient=False)
    assert (decision.outcome, decision.why) == ("budget", "trying the archive took longer than 1000 ms")


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


@pytest.mark.parametrize("shakes", [False, True], ids=["no handshake", "no answer"])
def test_a_service_behind_tls_that_says_nothing_ends_with_the_lookups_budget(
    pod: Pod, tmp_path: Path, shakes: bool
) -> None:
    lookup = OTHERS // 4 if shakes else LOOKUP
    with agent_tls.silent(tmp_path, pod.jdk, shakes=shakes) as service:
        pod.environment["JAVA_TOOL_OPTIONS"] = service.trust
        decision = in_time(replace(pod, server=replace(pod.server, url=service.url)), lookup=lookup)
        assert service.shaken.is_set() == shakes
    assert (decision.outcome, decision.why) == ("budget", f"lookup took longer than {lookup} ms")


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


@pytest.mark.parametrize("behaviour", [agent_server.hang, agent_server.drip_head])
def test_a_service_that_does_not_hear_the_outcome_costs_what_the_lookup_left_of_its_time(
    waived: Pod, behaviour: Behaviour
) -> None:
    lookup = 4_000
    waived.server.instead["outcomes"] = behaviour
    decision = in_time(waived, lookup=lookup)
    assert decision.outcome == "hit"
    waited = re.search(r"did not hear of it: telling the outcome took longer than (\d+) ms", decision.said)
    assert waited
    assert int(waited[1]) <= lookup - decision.report["ms"]["lookup"] + 50
    assert after_the_report(decision) < lookup + SLACK


@pytest.mark.parametrize(
    "behaviour",
    [agent_server.hang_in_body, agent_server.drip, agent_server.garbage, agent_server.endless],
)
def test_nobody_waits_for_what_the_service_says_about_an_outcome(waived: Pod, behaviour: Behaviour) -> None:
    waived.server.instead["outcomes"] = behaviour
    decision = in_time(waived)
    assert decision.outcome == "hit"
    assert "did not hear" not in decision.said
    assert after_the_report(decision) < SLACK


def after_the_report(decision: Decision) -> float:
    """Milliseconds that the agent took after it had written its report."""
    return decision.seconds * 1000 - decision.report["ms"]["total"]


def test_a_second_proposal_has_no_budget_of_its_own(pod: Pod) -> None:
    key = pod.key()
    for number in range(3):
        pod.server.offer(key, b"an archive %d" % number * 1000, preflight=Preflight.WAIVED)
    pod.server.instead["archives"] = agent_server.hang
    decision = in_time(pod, fetch=FETCH)
    assert decision.outcome == "budget"
    assert f"longer than {FETCH} ms" in decision.why
    assert decision.report["ms"]["fetch"] < FETCH + SLACK

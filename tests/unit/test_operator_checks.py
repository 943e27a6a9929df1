"""The schedule of checks: bounded, in a thread of its own, bound to what the last pass wanted to know."""

import asyncio
import threading
import time
from dataclasses import replace

import pytest

from os_operator.core.world import Answer, Resolution
from os_operator.shell.act import Actor
from os_operator.shell.cache import Cache
from os_operator.shell.checks import AT_ONCE, Checks
from os_operator.shell.gather import Gather
from os_operator.shell.loop import Engine
from tests.sim.memory_cluster import MemoryCluster, Store
from tests.unit.operator_worlds import NOW, question
from tests.waiting import until
from warmroot.api.health import CheckReason

HOLDS = Answer()


@pytest.fixture
def api():
    return MemoryCluster(Store(lambda: NOW))


class Scripted:
    """Answers as it is told, in the loop; counts what it was asked."""

    def __init__(self, answer=HOLDS):
        self.answer, self.asked, self.at_once, self.most = answer, [], 0, 0

    async def ask(self, wanted):
        self.asked.append(wanted.node)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            if callable(self.answer):
                return await self.answer()
            return self.answer
        finally:
            self.at_once -= 1

    async def close(self):
        pass


@pytest.fixture
def scheduled():
    made = []

    def make(scripted, may_ask=lambda: True):
        changed = threading.Event()
        made.append(Checks(lambda: scripted, changed.set, may_ask))
        return made[-1], changed

    yield make
    for one in made:
        one.close()


def brisk(node="node-1", **more):
    wanted = question(node=node, http={"url": "http://x/"}, **more)
    return replace(wanted, check=replace(wanted.check, interval=0.01))


def test_an_answer_is_known_soon_and_asked_for_again(scheduled):
    scripted = Scripted()
    checks, changed = scheduled(scripted)
    checks.ask([brisk()])
    assert changed.wait(10)
    [standing] = checks.standings().values()
    assert standing.holds
    until(lambda: len(scripted.asked) >= 3)
    assert checks.standings()[brisk().key].since == standing.since


def test_the_same_answer_wakes_nobody_and_another_does(scheduled):
    scripted = Scripted()
    checks, changed = scheduled(scripted)
    checks.ask([brisk()])
    assert changed.wait(10)
    changed.clear()
    count = len(scripted.asked)
    until(lambda: len(scripted.asked) > count + 1)
    assert not changed.is_set()
    scripted.answer = Answer(CheckReason.NO_PODS, "none")
    assert changed.wait(10)
    assert not checks.standings()[brisk().key].holds


def test_what_is_not_wanted_any_more_is_forgotten_at_once_and_asked_no_more(scheduled):
    scripted = Scripted()
    checks, _ = scheduled(scripted)
    checks.ask([brisk("node-1"), brisk("node-2")])
    until(lambda: {"node-1", "node-2"} <= set(scripted.asked))
    checks.ask([brisk("node-2")])
    assert {key[0] for key in checks.standings()} == {"node-2"}
    until(lambda: scripted.asked[-3:] == ["node-2"] * 3)
    checks.ask([])
    assert checks.standings() == {}


def test_another_boot_of_the_node_is_another_question(scheduled):
    checks, changed = scheduled(Scripted())
    checks.ask([brisk()])
    assert changed.wait(10)
    before = checks.standings()[brisk().key]
    checks.ask([replace(brisk(), boot_id="boot-3")])
    [(key, standing)] = checks.standings().items()
    assert key[1] == "boot-3"
    assert standing.asked > before.asked


def test_nobody_asks_who_does_not_lead(scheduled):
    scripted = Scripted()
    leading = threading.Event()
    checks, changed = scheduled(scripted, leading.is_set)
    checks.ask([brisk()])
    until(lambda: checks._beside._loop is not None)
    assert scripted.asked == []
    leading.set()
    assert changed.wait(10)


def test_hundreds_that_hang_are_asked_a_bounded_number_at_once_and_hold_no_pass_up(scheduled):
    async def never():
        await asyncio.Event().wait()

    scripted = Scripted(never)
    checks, _ = scheduled(scripted)
    many = [brisk(f"node-{n}", timeout="100ms") for n in range(300)]
    began = time.monotonic()
    checks.ask(many)
    checks.standings()
    assert time.monotonic() - began < 1
    until(lambda: len(scripted.asked) >= 300, 30)
    assert scripted.most <= AT_ONCE
    until(lambda: all(one.answer for one in checks.standings().values()), 30)
    assert {one.answer.reason for one in checks.standings().values()} == {CheckReason.TIMED_OUT}


def test_a_fault_of_our_own_is_an_answer_and_is_logged(scheduled, caplog):
    async def broken():
        raise ZeroDivisionError

    checks, changed = scheduled(Scripted(broken))
    checks.ask([brisk()])
    assert changed.wait(10)
    assert checks.standings()[brisk().key].answer.reason is CheckReason.BAD_ANSWER
    assert "ZeroDivisionError" in caplog.text


def test_without_questions_there_is_no_thread(scheduled):
    checks, _ = scheduled(Scripted())
    checks.ask([])
    assert checks._beside._thread is None


def test_a_pass_with_nothing_to_do_asks_nothing(api):
    class Told:
        questions = None

        def ask(self, questions):
            self.questions = list(questions)

        def standings(self):
            return {}

    prober = Told()
    gather = Gather(api, Cache(), lambda _: Resolution())
    Engine(gather, Actor(api, Cache(), lambda: True), prober=prober).one_pass(NOW)
    assert prober.questions == []

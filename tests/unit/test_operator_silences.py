"""Silences in Alertmanager: for nodes whose move goes on, for minutes, and never in the way of a rollout."""

from dataclasses import replace

import pytest

from os_operator.core.silences import LEASE, RENEW, due
from os_operator.shell import alertmanager as shell
from os_operator.shell.alertmanager import Alertmanagers, Silences
from tests import alertmanager as stand_in
from tests import hostile
from tests.alertmanager_contract import *  # noqa: F403 - its tests run here
from tests.alertmanager_contract import silence
from tests.unit.operator_worlds import (
    NOW,
    cordoned,
    current,
    decide,
    failure,
    fell_back,
    fleet,
    node,
    on_trial,
    ordered,
    os,
    pod,
    staged,
    trial,
)
from tests.waiting import until

PLACE = {"alertmanager": "http://alertmanager.monitoring:9093"}


@pytest.fixture
def standing_in():
    with stand_in.alertmanager() as one:
        yield one


@pytest.fixture
def url(standing_in):
    return standing_in.url


def told(*pairs, now=NOW, **more):
    chosen = more.pop("chosen", None) or os(silence=PLACE, **more.pop("rollout", {}))
    return {one.node: one.goes_on for one in decide(chosen, *pairs, now=now, **more).silences}


def test_without_a_word_about_it_nothing_is_silenced():
    assert decide(os(), (cordoned(), staged())).silences == ()


def test_a_node_is_silenced_from_its_cordon_until_it_is_done():
    pods = {"node-1": (pod("web"),)}
    assert told((node(), staged()), rollout={"paused": True}) == {}
    assert told((cordoned(), staged()), pods=pods) == {"node-1": True}
    assert told((cordoned(), ordered())) == {"node-1": True}
    assert told(on_trial(deadline=NOW + 600)) == {"node-1": True}
    assert told((cordoned(boot_id="node-1-boot-2"), current())) == {}, "it is uncordoned in this pass"
    assert told((node(), current())) == {}


@pytest.mark.parametrize(
    ("pair", "what"),
    [
        ((cordoned(), ordered(deadline=NOW - 1, stale_at=NOW - 500)), "it did not come back in time"),
        ((cordoned(), fell_back()), "it fell back"),
        ((cordoned(ready=False), trial(deadline=NOW - 1)), "it did not get Ready in time"),
    ],
)
def test_a_node_whose_step_ran_out_of_time_is_left_to_page(pair, what):
    assert told(pair) == {"node-1": False}, what


def test_a_drain_past_its_timeout_is_left_to_page_though_it_goes_on_waiting():
    late = cordoned(since=NOW - 1000)
    pods = {"node-1": (pod("web"),)}
    drain = {"drain": {"timeout": "15m", "onTimeout": "Wait"}}
    assert told((late, staged()), pods=pods, rollout=drain) == {"node-1": False}
    assert told((late, staged()), pods=pods, rollout={"drain": {"timeout": "1h"}}) == {"node-1": True}


def test_a_halted_rollout_is_left_to_page_and_one_that_is_taken_back_goes_on():
    status = decide(os(), *fleet(2)).statuses["workers"].model_copy(update={"failed": (failure("node-2"),)})
    moving = (cordoned(), ordered())
    assert told(moving, chosen=os(silence=PLACE, status=status)) == {"node-1": False}
    back = os(silence=PLACE, status=status, failure={"action": "Rollback"})
    runs = replace(trial(), booted_at=NOW - 10), cordoned(boot_id="node-1-boot-2")
    assert told((runs[1], runs[0]), chosen=back) == {"node-1": True}


def test_a_lease_is_asked_for_once_in_its_half():
    wanted = silence("http://a")
    assert due(wanted, None, NOW)
    assert not due(wanted, NOW + LEASE, NOW)
    assert not due(wanted, NOW + RENEW, NOW)
    assert due(wanted, NOW + RENEW - 1, NOW)
    assert not due(replace(wanted, goes_on=False), None, NOW)


class Running:
    """A silencer on the stand-in, with a clock of its own."""

    def __init__(self, standing_in, leads=True):
        self.now, self.leads, self.told = NOW, leads, []
        standing_in.clock = lambda: self.now
        self.silencer = Silences(
            lambda: Alertmanagers(None, "x"), lambda: self.leads, self.told.append, lambda: self.now
        )
        self.keep = self.silencer.keep


@pytest.fixture
def running(standing_in, monkeypatch):
    monkeypatch.setattr(shell, "EVERY", 0.02)
    one = Running(standing_in)
    yield one
    one.silencer.close()


def test_a_move_that_goes_on_stays_silent_and_one_that_is_stuck_pages_within_its_lease(running, standing_in):
    goes_on, stuck = silence(standing_in.url), silence(standing_in.url, "worker-8")
    running.keep([goes_on, stuck])
    until(lambda: len(standing_in.active()) == 2)
    running.keep([goes_on, replace(stuck, goes_on=False)])
    for _ in range(5):
        running.now += 100
        ends = running.now + LEASE - 200
        until(lambda ends=ends: any(stand_in.read(one["endsAt"]) > ends for one in standing_in.active()))
    assert [one["matchers"][0]["value"] for one in standing_in.active()] == ["worker-7"]
    assert len(standing_in.silences) == 2, "it was extended, not made anew"


def test_work_that_goes_on_again_is_silenced_again(running, standing_in):
    stuck = replace(silence(standing_in.url), goes_on=False)
    running.keep([silence(standing_in.url)])
    until(standing_in.active)
    running.keep([stuck])
    running.now += LEASE + 1
    assert standing_in.active() == []
    running.keep([silence(standing_in.url)])
    until(standing_in.active)


def test_an_alertmanager_that_refuses_is_counted_asked_again_and_holds_nothing_up(running, standing_in):
    standing_in.refuse = 503
    running.keep([silence(standing_in.url)])
    until(lambda: running.told.count("WrongStatus") > 3)
    standing_in.refuse = 0
    until(lambda: "Done" in running.told)
    assert standing_in.active()


def test_nobody_who_listens_is_counted_by_its_reason(running, standing_in):
    with hostile.server(lambda connection: None) as closed:
        pass
    running.keep([silence(f"http://127.0.0.1:{closed.port}"), silence(standing_in.url)])
    until(standing_in.active)
    until(lambda: "Unreachable" in running.told)


def test_a_silent_alertmanager_does_not_keep_another_one_waiting_for_ever(running, standing_in, monkeypatch):
    monkeypatch.setattr(shell, "PATIENCE", 0.2)
    with hostile.server(lambda connection: hostile.request(connection) and connection.recv(1)) as mute:
        running.keep([silence(f"http://127.0.0.1:{mute.port}"), silence(standing_in.url, "worker-8")])
        until(lambda: "TimedOut" in running.told)
        until(standing_in.active)


def test_who_does_not_lead_asks_nothing_and_ends_nothing(running, standing_in):
    running.keep([silence(standing_in.url)])
    until(standing_in.active)
    running.leads = False
    asked = len(standing_in.asked)
    running.keep([])
    running.now += 10
    running.silencer.close()
    assert len(standing_in.asked) == asked
    assert standing_in.active()


def test_a_redirect_is_not_followed(running):
    with hostile.server(
        hostile.answer("307 Temporary Redirect", b"", "Location: http://127.0.0.1:1/api/v2/silences")
    ) as elsewhere:
        running.keep([silence(f"http://127.0.0.1:{elsewhere.port}")])
        until(lambda: "WrongStatus" in running.told)

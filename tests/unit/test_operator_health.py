"""A node on trial is confirmed only while every check holds, on this boot, for long enough."""

from dataclasses import replace

import pytest

from os_operator.core import health
from os_operator.core.actions import Cordon, SetOrders
from os_operator.core.explain import CHECK_NEXT, explain
from os_operator.core.node_way import CONFIRM_GRACE
from os_operator.core.parse import os_view
from os_operator.core.world import Answer, Standing
from tests.unit.operator_worlds import (
    DNS,
    HOLDS,
    NEW,
    NOW,
    WEB,
    answered,
    checked,
    cordoned,
    decide,
    done,
    fleet,
    node,
    on_trial,
    ordered,
    os,
    reasons,
    trial,
    world,
)
from warmroot.api.health import CheckReason
from warmroot.api.osinstance import Goal
from warmroot.api.reasons import WaitReason

FAILS = Answer(CheckReason.WRONG_STATUS, "https://10.0.0.1/ answered 503 instead of 200")
BOTH = checked(WEB, DNS)


def goals(decision):
    return [action.orders.goal for action in done(decision, SetOrders)]


def row(decision):
    [found] = decision.statuses["workers"].waiting
    return found


# -- what confirms -----------------------------------------------------------------------------------------


def test_a_node_whose_checks_all_hold_long_enough_is_confirmed():
    decision = decide(BOTH, on_trial(), checks=answered(BOTH, web=HOLDS, dns=HOLDS))
    assert goals(decision) == [Goal.CONFIRM]


def test_a_check_that_has_held_too_short_is_waited_for_and_the_pass_comes_back_then():
    decision = decide(BOTH, on_trial(), checks=answered(BOTH, web=HOLDS, dns=(HOLDS, 20)))
    assert goals(decision) == []
    assert (row(decision).reason, decision.next_deadline) == (WaitReason.SETTLING, NOW + 40)
    assert "its checks have to hold" in row(decision).message


@pytest.mark.parametrize("known", [{}, {"web": HOLDS}, {"web": HOLDS, "dns": None}])
def test_a_check_without_an_answer_confirms_nothing(known):
    decision = decide(BOTH, on_trial(), checks=answered(BOTH, **known))
    assert goals(decision) == []
    assert reasons(decision) == {"node-1": "Checking"}


def test_an_answer_about_another_boot_confirms_nothing():
    about_before = answered(BOTH, boot_id="node-1-boot-1", web=HOLDS, dns=HOLDS)
    assert reasons(decide(BOTH, on_trial(), checks=about_before)) == {"node-1": "Checking"}


def test_an_answer_to_a_check_that_was_edited_since_confirms_nothing():
    edited = checked(WEB | {"http": {"url": "https://{nodeIP}/ready"}}, DNS)
    decision = decide(edited, on_trial(), checks=answered(BOTH, web=HOLDS, dns=HOLDS))
    assert reasons(decision) == {"node-1": "Checking"}
    assert "check web" in row(decision).message


def test_an_answer_about_another_node_confirms_nothing():
    others = answered(BOTH, name="node-2", web=HOLDS, dns=HOLDS)
    assert goals(decide(BOTH, on_trial(), checks=others)) == []


def test_an_answer_that_is_too_old_is_none():
    known = answered(BOTH, web=HOLDS, dns=HOLDS)
    old = {key: replace(one, at=NOW - 15.1) for key, one in known.items()}
    just = {key: replace(one, at=NOW - 15) for key, one in known.items()}
    assert reasons(decide(BOTH, on_trial(), checks=old)) == {"node-1": "Checking"}
    assert goals(decide(BOTH, on_trial(), checks=just)) == [Goal.CONFIRM]


def test_without_checks_a_node_is_confirmed_as_ever():
    assert goals(decide(checked(), on_trial())) == [Goal.CONFIRM]


# -- what fails --------------------------------------------------------------------------------------------


def test_a_failing_check_is_told_with_its_reason_last_answer_and_since_when():
    decision = decide(BOTH, on_trial(), checks=answered(BOTH, web=(FAILS, 40), dns=HOLDS))
    told = row(decision)
    assert goals(decision) == []
    assert (told.reason, told.check.name, told.check.reason) == ("CheckFailed", "web", "WrongStatus")
    assert told.message == "check web: WrongStatus, https://10.0.0.1/ answered 503 instead of 200"
    assert told.since == "2027-01-15T07:59:20Z"
    assert told.deadline == "2027-01-15T08:10:00Z"


def test_several_that_fail_are_named_and_one_that_fails_is_told_before_one_that_is_not_answered():
    both = decide(BOTH, on_trial(), checks=answered(BOTH, web=FAILS, dns=FAILS))
    assert row(both).message.endswith("; also dns")
    silent = decide(BOTH, on_trial(), checks=answered(BOTH, web=None, dns=FAILS))
    assert row(silent).check.name == "dns"


def test_at_the_deadline_the_node_goes_back_and_the_record_names_check_reason_answer_and_since():
    late = on_trial(deadline=NOW - 1)
    decision = decide(BOTH, late, checks=answered(BOTH, web=(FAILS, 40), dns=HOLDS))
    assert goals(decision) == [Goal.ROLLBACK]
    [entry] = decision.statuses["workers"].failed
    assert entry.reason is WaitReason.UNHEALTHY
    assert entry.message == (
        "check web: WrongStatus, https://10.0.0.1/ answered 503 instead of 200 (since 2027-01-15T07:59:20Z)"
    )


def test_a_check_that_came_to_hold_too_late_is_named_at_the_deadline():
    late = on_trial(deadline=NOW - 1)
    decision = decide(BOTH, late, checks=answered(BOTH, web=HOLDS, dns=(HOLDS, 20)))
    assert goals(decision) == [Goal.ROLLBACK]
    [entry] = decision.statuses["workers"].failed
    assert entry.message == "check dns did not hold for 60 s in time (since 2027-01-15T07:59:40Z)"


def test_a_check_that_is_never_answered_ends_at_the_deadline_too():
    late = on_trial(deadline=NOW - 1)
    assert goals(decide(BOTH, late, checks=answered(BOTH, web=None, dns=HOLDS))) == [Goal.ROLLBACK]


# -- a restart of the operator -----------------------------------------------------------------------------


def test_an_operator_that_starts_anew_past_the_deadline_asks_before_it_gives_a_healthy_node_up():
    late = on_trial(deadline=NOW - 1)
    first = decide(BOTH, late)
    assert goals(first) == []
    assert {question.check.spec.name for question in first.questions} == {"web", "dns"}
    fresh = {key: replace(one, asked=NOW) for key, one in answered(BOTH, web=HOLDS, dns=HOLDS).items()}
    fresh = {key: replace(one, at=NOW + 59, since=NOW) for key, one in fresh.items()}
    waits = decide(BOTH, late, checks=fresh, now=NOW + 59)
    assert reasons(waits) == {"node-1": "Settling"}
    [order] = done(decide(BOTH, late, checks=fresh, now=NOW + 60), SetOrders)
    assert order.orders.goal is Goal.CONFIRM
    assert order.orders.order.deadline == NOW + 60
    assert order.orders.order.id == late[1].order.id


def test_the_confirm_that_came_late_has_its_own_time():
    kept = ordered(goal=Goal.CONFIRM, deadline=NOW)
    in_trial = replace(trial(), goal=Goal.CONFIRM, order=kept.order)
    pair = on_trial()[0], in_trial
    assert goals(decide(BOTH, pair, now=NOW + CONFIRM_GRACE)) == []


def test_it_does_not_ask_for_ever():
    """A check that is never answered after a restart is given its time once."""
    late = on_trial(deadline=NOW - 1)
    unanswered = answered(BOTH, web=HOLDS, dns=None)
    unanswered = {key: replace(one, asked=NOW - 76) for key, one in unanswered.items()}
    assert goals(decide(BOTH, late, checks=unanswered)) == [Goal.ROLLBACK]


def test_a_node_that_was_not_ready_in_time_gets_no_more_for_a_late_check():
    up, instance = on_trial(deadline=NOW - 1)
    sluggish = replace(up, ready_since=NOW - 50), instance
    assert goals(decide(BOTH, sluggish)) == [Goal.ROLLBACK]


# -- what is asked -----------------------------------------------------------------------------------------


def test_only_nodes_on_trial_that_are_ready_with_the_new_boot_are_asked_about():
    up, instance = on_trial()
    pairs = [
        (up, instance),
        (replace(cordoned("node-2", boot_id="node-2-boot-2"), ready=False), trial("node-2")),
        (cordoned("node-3", boot_id="node-3-boot-1"), trial("node-3")),
        (cordoned("node-4"), ordered("node-4")),
        (cordoned("node-5", boot_id="node-5-boot-2"), trial("node-5", goal=Goal.CONFIRM)),
        *fleet(3, first=6),
    ]
    asked = decide(BOTH, *pairs).questions
    assert {(question.node, question.boot_id) for question in asked} == {("node-1", "node-1-boot-2")}


def test_a_pass_over_a_fleet_at_rest_asks_nothing():
    assert decide(BOTH, *fleet(3)).questions == ()


def test_a_question_has_the_address_of_its_node():
    up, instance = on_trial()
    asked = decide(BOTH, (replace(up, address="10.0.0.7"), instance)).questions
    assert {question.address for question in asked} == {"10.0.0.7"}


# -- answers in a row --------------------------------------------------------------------------------------

[CHECK] = health.trials(checked(WEB).spec.rollout.health, {}).checks


def after(*answers):
    begun = Standing(0.0)
    for at, answer in answers:
        begun = health.follow(begun, answer, at, CHECK)
    return begun


def test_a_check_that_fails_once_starts_its_clock_anew():
    assert after((5, HOLDS), (10, HOLDS)).since == 5
    assert after((5, HOLDS), (10, FAILS), (15, HOLDS)).since == 15


def test_answers_with_too_long_a_silence_between_them_do_not_add_up():
    assert after((5, HOLDS), (20, HOLDS)).since == 5
    assert after((5, HOLDS), (21, HOLDS)).since == 21


def test_since_when_a_check_fails_for_one_reason_does_not_move_and_its_figures_are_told_once_a_minute():
    def value(text):
        return Answer(CheckReason.OUT_OF_BOUNDS, text)

    soon = after((5, value("1")), (10, value("2")))
    assert (soon.since, soon.answer.detail, soon.at) == (5, "1", 10)
    steady = after(*[(5 + 5 * n, value(str(n))) for n in range(14)])
    assert (steady.since, steady.answer.detail) == (5, "12")
    assert after((5, FAILS), (10, value("2"))).since == 10


# -- a spec that can't be followed -------------------------------------------------------------------------


def applied(*checks):
    raw = {"release": {"version": "2", "source": "https://releases.example", "digest": NEW}}
    raw["rollout"] = {"health": {"checks": list(checks)}}
    meta = {"name": "workers", "uid": "uid-workers", "resourceVersion": "1", "generation": 1}
    return os_view({"metadata": meta | {"finalizers": ["warmroot.io/release-nodes"]}, "spec": raw})


def volumes(cel):
    kind = {"apiVersion": "apps/v1", "kind": "DaemonSet", "namespace": "storage", "name": "csi"}
    return {"name": "volumes", "object": kind | {"cel": cel}}


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (volumes("object.status.phase =="), "check volumes: cel: "),
        (volumes("object.size()) == 1"), "check volumes: cel: "),
        (volumes("size(object.a)"), "check volumes: cel: it gives a int"),
        (volumes("phase == 'Ready'"), "check volumes: cel: 1:1: undeclared reference to 'phase'"),
        ({"name": "load", "prometheus": {"url": "http://p", "query": "up{node={nodeName}}", "max": 1}},
         "check load: {nodeName} and {nodeIP} have to be inside of quotes"),
        ({"name": "load", "prometheus": {"url": "http://p", "query": "up"}}, "check load: give one of"),
        ({"name": "two"} | {"http": WEB["http"], "pods": DNS["pods"]}, "check two: give exactly one of"),
        ({"name": "none"}, "check none: give exactly one of"),
        (DNS | {"pods": DNS["pods"] | {"minReady": "0%"}}, "check dns: minReady: "),
    ],
)  # fmt: skip
def test_a_check_that_can_t_be_asked_is_told_at_once_by_its_name_and_nothing_starts(check, said):
    view = applied(check)
    assert said in view.problem
    decision = decide(view, *[(node(one.name), instance) for one, instance in fleet(2)])
    told = {one.type: one for one in decision.statuses["workers"].conditions}
    assert (told["Ready"].reason, told["Stalled"].status.value) == ("InvalidSpec", "True")
    assert view.problem in told["Ready"].message
    assert set(goals(decision)) <= {Goal.NONE}
    assert done(decision, Cordon) == []


def test_a_node_on_trial_is_not_confirmed_while_nobody_can_read_its_checks():
    broken = applied(volumes("object.status.phase =="))
    decision = decide(broken, on_trial())
    assert goals(decision) == []
    assert reasons(decision) == {"node-1": "Checking"}
    assert goals(decide(broken, on_trial(deadline=NOW - 1))) == [Goal.ROLLBACK]


def test_a_mistake_elsewhere_in_the_spec_takes_no_check_away():
    good = applied(WEB)
    raw = {"release": {"version": "2", "source": "https://releases.example", "digest": NEW}}
    windows = [{"cron": "0 1 * * 6", "duration": "4h", "timeZone": "Europe/Atlantis"}]
    raw["rollout"] = {"health": {"checks": [WEB]}, "windows": windows}
    meta = {"name": "workers", "uid": "uid-workers", "resourceVersion": "1", "generation": 1}
    broken = os_view({"metadata": meta, "spec": raw})
    assert broken.spec is None
    assert broken.health == good.spec.rollout.health
    failing = answered(good, web=FAILS)
    assert reasons(decide(broken, on_trial(), checks=failing)) == {"node-1": "CheckFailed"}


# -- for a person ------------------------------------------------------------------------------------------


def test_every_reason_has_a_next_step():
    assert set(CHECK_NEXT) == set(CheckReason)
    assert all(CHECK_NEXT.values())


def test_why_says_the_check_and_what_to_do_about_its_reason():
    seen = world(BOTH, [on_trial()], checks=answered(BOTH, web=FAILS, dns=HOLDS))
    told = explain("node-1", seen, NOW)
    assert told.message.startswith("check web: WrongStatus")
    assert told.next == "read the log of what is asked on node-1"


def test_why_in_a_terminal_says_what_the_operator_wrote_down():
    """The answers are in the operator's memory alone."""
    status = decide(BOTH, on_trial(), checks=answered(BOTH, web=FAILS, dns=HOLDS)).statuses["workers"]
    seen = world(replace(BOTH, status=status), [on_trial()])
    told = explain("node-1", seen, NOW)
    assert (told.reason, told.message) == (WaitReason.CHECK_FAILED, status.waiting[0].message)
    assert told.next == "read the log of what is asked on node-1"


def test_a_status_with_a_check_is_written_once():
    known = answered(BOTH, web=FAILS, dns=HOLDS)
    status = decide(BOTH, on_trial(), checks=known).statuses["workers"]
    later = {key: replace(one, at=NOW + 4) for key, one in known.items()}
    again = decide(replace(BOTH, status=status), on_trial(), checks=later, now=NOW + 5)
    assert again.statuses["workers"] == status


def test_an_object_that_is_deleted_judges_by_its_checks_to_the_end():
    leaving = replace(BOTH, deleting=True)
    assert reasons(decide(leaving, on_trial(), checks=answered(BOTH, web=FAILS, dns=HOLDS))) == {
        "node-1": "CheckFailed"
    }
    assert decide(os(), on_trial()).questions == ()

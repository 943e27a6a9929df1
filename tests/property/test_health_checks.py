"""No node is confirmed while a check does not hold, has no answer, or has one about something else."""

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from os_operator.core import health
from os_operator.core.actions import SetOrders
from os_operator.core.promql import problem, with_node
from os_operator.core.world import Answer, Standing
from tests.examples import examples
from tests.unit.operator_worlds import DNS, NOW, WEB, checked, decide, done, on_trial
from warmroot.api.health import CheckReason
from warmroot.api.osinstance import Goal

FAILS = Answer(CheckReason.NO_PODS, "none")
ANSWERS = st.sampled_from([None, Answer(), Answer(), Answer(), FAILS])
BOOTS = st.sampled_from(["node-1-boot-2", "node-1-boot-2", "node-1-boot-2", "node-1-boot-1"])
AGES = st.sampled_from([0, 5, 14, 15, 16, 100])
SPANS = st.sampled_from([0, 30, 59, 60, 61, 300])


@st.composite
def standings(draw, checks):
    found = {}
    for check in checks:
        if draw(st.integers(0, 5)):
            answer, since = draw(ANSWERS), NOW - draw(SPANS)
            at = max(since, NOW - draw(AGES))
            asked = since - draw(st.sampled_from([0, 100]))
            key = draw(st.sampled_from([check.key, check.key, check.key, "of another spec"]))
            found["node-1", draw(BOOTS), key] = Standing(asked, answer, at, since, since)
    return found


@examples(200)
@given(st.data())
def test_only_a_node_that_has_proved_itself_is_confirmed(data):
    seconds = data.draw(st.sampled_from([0, 60]))
    chosen = checked(WEB, DNS, ready_seconds=seconds)
    checks = health.trials(chosen.spec.rollout.health, {}).checks
    known = data.draw(standings(checks))
    up, instance = on_trial(deadline=NOW + data.draw(st.sampled_from([-300, -1, 0, 600])))
    up = replace(up, ready=data.draw(st.booleans()), ready_since=NOW - data.draw(SPANS))
    decision = decide(chosen, (up, instance), checks=known)
    orders = [action.orders.goal for action in done(decision, SetOrders)]
    if Goal.CONFIRM in orders:
        assert up.ready
        assert up.ready_since + seconds <= NOW
        for check in checks:
            standing = known["node-1", instance.boot_id, check.key]
            assert standing.answer == Answer()
            assert standing.at >= NOW - 15
            assert standing.since + seconds <= NOW
    elif not orders:
        [row] = decision.statuses["workers"].waiting
        assert row.reason in ("NotReady", "Checking", "CheckFailed", "Settling")
        assert decision.next_deadline is not None


@examples(200)
@given(
    st.lists(st.tuples(st.sampled_from([1, 5, 15, 15.5, 60]), st.sampled_from([Answer(), FAILS])), min_size=1)
)
def test_what_is_said_to_hold_since_a_time_was_answered_so_ever_since(answers):
    [check] = health.trials(checked(WEB).spec.rollout.health, {}).checks
    at, standing, given_ = 0.0, Standing(0.0), []
    for gap, answer in answers:
        at += gap
        standing = health.follow(standing, answer, at, check)
        given_.append((at, answer.reason))
    alike = [(when, reason) for when, reason in given_ if when >= standing.since]
    assert alike
    assert {reason for _, reason in alike} == {standing.answer.reason}
    assert all(later - sooner <= check.lasts for (sooner, _), (later, _) in itertools.pairwise(alike))


NAMES = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=20)


@examples(200)
@given(NAMES)
def test_a_name_never_ends_the_quotes_that_it_stands_in(name):
    query = 'up{a="{nodeName}",b=~"{nodeName}"}'
    asked = with_node(query, name, "")
    assert problem(asked.replace("{nodeName}", "")) == ""
    inside = with_node('"{nodeName}"', name, "")[1:-1]
    assert '"' not in inside.replace("\\\\", "").replace('\\"', "")

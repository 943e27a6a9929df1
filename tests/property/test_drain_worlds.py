"""A drain in any world: it ends when all that counts is gone, and never moves what a rule leaves alone."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from os_operator.core.drain import GRACE_SLACK, SYSTEM_CRITICAL, DrainState, assess, emptied
from os_operator.core.world import AttachmentView, EvictionAnswer, EvictionResult, PodView
from tests.unit.operator_worlds import NOW, cordoned, os, staged, world
from warmroot.api.os import Drain

TIMEOUT = 60.0
APPS = ("web", "batch", "agent")
ACTIONS = ("Drain", "Skip", "WaitCompleted")
CLAIMS = ("data", "more", "spare")


@st.composite
def rules(draw):
    """Of pod rules some, in any order, perhaps with one for all at the end."""
    some = draw(st.lists(st.tuples(st.sampled_from(APPS), st.sampled_from(ACTIONS)), max_size=4))
    listed = [{"selector": {"matchLabels": {"app": app}}, "action": action} for app, action in some]
    if draw(st.booleans()):
        listed.append({"selector": {}, "action": draw(st.sampled_from(ACTIONS))})
    return {
        "timeout": f"{int(TIMEOUT)}s",
        "onTimeout": draw(st.sampled_from(["Wait", "Skip", "Force", "Abort"])),
        "deleteEmptyDir": draw(st.booleans()),
        "unmanagedPods": draw(st.sampled_from(["Evict", "Refuse"])),
        "podRules": listed,
    }


@st.composite
def pods(draw):
    def one(number):
        return PodView(
            "shop",
            f"pod-{number}",
            f"uid-{number}",
            priority=draw(st.sampled_from([0, 5, SYSTEM_CRITICAL])),
            controller=draw(st.sampled_from(["ReplicaSet", "ReplicaSet", "DaemonSet", ""])),
            mirror=draw(st.integers(0, 9)) == 0,
            empty_dir=draw(st.integers(0, 4)) == 0,
            finished=draw(st.integers(0, 4)) == 0,
            deleted_at=draw(st.sampled_from([None, None, None, NOW - 100, NOW + 5])),
            claims=tuple(draw(st.lists(st.sampled_from(CLAIMS), max_size=2))),
            labels={"app": draw(st.sampled_from(APPS))},
        )

    return [one(number) for number in range(draw(st.integers(0, 5)))]


ATTACHMENTS = st.lists(
    st.builds(
        AttachmentView,
        st.sampled_from(["csi-1", "csi-2", "csi-3"]),
        st.sampled_from(["", "pvc-1", "pvc-2"]),
        st.sampled_from(["", *(f"shop/{claim}" for claim in CLAIMS)]),
        st.booleans(),
    ),
    max_size=3,
)
ANSWERS = st.sampled_from(list(EvictionAnswer))
AGES = st.sampled_from([0.0, 10.0, TIMEOUT - 1, TIMEOUT, TIMEOUT + GRACE_SLACK - 1, TIMEOUT + GRACE_SLACK])


def action(pod, spec):
    """What is to be done about a pod, read off the page once more."""
    if pod.mirror or pod.controller == "DaemonSet":
        return "Skip"
    for one in spec["podRules"]:
        wanted = one["selector"].get("matchLabels", {}).get("app")
        if wanted in (None, pod.labels["app"]):
            return one["action"]
    return "Drain"


def kept_back(pod, spec):
    lost = pod.empty_dir and not spec["deleteEmptyDir"]
    alone = not pod.controller and spec["unmanagedPods"] == "Refuse"
    return lost or alone


def check(outcome, there, attachments, spec, age, now):
    """What holds of every outcome; `now` in Unix seconds, `age` of the drain in seconds."""
    by_uid = {pod.uid: pod for pod in there}
    forced = spec["onTimeout"] == "Force" and age >= TIMEOUT
    assert all(action(by_uid[one.uid], spec) == "Drain" for one in outcome.evict)
    assert all(action(by_uid[one.uid], spec) != "Skip" for one in outcome.delete)
    assert forced or not outcome.delete
    moved = (*outcome.evict, *outcome.delete)
    assert not any(one.finished or one.deleted_at is not None for one in moved)
    drained = [one for one in there if action(one, spec) == "Drain"]
    if any(kept_back(one, spec) and not one.finished and one.deleted_at is None for one in drained):
        assert not moved
    hung = [one for one in there if one.deleted_at is not None and now >= one.deleted_at + GRACE_SLACK]
    held = [
        one
        for one in there
        if not one.finished and action(one, spec) != "Skip" and not (forced and one in hung)
    ]
    stays = {
        f"shop/{claim}"
        for one in there
        if action(one, spec) == "Skip" and not one.finished
        for claim in one.claims
    }
    tied = [one for one in attachments or () if one.attached and one.claim not in stays]
    at_any_price = spec["onTimeout"] == "Force" and age >= TIMEOUT + GRACE_SLACK
    open_ = bool(held) or ((attachments is None or bool(tied)) and not at_any_price)
    assert (outcome.state is DrainState.DRAINED) == (not open_)
    assert (outcome.text() == "no pods are left") == (outcome.state is DrainState.DRAINED)


@given(pods(), st.none() | ATTACHMENTS, rules(), st.lists(ANSWERS | st.none(), min_size=5, max_size=5), AGES)
def test_a_drain_is_over_exactly_when_no_pod_that_counts_and_no_volume_of_one_is_left(
    there, attachments, spec, answers, age
):
    results = {
        f"uid-{number}": EvictionResult(answer, NOW - 3, 2, "why")
        for number, answer in enumerate(answers)
        if answer is not None
    }
    outcome = assess(there, attachments, results, Drain.model_validate(spec), NOW - age, NOW)
    check(outcome, there, attachments, spec, age, NOW)


STEPS = st.lists(
    st.tuples(ANSWERS, st.integers(0, 4), st.sampled_from(["stays", "ends", "goes"])), max_size=8
)


@given(pods(), ATTACHMENTS, rules(), STEPS)
def test_whatever_the_order_of_answers_no_step_moves_a_pod_that_a_rule_leaves_alone(
    there, attachments, spec, steps
):
    """Evictions are answered as drawn, and meanwhile pods go or finish by themselves."""
    results, now = {}, NOW
    for answer, index, fate in steps:
        outcome = assess(there, attachments, results, Drain.model_validate(spec), NOW, now)
        check(outcome, there, attachments, spec, now - NOW, now)
        for one in outcome.evict:
            attempts = results[one.uid].attempts + 1 if one.uid in results else 1
            results[one.uid] = EvictionResult(answer, now, attempts, "why")
            if answer is EvictionAnswer.ACCEPTED:
                there = [replace(each, deleted_at=now + 5) if each.uid == one.uid else each for each in there]
        if index < len(there) and fate == "goes":
            there = [*there[:index], *there[index + 1 :]]
        elif index < len(there) and fate == "ends":
            there = [*there[:index], replace(there[index], finished=True), *there[index + 1 :]]
        now += 13


@given(pods(), rules(), AGES)
def test_a_pass_knows_of_the_volumes_whenever_they_decide(there, spec, age):
    seen = world(os(drain=spec), [(cordoned(since=NOW - age), staged())], pods={"node-1": tuple(there)})
    asked = emptied(seen, NOW) == ["node-1"]
    unknown, none = (
        assess(there, found, {}, Drain.model_validate(spec), NOW - age, NOW) for found in (None, ())
    )
    assert asked or unknown == none

"""Which build is next: one for a key, not at once after a failure, made like the pod that recorded."""

from dataclasses import replace

import pytest

from jboost_server.core.control import queue
from jboost_server.core.control.queue import FIRST_PAUSE, LONGEST_PAUSE, REFUSED, STALE, starts, waiting
from jboost_server.core.control.world import Phase, Refusal, Told
from jboost_server.core.progress import Stage
from tests.control_worlds import (
    K1,
    K2,
    NAME,
    NOW,
    build,
    cache,
    injected,
    key,
    serving,
    shapes,
    wanted,
    world,
)
from tests.injected import container, pod
from warmroot.api.javacache import CacheReason

OLD = injected(pod(container(image="shop/orders:1")), uid="old")
NEW = injected(pod(container(image="shop/orders:2")), uid="new", made="2027-02-01T00:00:00Z")
FAILED, COMPLETE = Phase.FAILED, Phase.COMPLETE


def begun(seen, now=NOW, most=4):
    found = list(starts(seen, now, most))
    assert {one.cache.name for one in found} <= waiting(seen, now)
    return [(one.key.digest, one.attempt) for one in found]


def test_what_is_wanted_is_built():
    assert begun(world(wanted())) == [(K1, 1)]


@pytest.mark.parametrize("one", [key(), serving(), key(stage=Stage.REFUSED), wanted(stage=Stage.BUILDING)])
def test_what_is_not_wanted_or_is_being_built_is_left(one):
    assert begun(world(one)) == []


def test_a_better_archive_of_a_key_that_serves_is_built_too():
    assert begun(world(serving(wanted=True))) == [(K1, 1)]


def test_a_key_has_one_builder_at_a_time():
    assert begun(world(wanted(), builds=(build(),))) == []
    assert begun(world(wanted(), wanted(K2), builds=(build(),))) == [(K2, 1)]


def test_no_more_run_than_may_in_the_whole_cluster():
    assert begun(world(wanted(), wanted(K2)), most=1) == [(K1, 1)]
    assert begun(world(wanted(), builds=(build(digest=K2),)), most=1) == []
    assert begun(world(wanted()), most=0) == []


def test_a_namespace_has_two_at_most_whatever_it_shows():
    three = "3" * 64
    assert begun(world(wanted(), wanted(K2), wanted(three)), most=9) == [(K1, 1), (K2, 1)]
    forged = tuple(build(digest=f"{number:064x}", cache=("bank", "x")) for number in range(50))
    assert begun(world(wanted(), builds=forged), most=4) == [(K1, 1)]
    assert begun(world(wanted(), builds=forged), most=2) == []


def test_the_namespace_that_waited_longest_is_first():
    other = ("zoo", "orders")
    seen = world(
        caches={NAME: cache(), other: cache(other)},
        told={NAME: Told(NOW, (wanted(),)), other: Told(NOW, (wanted(K2),))},
        shapes={NAME: shapes(OLD), other: shapes(OLD)},
    )
    ended = (build(COMPLETE, digest="3" * 64, ended=NOW - 3600),)
    first = [one.cache.name for one in starts(seen, NOW, 1)]
    then = [one.cache.name for one in starts(replace(seen, builds=ended), NOW, 1)]
    assert (first, then) == ([NAME], [other])


def test_a_cache_that_is_off_or_can_not_be_read_builds_nothing():
    off = world(wanted(), caches={NAME: cache(mode="Off")})
    assert begun(off) == []
    assert begun(world(wanted(), caches={})) == []


def test_the_pause_after_a_failure_doubles_and_ends():
    builds, at, pauses = (), NOW, []
    for attempt in range(1, 10):
        builds = (*builds, build(FAILED, attempt, ended=at))
        pauses.append(queue.turn(NAME, wanted(), builds).due - at)
        at += 10
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    later = world(wanted(), builds=(build(FAILED, ended=NOW),), at=NOW + FIRST_PAUSE)
    assert begun(later, NOW + FIRST_PAUSE - 1) == []
    assert begun(later, NOW + FIRST_PAUSE) == [(K1, 2)]


def test_what_the_service_said_before_a_build_ended_does_not_count_after_it():
    builds = (build(COMPLETE, shape="x", ended=NOW),)
    assert begun(world(wanted(), builds=builds, at=NOW + STALE), NOW + 600) == []
    assert begun(world(wanted(), builds=builds, at=NOW + STALE + 1), NOW + 600) == [(K1, 2)]


def chosen(one, builds=(), now=NOW):
    return queue.choose(shapes(OLD, NEW), NAME, one, builds, now)


def test_a_builder_is_made_like_the_pod_that_recorded():
    assert chosen(wanted(recorded_by=("old",))).container["image"] == "shop/orders:1"
    assert chosen(wanted(recorded_by=("new",))).container["image"] == "shop/orders:2"


def test_if_that_pod_is_gone_each_kind_of_pod_is_tried_the_newest_first():
    new, old = shapes(OLD, NEW)
    assert chosen(wanted()) == new
    assert chosen(wanted(), (build(COMPLETE, shape=new.digest),)) == old
    both = (build(COMPLETE, shape=new.digest), build(COMPLETE, 2, shape=old.digest))
    assert chosen(wanted(), both) is None
    assert chosen(wanted(), both, NOW + FIRST_PAUSE) == new


def test_builders_that_find_nothing_to_build_come_ever_less_often():
    new, old = shapes(OLD, NEW)
    builds = [build(COMPLETE, at + 1, shape=(new, old)[at % 2].digest, ended=NOW) for at in range(8)]
    assert chosen(wanted(), builds, NOW + 60 * FIRST_PAUSE) is None
    assert chosen(wanted(), builds, NOW + 64 * FIRST_PAUSE) == new


def test_the_recorders_kind_is_tried_again_before_a_stranger():
    _, old = shapes(OLD, NEW)
    assert chosen(wanted(recorded_by=("old",)), (build(FAILED, shape=old.digest),)) == old


def test_without_a_pod_there_is_nothing_to_make_a_builder_of():
    assert begun(world(wanted(), shapes={NAME: ()})) == []


def test_a_namespace_that_took_no_builder_is_left_alone_for_a_while():
    refusal = Refusal(CacheReason.NOT_GRANTED, "no", NOW)
    assert begun(world(wanted(), refusals={NAME: refusal}), NOW + REFUSED - 1) == []
    assert begun(world(wanted(), refusals={NAME: refusal}), NOW + REFUSED) == [(K1, 1)]


def test_what_the_silent_service_said_last_still_stands():
    assert begun(world(told={NAME: Told(NOW, (wanted(),), silent="no connection")})) == [(K1, 1)]

"""What a JavaCache says of itself: its keys, the best of them, conditions, and news once."""

import dataclasses

import pytest

from jboost_server.core.control.parse import MAX_WORDS, words
from jboost_server.core.control.plan import plan
from jboost_server.core.control.world import Phase, Refusal, Told
from jboost_server.core.progress import Stage
from tests.control_worlds import K1, K2, NAME, NOW, build, cache, key, serving, wanted, world
from warmroot.api.javacache import MAX_KEYS, CacheReason, CacheState, JavaCacheStatus


def rendered(*keys, now=NOW, builders=4, **more) -> JavaCacheStatus:
    return plan(world(*keys, **more), now, builders).statuses[NAME]


def condition(status, kind):
    (found,) = [one for one in status.conditions if one.type == kind]
    return found.status.value, found.reason


def summary(status):
    return status.state, [condition(status, kind) for kind in ("Ready", "Degraded", "Reconciling", "Stalled")]


QUARANTINED = key(K2, Stage.WITHDRAWN, why="3 pods' JVMs refused it or died of it")
REFUSED = key(K2, Stage.REFUSED, why="2 % faster; 10 % are wanted")


@pytest.mark.parametrize(
    ("keys", "state", "conditions"),
    [
        ([], "Learning", ["False NotSeen", "False Healthy", "True NotSeen", "False NotSeen"]),
        ([key()], "Learning", ["False Learning", "False Healthy", "True Learning", "False Learning"]),
        ([serving()], "Serving", ["True Serving", "False Healthy", "False Serving", "False Serving"]),
        (
            [serving(), REFUSED],
            "Serving",
            ["True Serving", "False Healthy", "False Serving", "False Serving"],
        ),
        (
            [serving(), QUARANTINED],
            "Serving",
            ["True Serving", "True Quarantined", "False Serving", "False Serving"],
        ),
        (
            [QUARANTINED],
            "Quarantined",
            ["False Quarantined", "True Quarantined", "False Quarantined", "True Quarantined"],
        ),
        ([REFUSED], "Refused", ["False Refused", "False Healthy", "False Refused", "True Refused"]),
        (
            [key(stage=Stage.BUILDING), REFUSED],
            "Building",
            ["False Building", "False Healthy", "True Building", "False Building"],
        ),
    ],
)
def test_a_cache_is_as_far_as_its_best_key(keys, state, conditions):
    found, told = summary(rendered(*keys))
    assert (found, [" ".join(one) for one in told]) == (state, conditions)


def test_one_that_is_off_is_what_was_asked_for():
    state, told = summary(rendered(serving(), caches={NAME: cache(mode="Off")}))
    assert (state, told[0], told[2]) == (CacheState.OFF, ("True", "Off"), ("False", "Off"))


def test_it_says_what_a_start_was_and_is_and_how_many_hit():
    status = rendered(serving(hits=8, misses={"missing": 2, "learning": 9}), key(K2))
    assert (status.serving, status.coverage) == ("1/2", 80)
    assert (status.start_before, status.start_after) == ("4.62s", "2.74s")
    row = status.keys[0]
    assert (row.archive_digest, row.bytes) == ("sha256:" + "a" * 64, 1 << 20)
    assert (row.start_seconds.without, row.start_seconds.with_) == (4.62, 2.74)
    assert status.wire()["keys"][0]["startSeconds"] == {"without": 4.62, "with": 2.74}


@pytest.mark.parametrize(
    ("more", "reason", "said"),
    [
        ({}, CacheReason.LEARNING, "a builder is next"),
        ({"builders": 1, "builds": (build(digest=K2),)}, CacheReason.WAITING, "other builders"),
        ({"shapes": {NAME: ()}}, CacheReason.NO_POD, "start one"),
        (
            {"refusals": {NAME: Refusal(CacheReason.NOT_GRANTED, "bind", NOW)}},
            CacheReason.NOT_GRANTED,
            "bind",
        ),
        (
            {"builds": (build(Phase.FAILED, why="BackoffLimitExceeded: it ended with 1", ended=NOW),)},
            CacheReason.BUILD_FAILED,
            "came to nothing (BackoffLimitExceeded: it ended with 1); the next one from 2027-01-15T08:05:00Z",
        ),
    ],
)
def test_why_nothing_is_built_though_there_is_something_to_build(more, reason, said):
    row = rendered(wanted(), **more).keys[0]
    assert (row.state, row.reason) == (CacheState.LEARNING, reason)
    assert said in row.message


def test_a_builder_is_seen_before_the_service_knows_of_it():
    row = rendered(wanted(), builds=(build(),)).keys[0]
    assert (row.state, row.reason) == (CacheState.BUILDING, CacheReason.BUILDING)


def test_while_the_service_is_silent_what_was_known_stays_and_that_is_said():
    known = rendered(serving(hits=9))
    for told in (Told(0.0, silent="no connection"), Told(NOW, (serving(hits=9),), silent="no connection")):
        status = rendered(caches={NAME: cache(status=known)}, told={NAME: told})
        assert (status.keys, status.state, status.coverage) == (known.keys, "Serving", 100)
        assert condition(status, "Ready") == ("True", "Serving")
        assert condition(status, "Degraded") == ("True", "ServiceUnavailable")


def test_a_service_that_was_never_heard_of_is_why_a_cache_is_not_ready():
    status = rendered(told={NAME: Told(0.0, silent="no connection")})
    assert condition(status, "Ready") == ("False", "ServiceUnavailable")


def test_rows_are_bounded_and_those_that_need_a_person_come_first():
    many = [key(f"{number:064x}") for number in range(40)]
    status = rendered(*many, serving(K1), QUARANTINED)
    assert len(status.keys) == MAX_KEYS
    assert [row.state for row in status.keys[:2]] == [CacheState.QUARANTINED, CacheState.SERVING]
    assert status.serving == "1/42"


def test_what_somebody_says_is_cut_and_obeyed_by_no_terminal():
    assert words("a\x1b[31mb\n" + "c" * 1000) == "a [31mb " + "c" * (MAX_WORDS - 9) + "…"


def passes(first, *later):
    """Writes of each pass, each over the status that the one before left."""
    status, found = JavaCacheStatus(), []
    for at, keys in enumerate([first, *later]):
        seen = world(*keys, caches={NAME: cache(status=status)})
        decision = plan(seen, NOW + at, 0)
        found.append(decision.writes)
        status = decision.statuses[NAME]
    return found


def test_where_nothing_changed_nothing_is_written():
    quiet = [serving(hits=3), key(K2)]
    assert [len(writes) for writes in passes(quiet, quiet, quiet)] == [1, 0, 0]


def test_a_status_is_read_back_as_it_was_written():
    status = rendered(serving(hits=3, misses={"coops": 1}), QUARANTINED, key("3" * 64))
    assert JavaCacheStatus.model_validate(status.wire()) == status


def test_what_changed_is_told_once():
    told = [
        [event.reason.value for write in writes for event in write.events]
        for writes in passes([key()], [serving()], [serving(hits=1)], [QUARANTINED, serving(hits=2)])
    ]
    assert told == [[], ["Serving"], [], ["Quarantined"]]


def test_harm_is_a_warning_and_another_archive_is_news_again():
    other = dataclasses.replace(serving().archive, digest="b" * 64)
    news = passes([serving()], [serving(archive=other)], [key(K1, Stage.WITHDRAWN, why="it crashed")])
    events = [event for writes in news for write in writes for event in write.events]
    assert [event.warning for event in events] == [False, False, True]
    assert len({event.key for event in events}) == 3


def test_conditions_keep_the_time_of_their_last_change():
    statuses = [writes[0].status for writes in passes([key()], [key(recordings=2)], [serving()])]
    times = [
        [one.last_transition_time[-3:-1] for one in status.conditions if one.type == "Ready"]
        for status in statuses
    ]
    assert times == [["00"], ["00"], ["02"]]

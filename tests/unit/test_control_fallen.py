"""JVMs that died of their archive: read from what kubelets write, accused once, and their pods let go."""

import json

import pytest

from jboost_server.core.control.fallen import SOON, fallen, starting
from jboost_server.core.control.plan import plan
from jboost_server.core.control.times import when
from jboost_server.core.control.world import Accuse, Release
from jboost_server.core.progress import Stage
from tests.control_worlds import ARCHIVE, K1, K2, NAME, NOW, injected, key, serving, world

OTHER = "b" * 64
BEGAN = NOW - 60


def message(outcome="hit", key=K1, archive=ARCHIVE.digest):
    return json.dumps({"outcome": outcome, "key": key, "archive": archive})


def dead(code=139, seconds=3, restarts=1, running=False, said=None, owner=True, **more):
    """An injected pod whose application ended with this code, as a kubelet tells it."""
    pod = injected(**more)
    ended = {"exitCode": code, "startedAt": when(BEGAN), "finishedAt": when(BEGAN + seconds)}
    state = {"running": {}} if running else {"waiting": {"reason": "CrashLoopBackOff"}}
    pod["metadata"] |= {"name": "orders-1"}
    if owner:
        pod["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "orders", "controller": True}]
    said = message() if said is None else said
    return pod | {
        "status": {
            "startTime": when(BEGAN),
            "initContainerStatuses": [
                {"name": "jboost-agent", "state": {"terminated": {"exitCode": 0}}},
                {"name": "jboost-fetch", "state": {"terminated": {"exitCode": 0, "message": said}}},
            ],
            "containerStatuses": [
                {"name": "app", "state": state, "lastState": {"terminated": ended}, "restartCount": restarts}
            ],
        }
    }


def found(*pods):
    return fallen(pods, NAME[1])


@pytest.mark.parametrize(
    ("code", "signal"), [(127, "SIGABRT"), (132, "SIGILL"), (134, "SIGABRT"), (139, "SIGSEGV")]
)
def test_a_jvm_that_a_signal_ended_soon_after_a_hit_names_its_archive(code, signal):
    (one,) = found(dead(code))
    assert (one.key, one.archive, one.container) == (K1, ARCHIVE.digest, "app")
    assert one.why == f"{signal} in pod orders-1, 3 s after its start"
    assert (one.down, one.owned) == (True, True)


@pytest.mark.parametrize("code", [0, 1, 137, 143])
def test_who_was_told_to_end_or_ended_by_itself_is_no_witness(code):
    assert found(dead(code)) == ()


def test_who_served_for_long_died_of_something_else():
    assert found(dead(seconds=SOON)) != ()
    assert found(dead(seconds=SOON + 1)) == ()


@pytest.mark.parametrize(
    "said",
    [
        "",
        "no JSON",
        "[]",
        "7",
        "[" * 100_000,
        message(outcome="learning"),
        message(outcome="missing"),
        message(key="../../etc"),
        message(archive="x"),
        '{"outcome": "hit"}',
    ],
)
def test_what_the_agent_did_not_say_of_a_hit_accuses_nobody(said):
    assert found(dead(said=said)) == ()


def test_each_death_is_a_witness_of_its_own_and_the_same_one_is_seen_once():
    first, again, second = (found(dead(restarts=count))[0].witness for count in (1, 1, 2))
    assert first == again != second


def test_a_pod_of_another_cache_or_of_none_is_not_looked_at():
    assert fallen([dead()], "other") == ()
    pod = dead()
    del pod["metadata"]["annotations"]
    assert found(pod) == ()


def test_a_pod_is_young_for_twice_as_long_as_its_archive_is_suspected():
    assert starting([dead()], NAME[1], BEGAN + 2 * SOON - 1)
    assert not starting([dead()], NAME[1], BEGAN + 2 * SOON)
    assert not starting([dead()], "other", BEGAN)


def deaths(*pods, keys=None, reported=frozenset()):
    seen = world(*(keys or [serving()]), fallen={NAME: found(*pods)}, reported=reported)
    return list(plan(seen, NOW, 4).deaths)


def test_an_archive_that_serves_is_accused_once_for_each_death():
    (accused,) = deaths(dead())
    assert isinstance(accused, Accuse)
    assert deaths(dead(), reported=frozenset({accused.fallen.witness})) == []
    assert len(deaths(dead(restarts=2), reported=frozenset({accused.fallen.witness}))) == 1


def test_once_it_is_withdrawn_pods_that_would_die_again_are_let_go():
    withdrawn = [key(stage=Stage.WITHDRAWN)]
    (one,) = deaths(dead(), keys=withdrawn)
    assert isinstance(one, Release)
    assert deaths(dead(running=True), keys=withdrawn) == []
    assert deaths(dead(owner=False), keys=withdrawn) == []


def test_a_pod_of_an_archive_that_a_better_one_replaced_is_let_go_too():
    assert isinstance(deaths(dead(said=message(archive=OTHER)))[0], Release)


def test_of_a_key_that_the_service_does_not_know_nobody_is_accused_and_nobody_let_go():
    assert deaths(dead(said=message(key=K2))) == []

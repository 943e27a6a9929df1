from dataclasses import replace

import pytest

from jboost_server.core.buildkey import Collectors
from jboost_server.core.lookup import MAX_PROPOSALS, Answer, Candidate, Scope, propose
from jboost_server.core.outcome import Outcome
from tests.jboost_world import KEY, SCOPE

FIT = Candidate(SCOPE, KEY, "1" * 64, built=100, start=2000)
OTHER_GC = replace(KEY, ergonomics=replace(KEY.ergonomics, collectors=Collectors.Z))


def test_the_fastest_start_comes_first_and_the_unmeasured_last_by_age():
    fast = replace(FIT, digest="2" * 64, start=1500)
    old, new = (replace(FIT, digest=d * 64, start=None, built=b) for d, b in (("3", 1), ("4", 2)))
    assert propose(SCOPE, KEY, [old, FIT, new, fast]).proposals == (fast, FIT, new)


def test_no_more_are_proposed_than_a_pod_has_time_for():
    many = [replace(FIT, digest=d * 64) for d in "12345"]
    assert propose(SCOPE, KEY, many).proposals == tuple(many[:MAX_PROPOSALS])


def test_the_order_of_candidates_makes_no_difference():
    others = [replace(FIT, digest=d * 64) for d in "23"]
    assert propose(SCOPE, KEY, [FIT, *others]) == propose(SCOPE, KEY, [*reversed(others), FIT])


@pytest.mark.parametrize("scope", [Scope("other", SCOPE.group), Scope(SCOPE.tenant, "other")])
def test_nothing_of_another_tenant_or_group_is_proposed_or_told(scope):
    answer = propose(scope, KEY, [FIT, replace(FIT, key=OTHER_GC)])
    assert answer == Answer(Outcome.MISSING, why=(f"no archive for {scope.tenant}/{scope.group} yet",))


def test_a_withdrawn_archive_is_never_proposed():
    answer = propose(SCOPE, KEY, [replace(FIT, withdrawn=True)])
    assert answer == Answer(Outcome.MISSING, why=("the archive for this key was withdrawn",))


def test_the_reason_is_that_of_the_nearest_archive():
    far = replace(OTHER_GC, jvm=replace(KEY.jvm, feature=25), agents=("jdwp",))
    answer = propose(SCOPE, KEY, [replace(FIT, key=far), replace(FIT, key=OTHER_GC)])
    assert (answer.outcome, answer.proposals) == (Outcome.GC, ())
    assert answer.why == ("collectors: archive z, pod classic",)


def test_a_withdrawn_archive_gives_no_reason_to_pods_of_other_keys():
    assert propose(SCOPE, KEY, [replace(FIT, key=OTHER_GC, withdrawn=True)]).outcome is Outcome.MISSING


def test_an_answer_is_a_hit_exactly_if_it_proposes_something():
    with pytest.raises(ValueError, match="hit"):
        Answer(Outcome.HIT)
    with pytest.raises(ValueError, match="hit"):
        Answer(Outcome.MISSING, (FIT,))

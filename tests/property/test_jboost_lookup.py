"""Whatever archives there are, a pod is proposed only those of its own scope and key."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from jboost_server.core.buildkey import BuildKey, Collectors, Ergonomics, Jar, Jvm, decode, differences
from jboost_server.core.lookup import MAX_PROPOSALS, Candidate, Scope, propose
from jboost_server.core.outcome import Outcome

# Few values each, so that keys are often equal, and often differ in one part alone.
JVMS = st.builds(
    Jvm,
    feature=st.sampled_from([17, 25]),
    arch=st.sampled_from(["amd64", "arm64"]),
    internal_version=st.just("OpenJDK"),
    libjvm=st.sampled_from(["a" * 40, "b" * 40]),
    modules_size=st.sampled_from([1, 2]),
    modules_digest=st.just("c" * 64),
)
ERGONOMICS = st.builds(
    Ergonomics,
    compressed_oops=st.booleans(),
    compressed_class_pointers=st.just(True),
    compact_headers=st.booleans(),
    object_alignment=st.sampled_from([8, 16]),
    large_heap=st.booleans(),
    collectors=st.sampled_from(list(Collectors)),
)
JARS = st.builds(
    Jar,
    path=st.sampled_from(["/a.jar", "/b.jar"]),
    size=st.just(1),
    mtime=st.sampled_from([1, 2]),
    fingerprint=st.sampled_from(["d" * 64, "e" * 64]),
)
KEYS = st.builds(
    BuildKey,
    jvm=JVMS,
    ergonomics=ERGONOMICS,
    class_path=st.lists(JARS, min_size=1, max_size=2).map(tuple),
    module_options=st.sampled_from([(), ("--limit-modules=a",)]),
    agents=st.sampled_from([(), ("jdwp",)]),
    cpu=st.sampled_from([(), ("avx2",)]),
)
SCOPES = st.builds(Scope, st.sampled_from(["t", "u"]), st.sampled_from(["g", "h"]))


@st.composite
def worlds(draw):
    scope, key = draw(SCOPES), draw(KEYS)
    candidates = st.builds(
        Candidate,
        scope=st.one_of(st.just(scope), SCOPES),
        key=st.one_of(st.just(key), KEYS),
        digest=st.sampled_from(["1" * 64, "2" * 64, "3" * 64]),
        built=st.integers(0, 3),
        start=st.one_of(st.none(), st.integers(1, 3)),
        withdrawn=st.booleans(),
    )
    return scope, key, draw(st.lists(candidates, max_size=8))


@given(worlds())
def test_nothing_of_another_key_or_scope_and_nothing_withdrawn_is_proposed(world):
    scope, key, candidates = world
    answer = propose(scope, key, candidates)
    fitting = [c for c in candidates if (c.scope, c.key, c.withdrawn) == (scope, key, False)]
    assert len(answer.proposals) == min(MAX_PROPOSALS, len(fitting))
    assert all(proposal in fitting for proposal in answer.proposals)
    assert all(differences(proposal.key, key) == () for proposal in answer.proposals)


@given(worlds())
def test_an_answer_without_proposals_says_why_in_words(world):
    answer = propose(*world)
    if answer.outcome is not Outcome.HIT:
        assert answer.why and all(answer.why)


@given(worlds(), st.randoms(use_true_random=False))
def test_an_answer_does_not_depend_on_the_order_of_archives(world, random):
    scope, key, candidates = world
    shuffled = random.sample(candidates, len(candidates))
    assert propose(scope, key, candidates) == propose(scope, key, shuffled)


@given(KEYS, KEYS)
def test_keys_differ_in_a_named_part_exactly_if_their_names_differ(one, other):
    assert (differences(one, other) == ()) == (one == other) == (one.digest == other.digest)


@given(KEYS)
def test_a_key_survives_its_encoding(key):
    assert decode(key.encode()) == key
    assert decode(replace(key).encode()).digest == key.digest

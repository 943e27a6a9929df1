"""Invariants of the cache service: J3 (tenants), leases, retention, promotion."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from operator import gt
from pathlib import Path
from statistics import median

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jboost_server.catalogue import Catalogue
from jboost_server.core import layout, leases, retention
from jboost_server.core.layout import KeyPlace
from jboost_server.core.lookup import Scope
from jboost_server.core.promotion import judge
from jboost_server.core.publication import Publication, State
from jboost_server.core.retention import Archive, Key, Retention
from jboost_server.records import read
from jboost_server.settings import Policy
from jboost_server.store.directory import DirectoryStore
from tests.jboost.server_world import CLASSES, SIGNER, Clock, digest
from tests.jboost_world import JAR, KEY
from warmroot.errors import NoLease

SECONDS = st.integers(1, 5000)
starts = st.lists(SECONDS, min_size=5, max_size=12)
DIGESTS = [f"{number:x}" * 64 for number in range(8)]
GROUPS = ["orders", "billing"]


@given(starts, starts, st.integers(0, 50), st.integers(0, 3000))
def test_what_serves_is_faster_by_the_wanted_gain_with_the_stated_confidence(plain, warm, gain, saved):
    verdict = judge(plain, warm, min_gain=gain, min_saved=saved)
    if verdict.serve:
        assert verdict.gain >= gain and verdict.confidence >= 99
        assert median(plain) - median(warm) >= saved
        assert sorted(warm)[len(warm) // 2] <= sorted(plain)[len(plain) // 2]


@given(starts, starts)
def test_never_do_both_sides_win(one, other):
    assert not (judge(one, other, min_gain=0).serve and judge(other, one, min_gain=0).serve)


@given(starts, starts, st.integers(0, 50), st.integers(0, 3000), st.data())
def test_a_faster_start_never_costs_the_verdict(plain, warm, gain, saved, data):
    before = judge(plain, warm, min_gain=gain, min_saved=saved)
    index = data.draw(st.integers(0, len(warm) - 1))
    faster = [*warm[:index], data.draw(st.integers(1, warm[index])), *warm[index + 1 :]]
    after = judge(plain, faster, min_gain=gain, min_saved=saved)
    assert after.serve >= before.serve and after.gain >= before.gain


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=5, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_rounds_makes_no_difference(rounds, random):
    """A round is a plain start and the warm one beside it: those are compared with one another, too."""
    shuffled = random.sample(rounds, len(rounds))
    assert judge(*zip(*shuffled, strict=True), min_gain=10) == judge(*zip(*rounds, strict=True), min_gain=10)


@given(starts, starts, st.integers(0, 50))
def test_what_is_refused_for_good_clearly_missed_the_gain(plain, warm, gain):
    """As a whole, or each side by side: so a busy moment refuses nothing."""
    verdict = judge(plain, warm, min_gain=gain)
    asked_for = [start * (100 - gain) / 100 for start in plain]
    if not verdict.serve and not verdict.again:
        misses = sum(start > least for start in warm for least in asked_for)
        assert 2 * misses > len(plain) * len(warm) or all(map(gt, warm, asked_for))


def publication(name: str, state: State, built: int, size: int) -> Publication:
    return Publication(name, size, "f" * 64, state, "", built, 100, 50, 50, b"{}")


@st.composite
def tenants(draw):
    keys = []
    for number in range(draw(st.integers(0, 5))):
        place = KeyPlace(Scope("shop", draw(st.sampled_from(GROUPS))), f"{number:064x}")
        built = tuple(
            publication(
                name, draw(st.sampled_from(State)), draw(st.integers(0, 99)), draw(st.integers(1, 99))
            )
            for name in draw(st.lists(st.sampled_from(DIGESTS), max_size=3, unique=True))
        )
        keys.append(Key(place, built, draw(st.integers(0, 100)), draw(st.booleans())))
    archives = [
        Archive(name, draw(st.integers(1, 99)), draw(st.integers(0, 100)))
        for name in draw(st.lists(st.sampled_from(DIGESTS), unique=True))
    ]
    return keys, archives, draw(st.sets(st.sampled_from(DIGESTS), max_size=2))


policies = st.builds(
    Retention,
    keep_builds=st.integers(1, 3),
    unused_for=st.integers(0, 100),
    max_bytes=st.integers(0, 300),
    grace=st.integers(0, 50),
)


@given(tenants(), policies)
def test_nothing_that_is_still_served_ordered_or_young_is_swept(tenant, policy):
    keys, archives, uploaded = tenant
    plan = retention.plan(keys, archives, uploaded, policy, 100)
    gone = {place for place, _ in plan.forget}
    served = {each.archive for key in keys if key.place not in gone for each in key.built if each.fetchable}
    for archive, _ in plan.sweep:
        assert archive.digest not in served | uploaded
        assert 100 - archive.modified > policy.grace
    assert not any(key.busy for key in keys if key.place in gone)


@given(tenants(), policies)
def test_what_is_kept_is_within_the_bounds_unless_it_is_being_built(tenant, policy):
    keys, archives, uploaded = tenant
    gone = {place for place, _ in retention.plan(keys, archives, uploaded, policy, 100).forget}
    kept = [key for key in keys if key.place not in gone and key.serving and not key.busy]
    if not any(key.busy for key in keys):
        for group in GROUPS:
            assert sum(key.place.scope.group == group for key in kept) <= policy.keep_builds
        without_service = sum(
            each.size
            for key in keys
            if key.place not in gone and not key.serving
            for each in key.built
            if each.fetchable
        )
        size = sum(each.size for key in kept for each in key.built if each.fetchable)
        assert size + without_service <= policy.max_bytes or not kept
    assert all(100 - key.active <= policy.unused_for for key in kept)


SLOTS = 2
SCOPES = [Scope(tenant, group) for tenant in ("shop", "bank") for group in GROUPS]
KEYS = [KEY, dataclasses.replace(KEY, class_path=(JAR,))]


class Services(RuleBasedStateMachine):
    """Several services over one store, whose views are as old as they like, and pods that ask anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="warmroot-"))
        self.clock = Clock()
        self.monotonic = Clock()
        self.store = DirectoryStore(self.folder)
        policy = Policy(recorders=SLOTS, lease=100, fresh=50.0)
        self.services = [
            Catalogue(self.store, SIGNER, policy, clock=self.clock, monotonic=self.monotonic)
            for _ in range(3)
        ]
        self.leases: list[tuple[KeyPlace, str, float]] = []
        self.taken: dict[KeyPlace, set[str]] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(service=st.integers(0, 2), scope=st.sampled_from(SCOPES), key=st.sampled_from(KEYS))
    def look_up(self, service, scope, key):
        answer = self.services[service].lookup(scope, key, record=True, pod="pod")
        assert answer.proposals == ()
        if answer.recorder:
            place = KeyPlace(scope, key.digest)
            self.leases.append((place, answer.recorder.lease, self.clock.now + 100))

    @precondition(lambda self: self.leases)
    @rule(service=st.integers(0, 2), data=st.data(), content=st.sampled_from([CLASSES, b"a/B\n", b"a/C\n"]))
    def record(self, service, data, content):
        place, lease, _ = data.draw(st.sampled_from(self.leases))
        try:
            self.services[service].record(place, lease, digest(content), len(content), [content], run=(1, 1))
        except NoLease:
            return
        self.taken.setdefault(place, set()).add(digest(content))

    @precondition(lambda self: self.leases)
    @rule(service=st.integers(0, 2), data=st.data(), other=st.sampled_from(SCOPES))
    def record_elsewhere(self, service, data, other):
        """A lease is good for its own tenant, group and key."""
        place, lease, _ = data.draw(st.sampled_from(self.leases))
        if other != place.scope:
            wrong = KeyPlace(other, place.key)
            try:
                self.services[service].record(wrong, lease, digest(CLASSES), 1, [CLASSES], run=(1, 1))
            except NoLease:
                return
            raise AssertionError("a lease was good elsewhere")

    @rule(seconds=st.sampled_from([1, 40, 60, 101]))
    def time_goes_on(self, seconds):
        self.clock.now += seconds
        self.monotonic.now += seconds

    @invariant()
    def never_more_live_leases_than_slots(self):
        for place in {place for place, _, _ in self.leases}:
            given = [until for at, _, until in self.leases if at == place and until > self.clock.now]
            assert len(given) <= SLOTS

    @invariant()
    def never_more_recordings_than_slots(self):
        for place, recordings in self.taken.items():
            assert len(recordings) <= SLOTS
            assert {name for name, _ in self.services[0].recordings(place)} == recordings

    @invariant()
    def what_is_in_the_store_is_whole(self):
        for place, lease, _ in self.leases:
            assert read(self.store, place.lease(leases.slot_of(lease)), leases.decode)
        for stat in self.store.list():
            assert layout.take_apart(stat.name) is not None


Services.TestCase.settings = settings(max_examples=15, stateful_step_count=20)
TestServices = Services.TestCase

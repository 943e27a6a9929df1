"""Leader election in virtual time, on an API server in memory that fences by version."""

import pytest

from tests.sim.memory_cluster import MemoryCluster, Store
from warmroot.errors import NetworkError, UserError
from warmroot.kube.cluster import LEASE
from warmroot.kube.lease import Lease, Terms


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class NamespacedCluster(MemoryCluster):
    """The simulation's clients put no Lease; this one replaces whole objects in a namespace."""

    broken = False

    def get(self, kind, name, *, namespace=None):
        if self.broken:
            raise NetworkError("cut off")
        return super().get(kind, name, namespace=namespace)

    def replace(self, kind, body, *, subresource=None):
        old = self.store.find(kind, body["metadata"]["name"], body["metadata"]["namespace"])
        self._fence(old, body)
        return self.store.commit(kind, body)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def candidates(clock):
    store = Store(clock)

    def candidate(identity):
        cluster = NamespacedCluster(store)
        lease = Lease(cluster, "system", "operator", identity, monotonic=clock, wall=lambda: 1e9)
        lease.cluster = cluster
        return lease

    return candidate


def holder(lease):
    return lease.cluster.get(LEASE, "operator", namespace="system")["spec"]["holderIdentity"]


def test_the_first_takes_it_and_the_second_waits(candidates):
    first, second = candidates("a"), candidates("b")
    assert first.attempt()
    assert not second.attempt()
    assert holder(first) == "a"


def test_a_holder_that_renews_keeps_it_for_ever(candidates, clock):
    first, second = candidates("a"), candidates("b")
    for _ in range(100):
        assert first.attempt()
        assert not second.attempt()
        clock.now += 3


def test_a_dead_holder_is_followed_after_its_duration_on_the_follower_s_own_clock(candidates, clock):
    first, second = candidates("a"), candidates("b")
    first.attempt()
    clock.now += 1000  # the second has only just begun to look
    assert not second.attempt()
    clock.now += 14.9
    assert not second.attempt()
    clock.now += 0.1
    assert second.attempt()


def test_a_cut_off_holder_stops_writing_before_anybody_may_follow(candidates, clock):
    first, second = candidates("a"), candidates("b")
    first.attempt()
    second.attempt()
    first.cluster.broken = True
    followed_alone(first, second, clock)


def followed_alone(first, second, clock):
    """In twenty seconds the second follows the first, and at no moment do both believe that they hold."""
    both = []
    for _ in range(200):
        first.attempt()
        second.attempt()
        both.append((first.held(), second.held()))
        clock.now += 0.1
    assert (True, True) not in both
    assert both[-1] == (False, True)


def test_a_deleted_lease_lets_nobody_in_while_its_holder_may_still_write(candidates, clock):
    """Whoever deletes a Lease ends nobody's belief in it: the holder's own clock does."""
    first, second = candidates("a"), candidates("b")
    first.attempt()
    second.attempt()
    first.cluster.delete(LEASE, "operator", namespace="system")
    first.cluster.broken = True
    followed_alone(first, second, clock)


def test_a_holder_whose_lease_was_deleted_makes_it_again(candidates, clock):
    first, second = candidates("a"), candidates("b")
    first.attempt()
    second.attempt()
    first.cluster.delete(LEASE, "operator", namespace="system")
    clock.now += 3
    assert not second.attempt()
    assert first.attempt()


def test_of_two_that_follow_at_once_one_wins(candidates, clock):
    first, second, third = candidates("a"), candidates("b"), candidates("c")
    first.attempt()
    second.attempt()
    third.attempt()
    clock.now += 16
    assert (second.attempt(), third.attempt()) == (True, False)


def test_a_holder_that_was_overtaken_knows_it_at_its_next_look(candidates, clock):
    first, second = candidates("a"), candidates("b")
    first.attempt()
    second.attempt()
    clock.now += 15
    assert second.attempt()
    assert not first.attempt()
    assert not first.held()


def test_a_released_lease_is_taken_at_once(candidates):
    first, second = candidates("a"), candidates("b")
    first.attempt()
    first.release()
    assert not first.held()
    assert second.attempt()


def test_what_was_given_back_is_not_taken_again(candidates):
    first = candidates("a")
    first.attempt()
    first.release()
    assert not first.attempt()
    assert not holder(first)


def test_the_same_identity_goes_on_at_once_after_a_kill(candidates):
    candidates("a").attempt()
    assert candidates("a").attempt()


def test_terms_that_would_allow_two_writers_are_refused():
    with pytest.raises(UserError):
        Terms(duration=10, renew_within=12, every=3)

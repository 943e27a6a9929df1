"""Years of certificates in virtual time: at no moment is one shown that the API server does not believe."""

from __future__ import annotations

import base64
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from jboost_server.webhook.certificates import Bundle, Terms, renewed
from jboost_server.webhook.keeping import CONFIGURATION, Keeper, Place
from tests.keeping_cluster import KeepingCluster
from warmroot import errors
from warmroot.kube.cluster import SECRET

NAMES = ("jboost-webhook.warmroot-jboost.svc",)
PLACE = Place("warmroot-jboost", "jboost-webhook", "warmroot-jboost", NAMES)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
TERMS = Terms()
STEPS = 500
"""Of 50 hours: nearly three years."""


def believed(known: bytes, shown: bytes, now: datetime, name: str = NAMES[0]) -> None:
    """As a client does it that has the authorities of `known`."""
    store = Store(x509.load_pem_x509_certificates(known))
    verifier = (
        PolicyBuilder().store(store).time(now.replace(tzinfo=None)).build_server_verifier(x509.DNSName(name))
    )
    verifier.verify(x509.load_pem_x509_certificate(shown), [])


def test_the_first_certificate_is_for_our_name_and_believed_with_the_authority_alone():
    bundle = renewed(None, NAMES, BEGIN, TERMS)

    believed(bundle.known, bundle.certificate, BEGIN)
    with pytest.raises(VerificationError):
        believed(bundle.known, bundle.certificate, BEGIN, "other.svc")
    with pytest.raises(VerificationError):
        believed(renewed(None, NAMES, BEGIN, TERMS).known, bundle.certificate, BEGIN)


def test_nothing_is_made_anew_before_it_is_due():
    bundle = renewed(None, NAMES, BEGIN, TERMS)

    assert renewed(bundle, NAMES, BEGIN + timedelta(days=59), TERMS) is bundle
    assert renewed(bundle, NAMES, BEGIN + timedelta(days=61), TERMS) is not bundle


def test_a_new_authority_is_known_for_a_day_before_anything_is_signed_by_it():
    bundle = renewed(None, NAMES, BEGIN, TERMS)
    due = BEGIN + TERMS.authority * 2 / 3 + timedelta(hours=1)
    for days in range(40, 243, 40):  # the certificate is renewed meanwhile, by the old authority
        bundle = renewed(bundle, NAMES, BEGIN + timedelta(days=days), TERMS)

    told = renewed(bundle, NAMES, due, TERMS)
    later = renewed(told, NAMES, due + TERMS.overlap - timedelta(hours=1), TERMS)
    used = renewed(told, NAMES, due + TERMS.overlap, TERMS)

    assert (len(told.authorities), told.certificate) == (2, bundle.certificate)
    assert later.certificate == bundle.certificate
    assert used.authorities == told.authorities
    believed(used.authorities[0], used.certificate, due + TERMS.overlap)
    believed(told.known, used.certificate, due + TERMS.overlap)


def test_another_name_is_in_the_certificate_at_once():
    bundle = renewed(None, NAMES, BEGIN, TERMS)

    moved = renewed(bundle, ("127.0.0.1", "new.svc"), BEGIN, TERMS)

    assert moved.authorities == bundle.authorities
    believed(moved.known, moved.certificate, BEGIN, "new.svc")


def test_after_a_long_sleep_all_is_made_anew():
    bundle = renewed(None, NAMES, BEGIN, TERMS)
    later = BEGIN + timedelta(days=1000)

    woken = renewed(bundle, NAMES, later, TERMS)

    assert len(woken.authorities) == 1
    believed(woken.known, woken.certificate, later)


def test_a_secret_holds_a_bundle_and_nothing_that_does_not_belong_together():
    one, other = (renewed(None, NAMES, BEGIN, TERMS) for _ in range(2))

    assert Bundle.of(one.files()) == one
    for name in one.files():
        with pytest.raises(ValueError, match=r"missing"):
            Bundle.of({file: data for file, data in one.files().items() if file != name})
    with pytest.raises(ValueError, match="belong together"):
        Bundle.of(replace(one, key=other.key).files())
    with pytest.raises(ValueError, match="belong together"):
        Bundle.of(replace(one, authority_key=other.authority_key).files())


class World:
    """Replicas, each of which looks at the Secret now and then, and an API server that verifies."""

    def __init__(self, replicas: int) -> None:
        self.now = BEGIN
        self.cluster = KeepingCluster()
        self.cluster.configure(PLACE.configuration)
        self.keepers = [self.keeper() for _ in range(replicas)]
        self.shown: dict[int, bytes] = {}

    def keeper(self) -> Keeper:
        return Keeper(self.cluster, PLACE, lambda: self.now)

    def look(self, replica: int) -> None:
        self.shown[replica] = self.keepers[replica].keep().certificate

    @property
    def known(self) -> bytes:
        (hook,) = self.cluster.get(CONFIGURATION, PLACE.configuration)["webhooks"]
        return base64.b64decode(hook["clientConfig"]["caBundle"])

    def check(self) -> None:
        for shown in self.shown.values():
            believed(self.known, shown, self.now)


def test_replicas_agree_for_years_and_the_api_server_always_believes_what_they_show():
    chance = random.Random(0)
    world = World(3)
    certificates = set()
    for _ in range(STEPS):
        world.now += timedelta(hours=50)
        for replica in chance.sample(range(3), 3):
            world.look(replica)
            world.check()
            if chance.random() < 0.02:
                world.keepers[replica] = world.keeper()  # it was started again
        certificates.update(world.shown.values())
        assert len(set(world.shown.values())) <= 2

    world.look(0)
    assert len(certificates) > 10
    assert len(x509.load_pem_x509_certificates(world.known)) <= 2


def test_of_replicas_that_begin_together_one_makes_the_certificates():
    world = World(2)
    world.cluster.before_write = lambda: world.look(1)

    world.look(0)

    assert world.shown[0] == world.shown[1]
    world.check()


def test_a_secret_that_was_deleted_comes_back_as_it_was():
    world = World(1)
    world.look(0)
    before = world.shown[0]
    world.cluster.delete(SECRET, PLACE.secret, namespace=PLACE.namespace)

    world.look(0)

    assert world.shown[0] == before
    assert world.cluster.get(SECRET, PLACE.secret, namespace=PLACE.namespace)


def test_a_secret_that_somebody_filled_with_other_things_is_put_right():
    world = World(1)
    secret = {"metadata": {"name": PLACE.secret, "namespace": PLACE.namespace}, "data": {"tls.crt": "eA=="}}
    world.cluster.create(SECRET, secret)

    world.look(0)

    world.check()


def test_a_configuration_that_was_applied_again_is_told_again():
    world = World(1)
    world.look(0)
    world.cluster.configure(PLACE.configuration)

    world.look(0)

    world.check()


def test_without_a_configuration_there_is_a_certificate_and_nobody_is_told():
    world = World(0)
    world.cluster.objects.clear()
    keeper = world.keeper()

    assert keeper.keep()
    assert not keeper.told


def test_a_secret_that_others_write_all_the_time_is_given_up_for_now():
    world = World(1)
    world.look(0)
    world.now += timedelta(days=80)
    world.cluster.before_write = world.cluster.touch

    with pytest.raises(errors.Conflict, match="all the time"):
        world.look(0)

import pytest

from jboost_server.core import leases, orders, publication
from jboost_server.core.counts import MAX_ARCHIVES, Counts, Use, one
from jboost_server.core.facts import Facts
from jboost_server.core.flags import allowed
from jboost_server.core.layout import KeyPlace
from jboost_server.core.leases import Lease
from jboost_server.core.naming import Naming
from jboost_server.core.orders import ATTEMPTS, REST, Book, Ended, Failures, Form, Learned, Order
from jboost_server.core.outcome import Outcome
from jboost_server.core.publication import Publication, State
from jboost_server.core.tournament import Recording
from tests.jboost_world import KEY, SCOPE
from warmroot.errors import NoLease, NoOrder, StoreBroken

A, B, C = "a" * 64, "b" * 64, "c" * 64
PLACE = KeyPlace(SCOPE, KEY.digest)
ORDER = Order(orders.make_id(PLACE, "0" * 32), Form.AOT, A, 100, "me", 1000)
LARGE, SMALL = Recording(A, 1000, 60, 10), Recording(B, 990, 60, 5)
PUBLISHED = Publication(C, 5, A, State.SERVING, "fast", 1, 100, 50, 50, b"{}")


def test_what_is_written_is_read():
    lease = leases.make(7, "f" * 30, "pod", 1000)
    assert leases.decode(lease.encode()) == lease
    book = Book(ORDER, Ended("x", "serving", 5, "why"), {B: Failures(2, 7)})
    assert orders.decode(book.encode()) == book
    assert orders.decode(Book().encode()) == Book()
    assert publication.decode(PUBLISHED.encode()) == PUBLISHED
    facts = Facts(Form.CLASS_LIST, 1, 2, 3, 4)
    assert Facts.decode(facts.encode()) == facts
    naming = Naming().plus("orders", A)
    assert Naming.decode(naming.encode()) == naming
    counts = one(Outcome.HIT, A, "well", 5)
    assert Counts.decode(counts.encode()) == counts


@pytest.mark.parametrize(
    "decode",
    [leases.decode, orders.decode, publication.decode, Facts.decode, Naming.decode, Counts.decode],
)
@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"id":1}'])
def test_what_nobody_wrote_is_broken(decode, data):
    with pytest.raises(StoreBroken):
        decode(data)


def test_an_orders_id_says_whose_it_is_within_the_asking_tenant():
    assert orders.place_of(ORDER.id, SCOPE.tenant) == PLACE
    assert orders.place_of(ORDER.id, "bank").scope.tenant == "bank"
    for odd in ("", "x", "0" * 96, "0" * 96 + "2e2e", "0" * 96 + "zz", "0" * 96 + "ff"):
        with pytest.raises(NoOrder):
            orders.place_of(odd, SCOPE.tenant)


def test_nothing_is_built_while_recordings_are_still_wanted():
    assert orders.next_recording(Learned([SMALL], 1, 2), Book(), (), 0) is None
    assert orders.next_recording(Learned([], 0, 2), Book(), (), 0) is None
    assert orders.next_recording(Learned([SMALL], 0, 2), Book(), (), 0) == SMALL
    assert orders.next_recording(Learned([SMALL, LARGE], 1, 2), Book(), (), 0) == LARGE


def test_what_saw_less_than_the_one_that_serves_is_not_built():
    learned = Learned([SMALL, LARGE], 0, 2)
    assert orders.next_recording(learned, Book(), (PUBLISHED,), 0) is None
    refused = PUBLISHED.become(State.REFUSED, "slow")
    assert orders.next_recording(learned, Book(), (refused,), 0) == SMALL


def given_up(at):
    book = Book()
    for _ in range(ATTEMPTS):
        assert orders.worth_building(A, Learned([LARGE], 0, 1), book, (), at)
        ended = Ended(ORDER.id, "failed", 0, "x" * 9999)
        book = Book(ORDER, failed=book.failed).closed(ended, at, failed=True)
    return book


def test_an_input_that_fails_again_and_again_is_given_up():
    book = given_up(500)
    assert not orders.worth_building(A, Learned([LARGE], 0, 1), book, (), 500)
    assert orders.next_recording(Learned([LARGE], 0, 1), book, (), 500) is None
    assert book.given_up(500) == Failures(ATTEMPTS, 500)


def test_after_a_day_one_more_build_of_what_was_given_up_is_tried():
    book = given_up(500)
    assert not orders.worth_building(A, Learned([LARGE], 0, 1), book, (), 499 + REST)
    assert orders.worth_building(A, Learned([LARGE], 0, 1), book, (), 500 + REST)
    again = Book(ORDER, failed=book.failed).closed(Ended(ORDER.id, "failed", 0, ""), 500 + REST, failed=True)
    assert not orders.worth_building(A, Learned([LARGE], 0, 1), again, (), 501 + REST)


def test_what_is_forgiven_may_be_built_at_once_and_an_order_that_is_out_stays():
    book = given_up(500)
    assert orders.worth_building(A, Learned([LARGE], 0, 1), book.forgiven(), (), 500)
    assert Book(ORDER, failed=book.failed).forgiven() == Book(ORDER)


def test_a_builder_that_never_came_back_has_failed_at_its_orders_end():
    book = Book(ORDER).at(ORDER.until + 5)
    assert (book.order, book.failed) == (None, {A: Failures(1, ORDER.until)})
    assert Book(ORDER).at(ORDER.until - 1) == Book(ORDER)


def test_an_order_is_over_at_its_time_and_for_everybody_else():
    book = Book(ORDER)
    assert book.of(ORDER.id, 999) == ORDER
    for order, now in ((ORDER.id, 1000), ("another", 0)):
        with pytest.raises(NoOrder):
            book.of(order, now)


def test_a_lease_is_free_when_its_time_is_over_and_nothing_came_of_it():
    lease = leases.make(0, "f" * 30, "pod", 1000)
    assert (lease.live(999), lease.free(999)) == (True, False)
    assert (lease.live(1000), lease.free(1000)) == (False, True)
    done = lease.fulfilled(A)
    assert (done.live(0), done.free(5000), done.fulfilled(A)) == (False, False, done)
    with pytest.raises(NoLease):
        done.fulfilled(B)
    assert leases.open_slots({0: done, 1: lease}, 3, 2000) == (1, 2)


@pytest.mark.parametrize("odd", ["", "0", "0" * 33, "zz" + "0" * 30, "0" * 31 + "\n"])
def test_what_is_no_lease_has_no_slot(odd):
    with pytest.raises(NoLease):
        leases.slot_of(odd)
    with pytest.raises(ValueError, match="lease"):
        Lease(odd, "pod", 1)


def test_proof_is_bounded_and_void_after_one_doubt():
    proved = PUBLISHED.with_proof(frozenset(map(str, range(9))), enough=3)
    assert len(proved.proved) == 3
    assert proved.with_proof(frozenset(proved.proved), enough=9).proved == proved.proved
    doubted = proved.with_doubt("p", "", most=9).with_doubt("p", "", most=9)
    assert (doubted.proved, doubted.doubted) == ((), ("p",))


def test_an_archive_is_withdrawn_when_enough_different_pods_had_harm_of_it():
    once = PUBLISHED.with_doubt("p", "SIGILL", most=2).with_doubt("p", "SIGILL", most=2)
    assert once.state is State.SERVING
    twice = once.with_doubt("q", "SIGSEGV", most=2)
    assert (twice.state, "2 pods" in twice.why, "SIGSEGV" in twice.why) == (State.WITHDRAWN, True, True)


def test_counts_add_up_and_forget_what_was_used_longest_ago():
    together = one(Outcome.HIT, A, "", 5).plus(one(Outcome.HIT, A, "", 3)).plus(one(Outcome.GC, "", "z", 9))
    assert together.outcomes == {Outcome.HIT: 2, Outcome.GC: 1}
    assert together.archives == {A: Use(2, 5)}
    many = Counts()
    for number in range(MAX_ARCHIVES + 5):
        many = many.plus(one(Outcome.HIT, f"{number:064x}", "", number))
    assert len(many.archives) == MAX_ARCHIVES and f"{0:064x}" not in many.archives


def test_an_archive_is_named_by_its_latest_places():
    naming = Naming()
    for number in range(70):
        naming = naming.plus(f"group-{number}", A)
    assert (len(naming.places), naming.places[-1]) == (64, ("group-69", A))
    assert naming.plus("group-69", A) is naming


@pytest.mark.parametrize(
    "flag",
    ["-XX:-AOTAdapterCaching", "-XX:+UnlockDiagnosticVMOptions", "--add-modules=java.instrument,jdk.jfr"],
)
def test_flags_that_archives_need_are_allowed(flag):
    assert allowed(flag)


@pytest.mark.parametrize(
    "flag",
    ["", "-cp", "-XX:Flags=/x", "-javaagent:x", "--add-modules=a b", "-XX:-AOTAdapterCaching\n", "-Xmx1g"],
)
def test_every_other_flag_is_not(flag):
    assert not allowed(flag)

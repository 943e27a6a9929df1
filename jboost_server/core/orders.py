"""Build orders: what there is to build for a key, and who builds it.

A key has one order at a time, in one object that is only ever written over the version that was read: of two
builders one gets it. An order ends by itself, so that a builder that died does not block the next.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from jboost_server.core import tournament
from jboost_server.core.layout import KeyPlace, is_digest
from jboost_server.core.lookup import Scope
from jboost_server.core.options import FIRST_AOT
from jboost_server.core.publication import MAX_WHY, Publication, State
from jboost_server.core.tournament import Recording
from warmroot.canonical import Fields, check, check_integer, encode
from warmroot.errors import NoOrder, StoreBroken

ATTEMPTS = 3
"""Builds of one input that may come to nothing before it is given up."""
REST = 86_400
"""Seconds for which an input is given up; then one more build of it is tried. Machines do not stay noisy."""
_NONCE = 32


class Form(StrEnum):
    """What a recording is, and what an archive is built of."""

    CLASS_LIST = "classlist"
    AOT = "aot"

    @classmethod
    def of(cls, feature: int) -> Form:
        """The form of a JDK's recordings."""
        return cls.AOT if feature >= FIRST_AOT else cls.CLASS_LIST


@dataclass(frozen=True)
class Order:
    """One order. `uploaded` is the archive that came of it so far, and its size in bytes."""

    id: str
    form: Form
    input: str
    size: int
    holder: str
    until: int
    uploaded: str = ""
    uploaded_size: int = 0

    def live(self, now: int) -> bool:
        """Whether nobody else gets it."""
        return now < self.until


@dataclass(frozen=True)
class Ended:
    """How the last order ended: its result is told again to whoever asks again."""

    id: str
    state: str
    gain: int
    why: str


@dataclass(frozen=True)
class Failures:
    """How many builds of one input came to nothing, and when the last one did, in seconds since 1970."""

    count: int
    last: int

    @property
    def tried_again(self) -> int:
        """From when on another build may be ordered, in seconds since 1970."""
        return self.last + REST if self.count >= ATTEMPTS else self.last


@dataclass(frozen=True)
class Book:
    """All orders of one key: the one that is out, how the last one ended, which inputs failed how often."""

    order: Order | None = None
    ended: Ended | None = None
    failed: Mapping[str, Failures] = field(default_factory=dict)

    def at(self, now: int) -> Book:
        """The book as it stands then: an order whose time is over has failed."""
        if self.order is None or self.order.live(now):
            return self
        late = Ended(self.order.id, "failed", 0, "its builder never came back")
        return self.closed(late, self.order.until, failed=True)

    def may_build(self, digest: str, now: int) -> bool:
        """Whether a build of this input may be ordered: it was not given up."""
        failures = self.failed.get(digest)
        return failures is None or now >= failures.tried_again

    def given_up(self, now: int) -> Failures | None:
        """Those of the input that failed last, if it is given up."""
        latest = max(self.failed.values(), key=lambda each: each.last, default=None)
        return latest if latest and now < latest.tried_again else None

    def forgiven(self) -> Book:
        """As if nothing had ever come to nothing. An order that is out stays."""
        return Book(self.order)

    def of(self, order: str, now: int) -> Order:
        """The order with this id.

        Raises:
            NoOrder: it is over.
        """
        if self.order is None or self.order.id != order or not self.order.live(now):
            raise NoOrder("the build order is over, or it was given to another builder")
        return self.order

    def closed(self, ended: Ended, now: int, *, failed: bool = False) -> Book:
        """The book once its order ended so. `failed`: nothing came of it."""
        assert self.order is not None
        failures = dict(self.failed)
        if failed:
            before = failures.get(self.order.input, Failures(0, 0))
            failures[self.order.input] = Failures(before.count + 1, now)
        return replace(self, order=None, ended=replace(ended, why=ended.why[:MAX_WHY]), failed=failures)

    def encode(self) -> bytes:
        """For the object store, in canonical form."""
        order, ended = self.order, self.ended
        return encode(
            {
                "order": order
                and {
                    "id": order.id,
                    "form": order.form.value,
                    "input": order.input,
                    "size": order.size,
                    "holder": order.holder,
                    "until": order.until,
                    "uploaded": order.uploaded,
                    "uploadedSize": order.uploaded_size,
                },
                "ended": ended
                and {"id": ended.id, "state": ended.state, "gain": ended.gain, "why": ended.why},
                "failed": [[digest, each.count, each.last] for digest, each in sorted(self.failed.items())],
            }
        )


def decode(data: bytes) -> Book:
    """The book in these bytes.

    Raises:
        StoreBroken: they are not what `encode` wrote.
    """
    try:
        fields = Fields("build", json.loads(data))
        order, ended, failed = fields.take("order"), fields.take("ended"), fields.items("failed")
        fields.finish()
        book = Book(
            order if order is None else _order(Fields("order", order)),
            ended if ended is None else _ended(Fields("ended", ended)),
            dict(map(_failure, failed)),
        )
    except (ValueError, RecursionError) as error:
        raise StoreBroken(f"not a book of build orders: {error}") from error
    return book


def make_id(place: KeyPlace, nonce: str) -> str:
    """An order's id: a nonce of 32 hex digits that nobody guesses, and whose it is within its tenant."""
    check(len(nonce) == _NONCE, "another kind of nonce")
    return nonce + place.key + place.scope.group.encode().hex()


def place_of(order: str, tenant: str) -> KeyPlace:
    """The key that an order's id is of, if the asking tenant has it.

    Raises:
        NoOrder: it is no id of an order.
    """
    try:
        group = bytes.fromhex(order[_NONCE + 64 :]).decode()
        return KeyPlace(Scope(tenant, group), order[_NONCE : _NONCE + 64])
    except ValueError:
        raise NoOrder("that is no build order") from None


@dataclass(frozen=True)
class Learned:
    """What a key has: its recordings, how many lease slots are still recording, how many are wanted."""

    recordings: Collection[Recording]
    recording_now: int
    wanted: int

    @property
    def enough(self) -> bool:
        """Whether it is time to build: as many as wanted are there, or nobody records any more."""
        return bool(self.recordings) and (len(self.recordings) >= self.wanted or not self.recording_now)


def next_recording(
    learned: Learned, book: Book, built: Collection[Publication], now: int
) -> Recording | None:
    """The binary recording to build of next, None if there is nothing to gain.

    That is the best one by what it saw, unless it was built of or is given up. Those that saw less than
    the one which serves are left alone.
    """
    if not learned.enough:
        return None
    done = {each.input for each in built}
    serving = {each.input for each in built if each.state is State.SERVING}
    for place in tournament.rank(learned.recordings):
        digest = place.recording.digest
        if digest in serving:
            return None
        if digest not in done and book.may_build(digest, now):
            return place.recording
    return None


def worth_building(
    digest: str, learned: Learned, book: Book, built: Collection[Publication], now: int
) -> bool:
    """Whether the merged list with this digest is to be built."""
    return learned.enough and all(each.input != digest for each in built) and book.may_build(digest, now)


def _order(fields: Fields) -> Order:
    order = Order(
        id=fields.text("id"),
        form=Form(fields.text("form")),
        input=fields.text("input"),
        size=fields.integer("size"),
        holder=fields.text("holder"),
        until=fields.integer("until"),
        uploaded=fields.text("uploaded"),
        uploaded_size=fields.integer("uploadedSize"),
    )
    fields.finish()
    check(is_digest(order.input), "input is no sha256")
    check(not order.uploaded or is_digest(order.uploaded), "uploaded is no sha256")
    return order


def _ended(fields: Fields) -> Ended:
    ended = Ended(fields.text("id"), fields.text("state"), fields.integer("gain"), fields.text("why"))
    fields.finish()
    return ended


def _failure(item: object) -> tuple[str, Failures]:
    match item:
        case [str(digest), int(count), int(last)] if bool not in {type(count), type(last)} and is_digest(
            digest
        ):
            check_integer("failed", count, least=1)
            check_integer("failed", last, least=0)
            return digest, Failures(count, last)
    raise ValueError("failed is not a list of an input, a count and a time")

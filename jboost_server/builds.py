"""What builders ask and tell: orders, inputs, archives, results.

An archive exists before the object that says who names it, that before its manifest, and the manifest
before the order ends. A service that dies in between leaves an archive that nobody is told of, or an order
that its holder ends by telling the result once more.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from jboost_server import uploads
from jboost_server.catalogue import Catalogue
from jboost_server.core import classlist, layout, leases, merge, orders, promotion, publication, verdict
from jboost_server.core.buildkey import BuildKey
from jboost_server.core.layout import KeyPlace
from jboost_server.core.lookup import Scope
from jboost_server.core.manifest import ArchiveManifest
from jboost_server.core.merge import Merge
from jboost_server.core.naming import Naming
from jboost_server.core.orders import Book, Ended, Form, Learned, Order
from jboost_server.core.promotion import Judgement
from jboost_server.core.publication import Publication, State
from jboost_server.core.tournament import Recording
from jboost_server.records import change, is_there, read, upload_new, write_new, write_over
from jboost_server.store.port import CHUNK
from jboost_server.sweep import sweep
from warmroot.errors import (
    BadRequest,
    Bug,
    Held,
    NoObject,
    NoOrder,
    StoreError,
    StoreUnavailable,
    TooLarge,
    UploadError,
    WriteLost,
)

MERGES = 1000
"""Keys of which it is remembered what their recordings merge to."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What a builder measured: its archive, flags that are needed beside ours, starts in milliseconds."""

    digest: str
    flags: tuple[str, ...]
    plain: tuple[int, ...]
    warm: tuple[int, ...]


@dataclass(frozen=True)
class Input:
    """What an order is built of."""

    size: int
    chunks: Iterator[bytes]


class Builds:
    """The service's part for builders."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._store = catalogue.store
        self._policy = catalogue.policy
        self._merges: dict[tuple[KeyPlace, frozenset[str]], str | None] = {}

    def order(self, scope: Scope, key: BuildKey, holder: str) -> Order | None:
        """Something to build for this key, None if there is nothing. Asked again by its holder, the same.

        Raises:
            Held: another builder has it.
            StoreError: the store can't be read or written.
        """
        place = KeyPlace(scope, key.digest)
        now = self._catalogue.now()
        found = read(self._store, place.build, orders.decode)
        book = (found.value if found else Book()).at(now)
        if book.order is not None:
            if book.order.holder != holder:
                raise Held(f"{book.order.holder} builds this since it asked before")
            return book.order
        chosen = self._next(place, key, book)
        if chosen is None:
            return None
        form, digest, size = chosen
        nonce, until = secrets.token_hex(16), now + self._policy.order
        order = Order(orders.make_id(place, nonce), form, digest, size, holder, until)
        data = replace(book, order=order).encode()
        try:
            write_over(self._store, place.build, data, found.etag if found else None)
        except WriteLost:
            raise Held("another builder was first") from None
        return order

    def wanted(self, place: KeyPlace) -> bool:
        """Whether a builder with this key would get an order now.

        What a key's recordings merge to is remembered: this is asked over and over, of keys that rest.

        Raises:
            NoLease: nobody looked the key up.
            StoreError: the store can't be read, or the merge can't be written.
        """
        now = self._catalogue.now()
        found = read(self._store, place.build, orders.decode)
        book = (found.value if found else Book()).at(now)
        if book.order is not None:
            return False
        key, learned = self._catalogue.key(place), self.learned(place)
        if Form.of(key.jvm.feature) is Form.AOT or not learned.enough:
            return self._next(place, key, book) is not None
        known = place, frozenset(each.digest for each in learned.recordings)
        if known not in self._merges:
            listed = self._listed(place, key, learned)
            self._merges[known] = listed[0] if listed else None
            while len(self._merges) > MERGES:
                self._merges.pop(next(iter(self._merges)), None)
        digest = self._merges.get(known)
        return digest is not None and orders.worth_building(
            digest, learned, book, self.publications(place), now
        )

    @contextmanager
    def input(self, tenant: str, order: str) -> Iterator[Input]:
        """What to build of.

        Raises:
            NoOrder: the order is over.
            StoreError: the store can't be read.
        """
        place, found = self._of(tenant, order)
        if found.form is Form.AOT:
            with self._store.get(place.recording(found.input)) as opened:
                yield Input(opened.stat.size, opened.chunks)
            return
        merged = read(self._store, place.merge, merge.decode)
        data = merged.value.render(self._policy.threshold) if merged else b""
        if hashlib.sha256(data).hexdigest() != found.input:
            raise NoOrder("the merge went on since this order was given")
        yield Input(len(data), (data[at : at + CHUNK] for at in range(0, len(data), CHUNK)))

    def archive(self, tenant: str, order: str, digest: str, size: int, chunks: Iterable[bytes]) -> bool:
        """Takes the archive of an order; False if these very bytes are there.

        Raises:
            NoOrder: the order is over.
            UploadError: its leaves say what is wrong with the upload; nothing of it is kept.
            StoreError: it can't be written.
        """
        place, _ = self._of(tenant, order)
        cap = self._policy.caps.archive
        if size > cap:
            raise TooLarge(f"an archive of {size} bytes, more than {cap}")
        if size == 0:
            raise BadRequest("an archive of 0 bytes")
        name = layout.archive(tenant, digest)
        if is_there(self._store, name):
            uploads.drain(chunks)
            new = False
        else:
            new = upload_new(self._store, name, uploads.of_digest(chunks, digest), size)
        size = size if new else self._store.stat(name).size
        replaced = ""

        def uploaded(book: Book) -> Book:
            nonlocal replaced
            current = book.of(order, self._catalogue.now())
            replaced = current.uploaded
            return replace(book, order=replace(current, uploaded=digest, uploaded_size=size))

        self._book(place, uploaded)
        if replaced not in {"", digest}:
            self._discard(tenant, replaced)
        return new

    def failed(self, tenant: str, order: str, why: str) -> Ended:
        """The builder gives the order back.

        Raises:
            NoOrder: the order is over.
            StoreError: it can't be written.
        """
        place = orders.place_of(order, tenant)
        ended = Ended(order, "failed", 0, why)
        return self._end(place, order, ended, failed=True)

    def result(self, tenant: str, order: str, result: Result) -> Ended:
        """Judges an archive by what was measured, and publishes it if it is worth it. Told again, the same.

        Raises:
            NoOrder: the order is over, or another archive was uploaded for it.
            BadRequest: what was measured is no measurement.
            StoreError: it can't be written.
        """
        place = orders.place_of(order, tenant)
        now = self._catalogue.now()
        found = read(self._store, place.build, orders.decode)
        book = found.value if found else Book()
        if book.ended is not None and book.ended.id == order:
            return book.ended
        current = book.of(order, now)
        if current.uploaded != result.digest:
            raise NoOrder("another archive, or none, was uploaded for this order")
        others = [each for each in self.publications(place) if each.archive != result.digest]
        there = read(self._store, place.manifest(result.digest), publication.decode)
        if there is None:
            judged = self._judge(place, current, result, others)
            if judged.again:  # nothing is known of the archive; that its build came to nothing is
                unclear = Ended(order, "refused", judged.gain, judged.why)
                return self._end(place, order, unclear, failed=True)
            published = self._new(place, current, result, judged, now)
        else:
            published = there.value  # told again, after the order's end was lost
        self._publish(place, published, others, new=there is None)
        state = "serving" if published.state is State.SERVING else "refused"
        return self._end(place, order, Ended(order, state, published.gain, published.why))

    def publications(self, place: KeyPlace) -> list[Publication]:
        """What became of every archive of a key, as it stands in the store."""
        found = []
        for stat in self._store.list(f"{place.folder}manifests/"):
            record = read(self._store, stat.name, publication.decode)
            if record is not None:
                found.append(record.value)
        return found

    def learned(self, place: KeyPlace) -> Learned:
        """What there is of a key to build of."""
        now = self._catalogue.now()
        starts = {each.input: each.warm for each in self.publications(place)}
        recordings = [
            Recording(digest, facts.size, facts.seconds, facts.requests, starts.get(digest) or None)
            for digest, facts in self._catalogue.recordings(place)
        ]
        live = 0
        for slot in range(self._policy.recorders):
            lease = read(self._store, place.lease(slot), leases.decode)
            live += lease is not None and lease.value.live(now)
        return Learned(recordings, live, self._policy.recorders)

    def forgive(self, scope: Scope) -> None:
        """What was refused of a group, or given up, may be built again. An order that is out stays.

        Raises:
            StoreError: it can't be read or written.
        """
        for stat in list(self._store.list(layout.group_folder(scope))):
            found = layout.take_apart(stat.name)
            if found is None:
                continue
            if found.what == "manifest":
                built = read(self._store, stat.name, publication.decode)
                if built is not None and built.value.state is State.REFUSED:
                    self._store.delete(stat.name)
            elif found.what == "build":
                self._book(found.place, Book.forgiven)
        self._catalogue.views.forget(scope)

    def _next(self, place: KeyPlace, key: BuildKey, book: Book) -> tuple[Form, str, int] | None:
        learned, built = self.learned(place), self.publications(place)
        now = self._catalogue.now()
        if Form.of(key.jvm.feature) is Form.AOT:
            recording = orders.next_recording(learned, book, built, now)
            return (Form.AOT, recording.digest, recording.size) if recording else None
        if not learned.enough:
            return None
        listed = self._listed(place, key, learned)
        if listed is None or not orders.worth_building(listed[0], learned, book, built, now):
            return None
        return Form.CLASS_LIST, *listed

    def _listed(self, place: KeyPlace, key: BuildKey, learned: Learned) -> tuple[str, int] | None:
        """Digest and size of the class list that all recordings come to, None if none can be read."""
        merged = self._merged(place, key, learned)
        if not merged.recordings:
            return None
        data = merged.render(self._policy.threshold)
        return hashlib.sha256(data).hexdigest(), len(data)

    def _merged(self, place: KeyPlace, key: BuildKey, learned: Learned) -> Merge:
        """The merge with every recording in it. Folding is a set operation: it matters to none who folds."""

        def decide(old: Merge | None) -> Merge:
            result = old or Merge(key.jvm.feature)
            for recording in sorted(learned.recordings, key=lambda each: each.digest):
                if recording.digest not in result.recordings:
                    result = self._folded(place, key, result, recording.digest)
            return result

        merged = change(self._store, place.merge, merge.decode, Merge.encode, decide)
        assert merged is not None
        return merged

    def _folded(self, place: KeyPlace, key: BuildKey, old: Merge, digest: str) -> Merge:
        paths = frozenset(jar.path for jar in key.class_path)
        try:
            with self._store.get(place.recording(digest)) as opened:
                entries = classlist.parse(opened.chunks, feature=key.jvm.feature, class_path=paths)
                return old.fold(digest, entries)
        except (UploadError, NoObject) as error:  # it was taken by another version's rules, or it is gone
            log.warning("a recording is left out", extra={"recording": digest, "why": str(error)})
            return old

    def _publish(
        self, place: KeyPlace, published: Publication, others: Sequence[Publication], *, new: bool
    ) -> None:
        """Writes it, each thing after what it names; all of it once more is the same."""
        serves = published.state is State.SERVING
        if serves:
            self._name(place, published.archive)
        if new:
            write_new(self._store, place.manifest(published.archive), published.encode())
            self._catalogue.views.forget(place.scope)
        if serves:
            self._must_be_there(place, published.archive)
            for other in others:
                if other.state is State.SERVING:
                    self._replace(place, other.archive, published.archive)

    def _new(self, place: KeyPlace, order: Order, result: Result, judged: Judgement, now: int) -> Publication:
        envelope = b""
        if judged.serve:
            key = self._catalogue.key(place)
            signed = ArchiveManifest(place.scope, key, result.flags, result.digest, order.uploaded_size)
            envelope = self._catalogue.signer.sign(signed)
        return Publication(
            archive=result.digest,
            size=order.uploaded_size,
            input=order.input,
            state=State.SERVING if judged.serve else State.REFUSED,
            why=judged.why[: publication.MAX_WHY],
            built=now,
            plain=judged.plain,
            warm=judged.warm,
            gain=judged.gain,
            envelope=envelope,
        )

    def _judge(
        self, place: KeyPlace, order: Order, result: Result, others: Sequence[Publication]
    ) -> Judgement:
        try:
            measured = promotion.judge(
                result.plain,
                result.warm,
                min_gain=self._policy.min_gain,
                min_saved=self._policy.min_saved,
                samples=self._policy.samples,
            )
        except ValueError as error:
            raise BadRequest(str(error)) from error
        return verdict.judge(order, measured, others, self.learned(place).recordings)

    def _name(self, place: KeyPlace, digest: str) -> None:
        change(
            self._store,
            layout.named_by(place.scope.tenant, digest),
            Naming.decode,
            Naming.encode,
            lambda old: (old or Naming()).plus(place.scope.group, place.key),
        )

    def _must_be_there(self, place: KeyPlace, digest: str) -> None:
        """Takes the publication back if the archive is being swept: the sweeper says so before it looks."""
        tenant = place.scope.tenant
        swept = is_there(self._store, layout.doomed(tenant, digest))
        if swept or not is_there(self._store, layout.archive(tenant, digest)):
            self._store.delete(place.manifest(digest))
            self._catalogue.views.forget(place.scope)
            raise StoreUnavailable(
                "the archive was swept while it was published", hint="upload it again under a new order"
            )

    def _replace(self, place: KeyPlace, old: str, new: str) -> None:
        def decide(found: Publication | None) -> Publication | None:
            if found is None or found.state is not State.SERVING:
                return None
            return found.become(State.REPLACED, f"by {new[:12]}")

        change(self._store, place.manifest(old), publication.decode, Publication.encode, decide)
        self._catalogue.views.forget(place.scope)

    def _end(self, place: KeyPlace, order: str, ended: Ended, *, failed: bool = False) -> Ended:
        uploaded = ""

        def close(book: Book) -> Book:
            nonlocal uploaded
            if book.ended is not None and book.ended.id == order:
                return book
            uploaded = book.of(order, self._catalogue.now()).uploaded
            return book.closed(ended, self._catalogue.now(), failed=failed)

        book = self._book(place, close)
        assert book.ended is not None
        if uploaded and book.ended.state != "serving":
            self._discard(place.scope.tenant, uploaded)
        return book.ended

    def _discard(self, tenant: str, digest: str) -> None:
        """Deletes an archive that came of nothing: an order keeps one at most, and none when it is over."""
        try:
            sweep(self._store, tenant, digest)
        except StoreError as error:
            log.warning("an archive waits for gc", extra={"archive": digest, "why": str(error)})

    def _book(self, place: KeyPlace, decide: Callable[[Book], Book]) -> Book:
        found = change(
            self._store, place.build, orders.decode, Book.encode, lambda old: decide(old or Book())
        )
        if found is None:
            raise Bug("a book of orders was left unwritten")
        return found

    def _of(self, tenant: str, order: str) -> tuple[KeyPlace, Order]:
        place = orders.place_of(order, tenant)
        found = read(self._store, place.build, orders.decode)
        return place, (found.value if found else Book()).of(order, self._catalogue.now())

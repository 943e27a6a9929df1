"""What pods ask and tell: lookups, recordings, outcomes. State is in the object store alone.

Every change is one conditional write, and writes that need one another come in the order in which a reader
follows them backwards: a recording before its facts, its facts before its lease is done. So a service that
dies between any two of them leaves nothing that is half true; whoever asks again finishes it.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import inf

from jboost_server import uploads
from jboost_server.core import buildkey, layout, leases, lookup, publication
from jboost_server.core.buildkey import BuildKey
from jboost_server.core.facts import Facts
from jboost_server.core.layout import KeyPlace
from jboost_server.core.leases import Lease
from jboost_server.core.lookup import Scope
from jboost_server.core.manifest import Preflight, verify
from jboost_server.core.orders import Form
from jboost_server.core.outcome import Outcome
from jboost_server.core.publication import Publication, State
from jboost_server.records import change, read, upload_new, write_new, write_over
from jboost_server.settings import Policy
from jboost_server.signing import Signer
from jboost_server.store.port import ObjectStore
from jboost_server.views import GroupView, KeyView, Views
from warmroot.errors import NoLease, TooLarge, WriteLost

CROWDED = 60.0
"""Seconds for which a tenant that has too many groups gets no further ones without being looked at."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recorder:
    """The lease that a pod got, what it is to record, and how many seconds it goes on after it is ready."""

    lease: str
    form: Form
    settle: int


@dataclass(frozen=True)
class Answer:
    """To a lookup. `proposals` are envelopes, best first."""

    outcome: Outcome
    why: tuple[str, ...] = ()
    proposals: tuple[bytes, ...] = ()
    recorder: Recorder | None = None


@dataclass(frozen=True)
class Accepted:
    """A recording is there: whether it was before, and how many the key has."""

    known: bool
    recordings: int


class Catalogue:
    """The service's part for pods. Threads may share it, and any number of it may share a store.

    `clock` gives seconds since 1970, `monotonic` those of a clock that never jumps.
    """

    def __init__(
        self,
        store: ObjectStore,
        signer: Signer,
        policy: Policy,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self.store = store
        self.signer = signer
        self.policy = policy
        self.views = Views(store, signer, fresh=policy.fresh, monotonic=monotonic)
        self._clock = clock
        self._monotonic = monotonic
        self._crowded: dict[str, float] = {}

    def now(self) -> int:
        """Whole seconds since 1970."""
        return int(self._clock())

    def lookup(self, scope: Scope, key: BuildKey, *, record: bool, pod: str) -> Answer:
        """Answers a pod; with `record` it gets a lease if a recorder is wanted.

        Raises:
            StoreError: the store can't be read, or a lease can't be written.
        """
        view = self.views.get(scope)
        answer = self.answer(scope, key, view)
        if answer.proposals or not record:
            return answer
        return self._recording(scope, key, view, answer, pod)

    def answer(self, scope: Scope, key: BuildKey, view: GroupView) -> Answer:
        """What a view says, without a lease. Touches nothing."""
        found = lookup.propose(scope, key, view.candidates)
        if found.proposals:
            ours = view.keys[key.digest]
            served = (ours.archive(candidate.digest) for candidate in found.proposals)
            return Answer(found.outcome, found.why, tuple(each.envelope for each in served if each))
        return Answer(found.outcome, (*_refusals(view.keys.get(key.digest)), *found.why))

    def wants_recorder(self, key: str, view: GroupView) -> bool:
        """Whether a slot seems free. The conditional write decides."""
        ours = view.keys.get(key, KeyView())
        return not ours.published and bool(leases.open_slots(ours.taken, self.policy.recorders, self.now()))

    def record(
        self,
        place: KeyPlace,
        lease: str,
        digest: str,
        size: int,
        chunks: Iterable[bytes],
        *,
        run: tuple[int, int],
    ) -> Accepted:
        """Takes a recording of `size` bytes; `run` is how many seconds it ran and the requests it served.

        Raises:
            NoLease: the lease is none of this key, or was given to somebody else since.
            UploadError: its leaves say what is wrong with the recording; nothing of it is kept.
            StoreError: it can't be written.
        """
        slot = leases.slot_of(lease)
        held = read(self.store, place.lease(slot), leases.decode)
        if held is None or held.value.id != lease:
            raise NoLease("this lease is of another key, or it ended and was given to another pod")
        held.value.fulfilled(digest)
        key = self.key(place)
        facts = read(self.store, place.facts(digest), Facts.decode)
        if facts is None:
            self._take(place, key, digest, size, chunks)
            facts_new = Facts(Form.of(key.jvm.feature), size, run[0], run[1], self.now())
            write_new(self.store, place.facts(digest), facts_new.encode())
        else:
            uploads.drain(chunks)
        try:
            self._fulfil(place, slot, lease, digest)
        except NoLease:  # of several uploads at once one is the lease's; the others were never asked for
            if facts is None:
                self.store.delete(place.facts(digest))
                self.store.delete(place.recording(digest))
            raise
        self.views.forget(place.scope)
        return Accepted(facts is not None, sum(1 for _ in self.recordings(place)))

    def recordings(self, place: KeyPlace) -> Iterator[tuple[str, Facts]]:
        """Recordings that count: those whose facts are there, by digest."""
        for stat in self.store.list(place.recordings):
            found = layout.take_apart(stat.name)
            if found is not None and found.what == "facts":
                facts = read(self.store, stat.name, Facts.decode)
                if facts is not None:
                    yield found.which, facts.value

    def doubt(self, place: KeyPlace, archive: str, pod: str, why: str) -> None:
        """An archive did harm: every pod tries it again, and after a few such pods nobody gets it.

        Raises:
            StoreError: it can't be written.
        """
        most = self.policy.withdraw_after

        def decide(old: Publication | None) -> Publication | None:
            if old is None or old.state is not State.SERVING:
                return None
            return self._with_preflight(old.with_doubt(_mark(pod), why, most=most), Preflight.REQUIRED)

        self._change(place, archive, decide)

    def prove(self, place: KeyPlace, archive: str, pods: frozenset[str]) -> None:
        """Pods started with an archive after they tried it. After enough of them the others need not try.

        Raises:
            StoreError: it can't be written.
        """
        enough = self.policy.waive_after

        def decide(old: Publication | None) -> Publication | None:
            if old is None or old.state is not State.SERVING or len(old.proved) >= enough:
                return None
            new = old.with_proof(frozenset(map(_mark, pods)), enough=enough)
            return self._with_preflight(new, Preflight.WAIVED) if len(new.proved) >= enough else new

        self._change(place, archive, decide)

    def _change(
        self, place: KeyPlace, archive: str, decide: Callable[[Publication | None], Publication | None]
    ) -> None:
        change(self.store, place.manifest(archive), publication.decode, Publication.encode, decide)
        self.views.forget(place.scope)

    def _with_preflight(self, old: Publication, preflight: Preflight) -> Publication:
        signed = verify(old.envelope, self.signer.publics)
        return replace(old, envelope=self.signer.sign(replace(signed, preflight=preflight)))

    def _recording(self, scope: Scope, key: BuildKey, view: GroupView, answer: Answer, pod: str) -> Answer:
        place = KeyPlace(scope, key.digest)
        if not self.wants_recorder(place.key, view):
            return answer
        if place.key not in view.keys:
            if full := self._full(scope, view):
                return replace(answer, why=(*answer.why, full))
            write_new(self.store, place.build_key, key.encode())
        lease = self._lease(place, pod)
        if lease is None:
            return answer
        recorder = Recorder(lease.id, Form.of(key.jvm.feature), self.policy.settle)
        return Answer(Outcome.LEARNING, answer.why, recorder=recorder)

    def _full(self, scope: Scope, view: GroupView) -> str:
        """Why a group may have no key more; empty if it may."""
        caps = self.policy.caps
        if len(view.keys) >= caps.keys:
            return f"{len(view.keys)} keys of this group are known, no more may be; gc deletes old ones"
        if view.keys or caps.groups > self._groups(scope.tenant):
            return ""
        return f"{caps.groups} groups of {scope.tenant} are known, no more may be; gc deletes old ones"

    def _groups(self, tenant: str) -> int:
        """How many groups a tenant has. Counting takes a while; that there are too many is remembered."""
        now = self._monotonic()
        if now < self._crowded.get(tenant, -inf):
            return self.policy.caps.groups
        found = map(layout.take_apart, (stat.name for stat in self.store.list(layout.tenant_folder(tenant))))
        count = len({each.place.scope.group for each in found if each})
        if count >= self.policy.caps.groups:
            self._crowded[tenant] = now + CROWDED
        return count

    def _lease(self, place: KeyPlace, pod: str) -> Lease | None:
        """A slot that this pod took; None if others have them all."""
        now = self.now()
        try:
            for slot in range(self.policy.recorders):
                found = read(self.store, place.lease(slot), leases.decode)
                if found is not None and not found.value.free(now):
                    continue
                lease = leases.make(slot, secrets.token_hex(15), pod, now + self.policy.lease)
                try:
                    write_over(self.store, place.lease(slot), lease.encode(), found.etag if found else None)
                except WriteLost:
                    continue
                return lease
        finally:
            self.views.forget(place.scope)
        return None

    def _fulfil(self, place: KeyPlace, slot: int, lease: str, digest: str) -> None:
        def decide(old: Lease | None) -> Lease | None:
            if old is None or old.id != lease:  # it ended meanwhile; the recording counts all the same
                return None
            return old.fulfilled(digest)

        change(self.store, place.lease(slot), leases.decode, Lease.encode, decide)

    def key(self, place: KeyPlace) -> BuildKey:
        """The build key with this digest, which somebody looked up.

        Raises:
            NoLease: nobody did.
            StoreError: it can't be read.
        """
        found = read(self.store, place.build_key, buildkey.decode)
        if found is None or found.value.digest != place.key:
            raise NoLease("nobody looked this key up")
        return found.value

    def _take(self, place: KeyPlace, key: BuildKey, digest: str, size: int, chunks: Iterable[bytes]) -> None:
        form = Form.of(key.jvm.feature)
        cap = self.policy.caps.aot if form is Form.AOT else self.policy.caps.class_list
        if size > cap:
            raise TooLarge(f"a recording of {size} bytes, more than {cap}")
        checked = uploads.of_digest(uploads.not_empty(chunks), digest)
        if form is Form.CLASS_LIST:
            paths = frozenset(jar.path for jar in key.class_path)
            checked = uploads.class_list(checked, feature=key.jvm.feature, class_path=paths)
        if not upload_new(self.store, place.recording(digest), checked, size):
            log.info("another upload of the same recording was first", extra={"recording": digest})


def _refusals(view: KeyView | None) -> tuple[str, ...]:
    if view is None:
        return ()
    return tuple(
        f"an archive was built and is {each.publication.state.value}: {each.publication.why}"
        for each in view.published
        if each.publication.state in {State.REFUSED, State.WITHDRAWN}
    )


def _mark(pod: str) -> str:
    """A pod as it is remembered."""
    return hashlib.sha256(pod.encode()).hexdigest()[:16]

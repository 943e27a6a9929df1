"""What pods report, gathered in memory for a moment and written together.

Two hundred pods that start at once would otherwise fight for one object. What a replica that dies has not
written yet is lost, and that costs counts alone: that an archive did harm is written before the pod gets its
answer, and an archive is trusted a little later.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field

from jboost_server.catalogue import Catalogue
from jboost_server.core import counts
from jboost_server.core.counts import SHARDS, Counts
from jboost_server.core.layout import KeyPlace, is_digest
from jboost_server.core.outcome import Outcome
from jboost_server.records import change, read

MAX_PLACES = 5_000
"""Keys with reports that are not written yet; reports of further ones are dropped."""


@dataclass(frozen=True)
class Report:
    """One start of one pod. `tried`: after a preflight."""

    outcome: Outcome
    archive: str
    why: str
    tried: bool

    @property
    def doubts(self) -> bool:
        """Whether its JVM refused the archive, or died of it."""
        return self.outcome in {Outcome.PREFLIGHT, Outcome.CRASH} and bool(self.archive)


@dataclass
class _Pending:
    counts: Counts = field(default_factory=Counts)
    proofs: dict[str, set[str]] = field(default_factory=dict)


class Outcomes:
    """Reports by key. Threads may share it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._shard = secrets.randbelow(SHARDS)
        self._lock = threading.Lock()
        self._pending: dict[KeyPlace, _Pending] = {}

    def add(self, place: KeyPlace, pod: str, report: Report) -> None:
        """Remembers a report until the next `flush`."""
        now = self._catalogue.now()
        with self._lock:
            if place not in self._pending and len(self._pending) >= MAX_PLACES:
                return
            pending = self._pending.setdefault(place, _Pending())
            pending.counts = pending.counts.plus(counts.one(report.outcome, report.archive, report.why, now))
            if report.outcome is Outcome.HIT and report.tried and is_digest(report.archive):
                pods = pending.proofs.setdefault(report.archive, set())
                if len(pods) < self._catalogue.policy.waive_after:
                    pods.add(pod)

    def flush(self) -> None:
        """Writes what was reported. What can't be written is kept for the next time.

        Raises:
            StoreError: something could not be written.
        """
        with self._lock:
            pending, self._pending = self._pending, {}
        while pending:
            place, reports = next(iter(pending.items()))
            try:
                self._write(place, reports)
            except BaseException:
                self._keep(pending)
                raise
            del pending[place]

    def of(self, place: KeyPlace) -> Counts:
        """All that was written of a key, by every replica.

        Raises:
            StoreError: it can't be read.
        """
        store = self._catalogue.store
        found = (read(store, stat.name, Counts.decode) for stat in store.list(place.outcomes))
        return counts.total(record.value for record in found if record)

    def _write(self, place: KeyPlace, reports: _Pending) -> None:
        if place.key not in self._catalogue.views.get(place.scope).keys:
            return  # nobody learns for it: a stranger's reports would be all that there is of it
        for archive, pods in reports.proofs.items():
            self._catalogue.prove(place, archive, frozenset(pods))
        reports.proofs.clear()
        change(
            self._catalogue.store,
            place.counts(self._shard),
            Counts.decode,
            Counts.encode,
            lambda old: (old or Counts()).plus(reports.counts),
        )

    def _keep(self, pending: dict[KeyPlace, _Pending]) -> None:
        with self._lock:
            for place, reports in pending.items():
                newer = self._pending.get(place)
                if newer is not None:
                    reports.counts = reports.counts.plus(newer.counts)
                    for archive, pods in newer.proofs.items():
                        reports.proofs.setdefault(archive, set()).update(pods)
                self._pending[place] = reports

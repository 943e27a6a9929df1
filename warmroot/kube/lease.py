"""Leader election on a coordination.k8s.io Lease.

One holder at a time, by four rules: a Lease is taken over only after it was *seen* unchanged for its whole
duration on our own monotonic clock (nobody's wall clock is compared); every write carries the resourceVersion
that was read, so of two takers one gets a conflict; a holder that could not renew within `renew_within`
stops believing itself well before others may take over; and whoever saw a holder makes a Lease anew that was
deleted no sooner than they might have taken it over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from warmroot.errors import AlreadyExists, ClusterError, Conflict, NetworkError, NotFound, UserError
from warmroot.kube.account import owned_in
from warmroot.kube.cluster import LEASE, Cluster, Object


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds. `duration`: after which others may take over; `renew_within`: after which we stop writing
    without a renewal; `every`: between two renewals, and between two looks of those who wait.
    """

    duration: float = 15.0
    renew_within: float = 10.0
    every: float = 3.0

    def __post_init__(self) -> None:
        if not 0 < self.every < self.renew_within < self.duration:
            raise UserError(
                f"lease terms {self} don't hold", hint="every < renew_within < duration, in seconds"
            )


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the Lease looked like, and since when on our clock."""

    version: str
    at: float


class Lease:
    """One candidate. `monotonic` is a clock that never jumps; `wall` gives Unix seconds for the record."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        name: str,
        identity: str,
        *,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
        terms: Terms | None = None,
    ) -> None:
        self._cluster, self._namespace, self._name, self.identity = cluster, namespace, name, identity
        self._monotonic, self._wall = monotonic, wall
        self.terms = terms or Terms()
        self._lock = threading.Lock()
        self._renewed: float | None = None
        self._given_back = False
        self._seen: _Seen | None = None
        self._anothers_until = float("-inf")

    def held(self) -> bool:
        """Whether we may write now. Turns false by itself when renewals stay away."""
        renewed = self._renewed
        return renewed is not None and self._monotonic() < renewed + self.terms.renew_within

    def attempt(self) -> bool:
        """Takes or renews the Lease if that is allowed; returns `held()`. Never raises for the API server.

        After `release` it takes nothing: an attempt that was under way must not keep the next holder waiting.
        """
        with self._lock:
            if self._given_back:
                return False
            began = self._monotonic()
            try:
                if self._take():
                    self._renewed = began  # before the request: the answer may have been slow
                else:
                    self._renewed = None
            except Conflict:
                self._renewed = None
            except (ClusterError, NetworkError):
                pass  # unknown: what we hold runs out by itself
        return self.held()

    def _take(self) -> bool:
        try:
            lease = self._cluster.get(LEASE, self._name, namespace=self._namespace)
        except NotFound:
            return self._monotonic() >= self._anothers_until and self._create()
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder not in ("", self.identity) and not self._expired(lease):
            self._anothers_until = self._monotonic() + _duration(lease, self.terms)
            return False
        body = {**lease, "spec": self._spec(spec)}
        written = self._cluster.replace(LEASE, body)
        self._seen = _Seen(written["metadata"]["resourceVersion"], self._monotonic())
        return True

    def _create(self) -> bool:
        body: Object = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._name, "namespace": self._namespace, **owned_in(self._namespace)},
            "spec": self._spec({}),
        }
        try:
            self._cluster.create(LEASE, body)
        except AlreadyExists:
            return False
        return True

    def _expired(self, lease: Object) -> bool:
        """Whether another holder's Lease was seen unchanged for its duration."""
        version = lease["metadata"]["resourceVersion"]
        now = self._monotonic()
        if self._seen is None or self._seen.version != version:
            self._seen = _Seen(version, now)
            return False
        return now >= self._seen.at + _duration(lease, self.terms)

    def _spec(self, before: Object) -> Object:
        now = datetime.fromtimestamp(self._wall(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ours = before.get("holderIdentity") == self.identity
        changes = int(before.get("leaseTransitions") or 0)
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self.terms.duration)),
            "acquireTime": before.get("acquireTime") if ours else now,
            "renewTime": now,
            "leaseTransitions": changes if ours or not before else changes + 1,
        }

    def release(self) -> None:
        """Gives the Lease back for good, so that the next one need not wait. Best effort."""
        with self._lock:
            self._given_back = True
            held, self._renewed = self.held(), None
            if not held:
                return
            try:
                lease = self._cluster.get(LEASE, self._name, namespace=self._namespace)
                if (lease.get("spec") or {}).get("holderIdentity") == self.identity:
                    self._cluster.replace(LEASE, {**lease, "spec": {**lease["spec"], "holderIdentity": ""}})
            except (ClusterError, NetworkError):
                return


def _duration(lease: Object, terms: Terms) -> float:
    """Seconds for which a Lease that somebody holds is theirs."""
    return float((lease.get("spec") or {}).get("leaseDurationSeconds") or terms.duration)

"""Carries a decision out: network policy and Job of each builder, Events, statuses. Every write is fenced:
a Job by its name, a status by the version that it was made from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jboost_server.controller.gather import not_granted
from jboost_server.core.control import builder
from jboost_server.core.control.parse import words
from jboost_server.core.control.plan import Decision
from jboost_server.core.control.world import Build, Cache, Event, Name, Refusal, Start, WriteStatus
from jboost_server.core.injection.installation import Installation
from warmroot.api.base import API_VERSION
from warmroot.api.javacache import CacheReason
from warmroot.errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Forbidden,
    Invalid,
    NetworkError,
    NotFound,
    WarmrootError,
)
from warmroot.kube.cluster import JAVA_CACHE, Cluster, Kind, Object
from warmroot.kube.events import Report, Subject, post
from warmroot.kube.watched import Watched

JOB = Kind("batch", "v1", "jobs", "Job")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")


@dataclass(frozen=True)
class Outcome:
    """What came of one action; `error` is None where it was done."""

    action: Start | WriteStatus
    error: WarmrootError | None = None


class Actor:
    """Writes as long as `may_write` says that we hold the Lease. `refused` hears of builders not taken."""

    def __init__(
        self,
        cluster: Cluster,
        installation: Installation,
        caches: Watched[Cache],
        builds: Watched[Build],
        may_write: Callable[[], bool],
        refused: Callable[[Name, Refusal], None],
        identity: str,
    ) -> None:
        self._cluster, self._installation = cluster, installation
        self._caches, self._builds = caches, builds
        self._may_write, self._refused, self._identity = may_write, refused, identity

    def carry_out(self, decision: Decision, now: float) -> list[Outcome]:
        """Does what was decided at `now` (Unix seconds). Stops where the Lease is lost, and where the API
        server can't be reached.
        """
        outcomes = []
        actions: list[Start | WriteStatus] = [*decision.starts, *decision.writes]
        for action in actions:
            if not self._may_write():
                break
            error: WarmrootError | None = None
            try:
                if isinstance(action, Start):
                    self._start(action, now)
                else:
                    self._write(action, now)
            except (ClusterError, NetworkError) as failed:
                error = failed
            outcomes.append(Outcome(action, error))
            if isinstance(error, NetworkError):
                break
        return outcomes

    def _start(self, action: Start, now: float) -> None:
        """No builder without the policy that keeps it from everything but the cache service."""
        name = action.cache.name
        policy = builder.policy(name[0], self._installation.server)
        try:
            self._cluster.apply(NETWORK_POLICY, policy, manager=builder.CONTROLLER, force=True)
            self._builds.put(self._cluster.create(JOB, builder.job(action, self._installation)))
        except AlreadyExists:
            return  # it was made by us, and the watch has not brought it yet
        except Forbidden as error:
            quota = "exceeded quota" in error.message
            reason = CacheReason.BUILDER_REFUSED if quota else CacheReason.NOT_GRANTED
            said = words(error.message) if quota else not_granted(name, error)
            self._refused(name, Refusal(reason, said, now))
            raise
        except (Invalid, NotFound) as error:
            self._refused(name, Refusal(CacheReason.BUILDER_REFUSED, words(error.message), now))
            raise

    def _write(self, action: WriteStatus, now: float) -> None:
        cache = action.cache
        namespace, name = cache.name
        for event in action.events:
            self._tell(cache, event, now)
        known = self._caches.whole(cache.name)
        if known is None:
            raise Conflict("the cache is gone", status=409)
        meta = {"namespace": namespace, "name": name, "resourceVersion": cache.version, "uid": cache.uid}
        body: Object = {
            "apiVersion": API_VERSION,
            "kind": JAVA_CACHE.kind,
            "metadata": meta,
            "spec": known["spec"],
            "status": action.status.wire(),
        }
        self._caches.put(self._cluster.replace(JAVA_CACHE, body, subresource="status"))

    def _tell(self, cache: Cache, event: Event, now: float) -> None:
        namespace, name = cache.name
        subject = Subject(JAVA_CACHE, name, cache.uid, namespace)
        report = Report(subject, event.reason.value, event.note, event.key, now, event.warning)
        post(self._cluster, report, controller="warmroot.io/jboost-controller", instance=self._identity)

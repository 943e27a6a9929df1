"""Carries a decision out: network policy and Job of each builder, Events, statuses, and what an archive that
does harm asks for. Every write is fenced: a Job by its name, a status by the version that it was made from,
an eviction by the pod's uid.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from jboost_server.controller.gather import Gather, not_granted
from jboost_server.controller.service import Service
from jboost_server.core.control import builder
from jboost_server.core.control.parse import words
from jboost_server.core.control.plan import Decision
from jboost_server.core.control.world import (
    Accuse,
    Build,
    Cache,
    Deliver,
    Delivery,
    Event,
    Refusal,
    Release,
    Start,
    WriteStatus,
)
from jboost_server.core.injection.delivery import Agent
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
from warmroot.kube.cluster import JAVA_CACHE, POD, Cluster, Kind, Object
from warmroot.kube.events import Report, Subject, post
from warmroot.kube.watched import Watched

CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
JOB = Kind("batch", "v1", "jobs", "Job")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")


log = logging.getLogger(__name__)
Action = Accuse | Release | Deliver | Start | WriteStatus


@dataclass(frozen=True)
class Outcome:
    """What came of one action; `error` is None where it was done."""

    action: Action
    error: WarmrootError | None = None


class Actor:
    """Writes as long as `may_write` says that we hold the Lease. `gather` hears of builders that were not
    taken, and of deaths that the service has heard of. `agent` is put into the namespaces of JavaCaches.
    """

    def __init__(
        self,
        cluster: Cluster,
        service: Service,
        installation: Installation,
        caches: Watched[Cache],
        builds: Watched[Build],
        may_write: Callable[[], bool],
        gather: Gather,
        identity: str,
        agent: Agent | None = None,
    ) -> None:
        self._agent = agent
        self._cluster, self._service, self._installation = cluster, service, installation
        self._caches, self._builds = caches, builds
        self._may_write, self._gather, self._identity = may_write, gather, identity

    def carry_out(self, decision: Decision, now: float) -> list[Outcome]:
        """Does what was decided at `now` (Unix seconds). Stops where the Lease is lost, and where the API
        server can't be reached.
        """
        outcomes = []
        actions: list[Action] = [
            *decision.deaths,
            *decision.deliveries,
            *decision.starts,
            *decision.writes,
        ]
        for action in actions:
            if not self._may_write():
                break
            error: WarmrootError | None = None
            try:
                self._do(action, now)
            except (ClusterError, NetworkError) as failed:
                error = failed
            outcomes.append(Outcome(action, error))
            # One that can't be accused now keeps nobody from a status: that is the cache service's silence.
            if isinstance(error, NetworkError) and not isinstance(action, Accuse):
                break
        return outcomes

    def _do(self, action: Action, now: float) -> None:
        match action:
            case Accuse():
                self._service.accuse(action.cache.name, action.fallen)
                self._gather.heard(action.cache.name, action.fallen)
            case Release():
                self._release(action)
            case Deliver():
                self._deliver(action.cache.name[0], now)
            case Start():
                self._start(action, now)
            case WriteStatus():
                self._write(action, now)

    def _release(self, action: Release) -> None:
        """By eviction, so that a PodDisruptionBudget has its say."""
        namespace, pod = action.cache.name[0], action.fallen.pod
        body: Object = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": action.fallen.uid}},
        }
        try:
            self._cluster.create(POD, body, namespace=namespace, name=pod, subresource="eviction")
        except NotFound:
            return  # it is gone

    def _deliver(self, namespace: str, now: float) -> None:
        """Made, not looked for: that takes no right to read what else is there. First without the jar and
        for nothing, since it is there as a rule, and this is done each minute. A namespace that lets us
        make none is no failure: its pods copy the agent, and the status does not say that it is there.
        """
        assert self._agent is not None
        there, about = False, {"namespace": namespace, "agent": self._agent.name}
        try:
            self._cluster.create(CONFIG_MAP, self._agent.probe(namespace), dry_run=True)
            self._cluster.create(CONFIG_MAP, self._agent.config_map(namespace, builder.MANAGED))
            there = True
            log.info("the agent is there", extra=about)
        except AlreadyExists:
            there = True
        except Forbidden as error:
            log.debug("the agent may not be brought", extra=about | {"why": error.message})
        finally:
            self._gather.delivered(namespace, Delivery(now, there))

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
            self._gather.refused(name, Refusal(reason, said, now))
            raise
        except (Invalid, NotFound) as error:
            self._gather.refused(name, Refusal(CacheReason.BUILDER_REFUSED, words(error.message), now))
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

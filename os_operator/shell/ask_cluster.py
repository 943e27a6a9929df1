"""Checks that the API server answers: pods, JavaCaches, CEL about an object. Blocking: made for a thread."""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Callable
from typing import Any

from os_operator.core import answers
from os_operator.core.cel import Said
from os_operator.core.health import Question
from os_operator.core.world import Answer
from warmroot.api.health import CheckReason, JavaCachesCheck, ObjectCheck, PodsCheck
from warmroot.errors import ClusterError, Forbidden, NetworkError, NotFound
from warmroot.kube.cluster import JAVA_CACHE, POD, SECRET, Cluster, Kind

LARGEST = 2**20
"""Bytes of JSON that an object may have: twice what etcd usually takes is no object of a cluster's."""
KEPT = 60.0
"""Seconds for which a Secret's authorities are used again."""
Evaluate = Callable[[str, Any], Said]


class ClusterQuestions:
    """Asks the API server. `namespace`: where the Secrets with authorities are."""

    def __init__(self, cluster: Cluster, evaluate: Evaluate, namespace: str) -> None:
        self._cluster, self._evaluate, self._namespace = cluster, evaluate, namespace
        self._kinds: dict[tuple[str, str], Kind] = {}
        self._authorities: dict[str, tuple[float, ssl.SSLContext]] = {}

    def pods(self, check: PodsCheck, question: Question) -> Answer:
        """Whether enough pods are Ready."""
        fields = f"spec.nodeName={question.node}" if check.on_node else ""
        try:
            found = self._cluster.list(
                POD, namespace=check.namespace, labels=check.selector.text(), fields=fields
            ).items
        except Forbidden:
            return answers.forbidden("list", "", POD.plural, check.namespace)
        except (ClusterError, NetworkError) as error:
            return _refused(error)
        return answers.pods(check, found)

    def java_caches(self, check: JavaCachesCheck) -> Answer:
        """Whether JavaCaches serve as they must."""
        try:
            found = self._cluster.list(JAVA_CACHE, namespace=check.namespace).items
        except Forbidden:
            return answers.forbidden("list", JAVA_CACHE.group, JAVA_CACHE.plural, check.namespace)
        except NotFound:
            return Answer(CheckReason.NO_KIND, "the API server knows no kind JavaCache")
        except (ClusterError, NetworkError) as error:
            return _refused(error)
        return answers.java_caches(check, found)

    def object(self, check: ObjectCheck, question: Question) -> Answer:
        """Whether the expression is true of the object."""
        name = check.name.replace("{nodeName}", question.node)
        try:
            kind = self._kind(check.api_version, check.kind)
        except NotFound:
            text = f"the API server knows no kind {check.kind} of {check.api_version}"
            return Answer(CheckReason.NO_KIND, text)
        except (ClusterError, NetworkError) as error:
            return _refused(error)
        if kind.namespaced and check.namespace is None:
            return Answer(CheckReason.NO_OBJECT, f"{check.kind} is a kind with namespaces; give one")
        try:
            seen = self._cluster.get(kind, name, namespace=check.namespace)
        except NotFound:
            self._kinds.pop((check.api_version, check.kind), None)
            where = f" in {check.namespace}" if kind.namespaced else ""
            return Answer(CheckReason.NO_OBJECT, f"there is no {check.kind} {name}{where}")
        except Forbidden:
            namespace = check.namespace if kind.namespaced else None
            return answers.forbidden("get", kind.group, kind.plural, namespace)
        except (ClusterError, NetworkError) as error:
            return _refused(error)
        if len(json.dumps(seen)) > LARGEST:
            return Answer(CheckReason.TOO_LARGE, f"{check.kind} {name} has more than {LARGEST >> 20} MiB")
        return answers.value(check, self._evaluate(check.cel, seen))

    def _kind(self, api_version: str, kind: str) -> Kind:
        known = self._kinds.get((api_version, kind))
        if known is None:
            known = self._kinds[api_version, kind] = self._cluster.discover(api_version, kind)
        return known

    def authorities(self, secret: str) -> ssl.SSLContext | Answer:
        """Who is trusted according to a Secret; or why that can't be said."""
        known = self._authorities.get(secret)
        if known is not None and time.monotonic() < known[0] + KEPT:
            return known[1]
        try:
            found = self._cluster.get(SECRET, secret, namespace=self._namespace)
        except Forbidden:
            return answers.forbidden("get", "", SECRET.plural, self._namespace)
        except NotFound:
            return self._no_ca(secret, "is not there")
        except (ClusterError, NetworkError) as error:
            return _refused(error)
        try:
            text = base64.b64decode((found.get("data") or {})["ca.crt"]).decode("ascii")
            context = ssl.create_default_context(cadata=text)
        except (KeyError, ValueError, ssl.SSLError):
            return self._no_ca(secret, "has no ca.crt with certificates")
        self._authorities[secret] = time.monotonic(), context
        return context

    def _no_ca(self, secret: str, what: str) -> Answer:
        return Answer(CheckReason.NO_CA, f"Secret {secret} in {self._namespace} {what}")


def _refused(error: ClusterError | NetworkError) -> Answer:
    if isinstance(error, NetworkError):
        return Answer(CheckReason.UNREACHABLE, "the API server did not answer")
    return Answer(CheckReason.API_ERROR, f"{error.status}: {error.message[:200]}")

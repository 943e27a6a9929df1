"""The Job that builds an archive: the application's own image runs the agent's `build`, in its own namespace.

Its name follows from the cache, the key and the attempt, and an attempt begins only once the one before it
has ended. So whoever writes, a leader that was frozen for an hour included, there is one builder for a key.
"""

from __future__ import annotations

import copy
import hashlib
import ipaddress
from typing import Any
from urllib.parse import urlsplit

from jboost_server.core.control.world import Cache, Name, Start
from jboost_server.core.injection import parts
from jboost_server.core.injection.application import OURS
from jboost_server.core.injection.choose import INJECT
from jboost_server.core.injection.installation import Installation
from warmroot.api.base import API_VERSION
from warmroot.errors import UserError

AUDIENCE = "build.jboost.warmroot.io"
CONTROLLER = "jboost-controller"
MANAGED = {"app.kubernetes.io/managed-by": CONTROLLER}
BUILDER = "jboost.warmroot.io/builder"
"""Label of builder pods, by which the network policy finds them."""
CACHE, KEY, ATTEMPT, SHAPE = (f"jboost.warmroot.io/{name}" for name in ("cache", "key", "attempt", "shape"))
"""Annotations of a Job, not of its pods: there `cache` would name the JavaCache to inject by."""
POLICY = "jboost-builders"
DEADLINE = 3600
"""Seconds of one attempt, scheduling included: as long as the cache service keeps an order for a builder."""
KEPT = 86_400
"""Seconds for which an ended Job stays: longer than the longest pause before the next attempt."""
_MAX_CACHE = 30
_ARCHITECTURES = {"amd64": "amd64", "x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_MOUNTS = (
    (parts.AGENT, f"{OURS}/agent", True),
    (parts.RUN, f"{OURS}/run", False),
    (parts.TOKEN, f"{OURS}/token", True),
)
Object = dict[str, Any]


def job_name(cache: Name, key: str, attempt: int) -> str:
    """The name of a key's Job; at most 63 characters, so that its pods can have it in a label."""
    namespace, name = cache
    which = hashlib.sha256(f"{namespace}/{name}/{key}".encode()).hexdigest()[:12]
    short = name[:_MAX_CACHE].replace(".", "-").strip("-")
    return f"jboost-{short}-{which}-{attempt}"


def job(start: Start, installation: Installation) -> Object:
    """The Job of an attempt. It goes with its JavaCache."""
    cache, shape = start.cache, start.shape
    namespace, name = cache.name
    owner = {
        "apiVersion": API_VERSION,
        "kind": "JavaCache",
        "name": name,
        "uid": cache.uid,
        "controller": True,
    }
    meta = {
        "name": job_name(cache.name, start.key.digest, start.attempt),
        "namespace": namespace,
        "labels": MANAGED,
        "annotations": {
            CACHE: name,
            KEY: start.key.digest,
            ATTEMPT: str(start.attempt),
            SHAPE: shape.digest,
        },
        "ownerReferences": [owner],
    }
    # An eviction is nobody's failure: the node is drained, and the pod is made again elsewhere.
    evicted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta,
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": DEADLINE,
            "ttlSecondsAfterFinished": KEPT,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": [evicted]},
            "template": {
                "metadata": {"labels": {**MANAGED, BUILDER: "true", INJECT: "false"}},
                "spec": _pod(start, installation),
            },
        },
    }


def _pod(start: Start, installation: Installation) -> Object:
    shape = start.shape
    spec = copy.deepcopy(shape.pod)
    container = _container(start, installation)
    if arch := _ARCHITECTURES.get(start.key.arch):
        spec["nodeSelector"] = {**spec.get("nodeSelector", {}), "kubernetes.io/arch": arch}
    if parts.copies(installation, start.cache.status.agent or ""):
        spec["initContainers"] = [parts.copier(spec, container, installation)]
    spec["containers"] = [container]
    spec["volumes"] = [*spec["volumes"], *_volumes(installation, start.cache)]
    return spec | {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
    }


def _container(start: Start, installation: Installation) -> Object:
    shape = start.shape
    made = copy.deepcopy(shape.container)
    made["command"] = [
        *(shape.words[0], "-jar", f"{OURS}/agent/agent.jar", "build"),
        *("--server", installation.server, "--group", start.cache.name[1]),
        *("--dir", f"{OURS}/run", "--token", f"{OURS}/token/token"),
        *(*shape.ready, "--", *shape.words),
    ]
    mounts = [{"name": name, "mountPath": path, "readOnly": locked} for name, path, locked in _MOUNTS]
    made["volumeMounts"] = [*made["volumeMounts"], *mounts]
    made["terminationMessagePolicy"] = "FallbackToLogsOnError"
    return made


def _volumes(installation: Installation, cache: Cache) -> list[Object]:
    """As a pod's, but its token is a builder's; a builder believes no archive, and needs no keys."""
    _, name = cache.name
    token = {"path": "token", "audience": parts.audience(name, AUDIENCE), "expirationSeconds": DEADLINE}
    builders = {"name": parts.TOKEN, "projected": {"sources": [{"serviceAccountToken": token}]}}
    every = parts.volumes(installation, name, cache.status.agent or "")
    common = (one for one in every if one["name"] in (parts.AGENT, parts.RUN))
    return [*(_bounded(one) for one in common), builders]


def _bounded(volume: Object) -> Object:
    """The folder for the agent's jar gets a bound, too."""
    return volume | {"emptyDir": {"sizeLimit": "64Mi"}} if volume.get("emptyDir") == {} else volume


def policy(namespace: str, server: str) -> Object:
    """Lets builders of a namespace reach the cache service and the cluster's names, and nobody reach them.

    Starts that are measured are real ones: they must not take messages from a queue, nor write to a database.

    Raises:
        UserError: the cache service's address says nothing of where its pods are.
    """
    parts_ = urlsplit(server)
    port = parts_.port or (443 if parts_.scheme == "https" else 80)
    names = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    egress: list[Object] = [
        {"to": [_peer(parts_.hostname or "")], "ports": [{"protocol": "TCP", "port": port}]}
    ]
    egress.append({"to": [_namespace("kube-system")], "ports": names})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": POLICY, "namespace": namespace, "labels": MANAGED},
        "spec": {
            "podSelector": {"matchLabels": {BUILDER: "true"}},
            "policyTypes": ["Ingress", "Egress"],
            "egress": egress,
        },
    }


def _peer(host: str) -> Object:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        match host.split("."):
            case [_, namespace, "svc", *_]:
                return _namespace(namespace)
        raise UserError(
            f"--server {host}: builders may reach nothing but the cache service,"
            " and this name does not say where it is",
            hint="use http://SERVICE.NAMESPACE.svc:PORT, or an address",
        ) from None
    return {"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}


def _namespace(name: str) -> Object:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}

"""What a builder has to be made of, taken from a pod that was injected: the same image, command, flags,
variables and limits; the same security or a stronger one; none of the pod's data, devices and tokens.

Pods of one template have one shape, which has a name: what is different in each pod is not in it.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from jboost_server.core.injection.application import Application, application_of, readiness
from jboost_server.core.injection.choose import Cache as Chosen
from jboost_server.core.injection.choose import containers_of
from jboost_server.core.injection.inject import INJECTED, without
from jboost_server.core.injection.reason import Left

STARTED = r"Started \S+ in [0-9.]+ seconds"
"""Spring Boot's line in the log, by which an application without an HTTP probe shows that it is ready."""
NOBODY = 65532
"""User of a builder whose application runs as root, or says nothing of its user."""
SCRATCH = "256Mi"
"""Room of an empty volume that stands for the pod's own, or that has no bound there."""
MAX_SHAPES = 8
"""Shapes of one cache that are told apart: images in the middle of a rollout, containers."""
_OF_CONTAINER = ("name", "image", "imagePullPolicy", "workingDir", "env", "envFrom")
_OF_POD = (
    "serviceAccountName",
    "imagePullSecrets",
    "nodeSelector",
    "tolerations",
    "runtimeClassName",
    "hostAliases",
    "dnsConfig",
)
_RESOURCES = ("cpu", "memory", "ephemeral-storage")
"""Others are devices and the like, which a build would hold and not use."""
_READ_ONLY = ("configMap", "secret", "downwardAPI", "image")
Object = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """One kind of pod and container. `pods` are uids of some that have it, `newest` when the last was made
    (RFC 3339). `pod` and `container` are parts of a pod's spec, with `volumes` and security of their own.
    """

    digest: str
    pod: Object
    container: Object
    words: tuple[str, ...]
    ready: tuple[str, str]
    pods: frozenset[str] = frozenset()
    newest: str = ""


def shapes_of(pods: Iterable[Object], cache: Chosen) -> tuple[Shape, ...]:
    """The shapes of a cache's injected pods, the newest first; at most MAX_SHAPES."""
    found: dict[str, Shape] = {}
    for pod in pods:
        meta = pod["metadata"]
        if (meta.get("annotations") or {}).get(INJECTED) != cache.name:
            continue
        for shape in _shapes(pod, cache):
            known = found.get(shape.digest, shape)
            found[shape.digest] = replace(
                known,
                pods=known.pods | {str(meta["uid"])},
                newest=max(known.newest, str(meta["creationTimestamp"])),
            )
    return tuple(
        sorted(found.values(), key=lambda each: (each.newest, each.digest), reverse=True)[:MAX_SHAPES]
    )


def _shapes(pod: Object, cache: Chosen) -> Iterable[Shape]:
    plain = without(pod)
    chosen = containers_of(plain, cache)
    for at in [] if isinstance(chosen, Left) else chosen:
        container = plain["spec"]["containers"][at]
        application = application_of(container)
        if isinstance(application, Application):
            yield _shape(plain["spec"], container, application)


def _shape(spec: Object, container: Object, application: Application) -> Shape:
    volumes, mounts = _volumes(spec, container)
    own: Object = {name: container[name] for name in _OF_CONTAINER if container.get(name)}
    own["securityContext"] = _container_security(spec, container)
    own["volumeMounts"] = mounts
    if resources := _resources(container):
        own["resources"] = resources
    around: Object = {name: spec[name] for name in _OF_POD if spec.get(name)}
    if affinity := (spec.get("affinity") or {}).get("nodeAffinity"):
        around["affinity"] = {"nodeAffinity": affinity}
    if spec.get("hostUsers") is False:
        around["hostUsers"] = False
    around["securityContext"] = _pod_security(spec)
    around["volumes"] = volumes
    ready, words = _ready(container), application.words
    text = json.dumps([around, own, words, ready], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Shape(digest, copy.deepcopy(around), copy.deepcopy(own), words, ready)


def _ready(container: Object) -> tuple[str, str]:
    """The option by which the agent is told when the application is ready, and its value."""
    url = readiness(container)
    return ("--ready-url", url) if url else ("--ready-log", STARTED)


def _resources(container: Object) -> Object:
    asked = container.get("resources") or {}
    kept = {
        part: {name: value for name, value in (asked.get(part) or {}).items() if name in _RESOURCES}
        for part in ("requests", "limits")
    }
    return {part: values for part, values in kept.items() if values}


def _volumes(spec: Object, container: Object) -> tuple[list[Object], list[Object]]:
    """What the container mounts, data and tokens aside, and its mounts.

    In place of data there is an empty folder: the application may write there, and finds nothing.
    """
    known = {one["name"]: one for one in spec.get("volumes") or ()}
    volumes: dict[str, Object] = {}
    mounts = []
    for mount in container.get("volumeMounts") or ():
        name = mount["name"]
        if name not in known or _is_token(known[name]):
            continue
        volumes[name] = _volume(known[name])
        mounts.append(mount)
    return list(volumes.values()), mounts


def _is_token(volume: Object) -> bool:
    """Whether it brings a service account's token, as the API server adds one to every pod."""
    sources = (volume.get("projected") or {}).get("sources") or ()
    return any("serviceAccountToken" in one for one in sources)


def _volume(volume: Object) -> Object:
    kept = {name: volume[name] for name in ("name", *_READ_ONLY, "projected") if name in volume}
    if len(kept) > 1:
        return kept
    own = volume.get("emptyDir") or {}
    return kept | {"emptyDir": {"sizeLimit": SCRATCH} | own}


def _container_security(spec: Object, container: Object) -> Object:
    """The container's own, as strong as the restricted standard or stronger."""
    own, pods = container.get("securityContext") or {}, spec.get("securityContext") or {}

    def said(name: str) -> Any:
        return own[name] if name in own else pods.get(name)

    made: Object = {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": _profile(said("seccompProfile")) or {"type": "RuntimeDefault"},
    }
    if own.get("readOnlyRootFilesystem"):
        made["readOnlyRootFilesystem"] = True
    # Without a user the image's counts, if it has to be none of root's: the kubelet looks.
    user = said("runAsUser")
    if user or not said("runAsNonRoot"):
        made["runAsUser"] = user or NOBODY
    if said("runAsGroup"):
        made["runAsGroup"] = said("runAsGroup")
    if apparmor := _profile(said("appArmorProfile")):
        made["appArmorProfile"] = apparmor
    if level := (said("seLinuxOptions") or {}).get("level"):
        made["seLinuxOptions"] = {"level": level}
    return made


def _pod_security(spec: Object) -> Object:
    own = spec.get("securityContext") or {}
    kept = {name: own[name] for name in ("fsGroup", "supplementalGroups") if own.get(name)}
    return kept | {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def _profile(profile: object) -> Object | None:
    if isinstance(profile, dict) and profile.get("type") in {"RuntimeDefault", "Localhost"}:
        return profile
    return None

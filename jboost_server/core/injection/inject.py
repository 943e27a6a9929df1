"""Puts the agent into a pod, and takes it out again. Both leave all else of the pod as it was."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jboost_server.core.injection import parts
from jboost_server.core.injection.application import OPTIONS, Application, application_of
from jboost_server.core.injection.choose import Cache, cache_for, containers_of
from jboost_server.core.injection.installation import Installation, bytes_of
from jboost_server.core.injection.patch import Operation, diff
from jboost_server.core.injection.reason import Left, Reason
from jboost_server.core.injection.variables import ASIDE, taken_back

INJECTED = "jboost.warmroot.io/injected"
"""Annotation of a pod that was injected: the name of its JavaCache."""
_MIRROR = "kubernetes.io/config.mirror"
Object = dict[str, Any]


@dataclass(frozen=True)
class Injection:
    """What becomes of a pod: why, in words too; the pod as it will be; and what makes it so."""

    reason: Reason
    why: str
    pod: Object
    patch: tuple[Operation, ...] = ()


def inject(
    pod: Object,
    namespace: str,
    caches: Sequence[Cache],
    installation: Installation,
    *,
    record: bool = False,
) -> Injection:
    """What becomes of a pod of this namespace, of which these are the JavaCaches. The pod is not changed.

    With `record` it may record: it gets a sidecar that sends what it recorded.

    Of a pod that was injected before, what is ours is made anew: another webhook may have changed the
    application's container since. If there is now a reason to leave it, it stays as it is.

    Raises:
        ValueError: it is no pod.
    """
    _check(pod)
    plain = without(pod)
    made = _with(plain, namespace, caches, installation, record or _records(pod))
    if isinstance(made, Left):
        return Injection(made.reason, made.why, pod)
    after, why = made
    _keep_copier(pod, after)
    if patch := diff(pod, after):
        return Injection(Reason.INJECTED, why, after, patch)
    return Injection(Reason.ALREADY_INJECTED, why, pod)


def without(pod: Object) -> Object:
    """The pod as it was before `inject`, as far as what is ours can tell; a copy."""
    plain = copy.deepcopy(pod)
    annotations = (plain.get("metadata") or {}).get("annotations") or {}
    if INJECTED not in annotations:
        return plain
    del annotations[INJECTED]
    _drop_empty(plain["metadata"], "annotations")
    spec = plain["spec"]
    fetchers = {_folder(one): one for one in spec.get("initContainers") or () if _is(one, parts.FETCH)}
    for container in spec["containers"]:
        if fetcher := fetchers.get(parts.folder(container)):
            _restore(container, fetcher)
    spec["initContainers"] = [one for one in spec.get("initContainers") or () if not _is_ours(one)]
    spec["volumes"] = [one for one in spec.get("volumes") or () if one.get("name") not in parts.VOLUMES]
    _drop_empty(spec, "initContainers")
    _drop_empty(spec, "volumes")
    return plain


def _with(
    plain: Object, namespace: str, caches: Sequence[Cache], installation: Installation, record: bool
) -> tuple[Object, str] | Left:
    cache = cache_for(plain, namespace, caches)
    if isinstance(cache, Left):
        return cache
    spec = plain["spec"]
    if _MIRROR in ((plain.get("metadata") or {}).get("annotations") or {}):
        return Left(Reason.STATIC_POD, "its node runs it from a file")
    if left := _unfit(spec, installation):
        return left
    chosen = containers_of(plain, cache)
    if isinstance(chosen, Left):
        return chosen
    found = [(spec["containers"][at], application_of(spec["containers"][at])) for at in chosen]
    warm = [(container, one) for container, one in found if isinstance(one, Application)]
    cold = [one for _, one in found if isinstance(one, Left)]
    if not warm:
        return cold[0]
    first = warm[0][0]
    added = [parts.copier(spec, first, installation)] if parts.copies(installation, cache.agent) else []
    for number, (container, application) in enumerate(warm, 1):
        name = _numbered(parts.FETCH, number)
        added.append(parts.fetcher(name, container, application, cache, installation, record=record))
    for number, (container, application) in enumerate(warm if record else (), 1):
        name = _numbered(parts.RECORD, number)
        added.append(parts.recorder(name, container, application, cache, installation))
    for container, _ in warm:
        _wire(container, record=record)
    # Last: what others prepare, the JVM may read.
    spec["initContainers"] = [*(spec.get("initContainers") or ()), *added]
    spec["volumes"] = [*(spec.get("volumes") or ()), *parts.volumes(installation, cache.name, cache.agent)]
    meta = plain.setdefault("metadata", {})
    meta["annotations"] = {**(meta.get("annotations") or {}), INJECTED: cache.name}
    names = ", ".join(container["name"] for container, _ in warm)
    return plain, "; ".join([f"JavaCache {cache.name}: {names}", *(one.why for one in cold)])


def _check(pod: Object) -> None:
    """Raises ValueError unless this has the form of a pod, as far as we touch it."""
    spec = pod.get("spec") if isinstance(pod, dict) else None
    containers = spec.get("containers") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(containers, list) or not containers:
        raise ValueError("it has no spec.containers")
    for name in ("containers", "initContainers", "volumes"):
        items = spec.get(name) or []
        if not isinstance(items, list) or not all(isinstance(one, dict) and one.get("name") for one in items):
            raise ValueError(f"spec.{name} has items without a name")


def _unfit(spec: Object, installation: Installation) -> Left | None:
    """Why nothing may be added to such a pod, whatever its containers are."""
    selector = spec.get("nodeSelector") or {}
    if "windows" in ((spec.get("os") or {}).get("name"), selector.get("kubernetes.io/os")):
        return Left(Reason.WINDOWS, "the agent reads /proc")
    if spec.get("hostNetwork"):
        return Left(Reason.HOST_NETWORK, "the cache service lets pods of a namespace in, not nodes")
    containers = [*spec["containers"], *(spec.get("initContainers") or ())]
    taken = [one["name"] for one in containers if _is_ours(one)]
    taken += [one["name"] for one in spec.get("volumes") or () if one["name"] in parts.VOLUMES]
    if taken:
        return Left(Reason.NAME_TAKEN, f"it has {', '.join(taken)} already: wired by hand?")
    limits = [(one.get("resources") or {}).get("limits") or {} for one in spec["containers"]]
    disk = [bytes_of(one["ephemeral-storage"]) or 0 for one in limits if "ephemeral-storage" in one]
    if disk and sum(disk) <= (bytes_of(installation.room) or 0):
        return Left(
            Reason.DISK_LIMIT,
            f"its limit of ephemeral storage is within the {installation.room} that archives may take",
        )
    return None


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def _wire(container: Object, *, record: bool) -> None:
    env = list(container.get("env") or ())
    at = _last(env, OPTIONS)
    if at is None:
        env.append(parts.variable(container))
    else:
        env[at] = parts.variable(container)
    container["env"] = env
    container["volumeMounts"] = [*(container.get("volumeMounts") or ()), parts.mount(record=record)]


def _restore(container: Object, fetcher: Object) -> None:
    env, own = list(container.get("env") or ()), list(fetcher.get("env") or ())
    at, before = _last(env, OPTIONS), _last(own, ASIDE + OPTIONS)
    if at is not None and env[at] == parts.variable(container):
        env[at : at + 1] = [] if before is None else [taken_back(own[before])]
    container["env"] = env
    container["volumeMounts"] = [
        one for one in container.get("volumeMounts") or () if one.get("name") != parts.RUN
    ]
    _drop_empty(container, "env")
    _drop_empty(container, "volumeMounts")


def _last(env: list[Object], name: str) -> int | None:
    """Where the variable stands that counts: of several with one name it is the last."""
    return max((at for at, one in enumerate(env) if one.get("name") == name), default=None)


def _keep_copier(pod: Object, after: Object) -> None:
    """The container that brings the agent stays as it is: another webhook may have named another registry."""
    before = {one["name"]: one for one in pod["spec"].get("initContainers") or ()}
    if was_injected(pod) and parts.AGENT in before:
        after["spec"]["initContainers"] = [
            before[parts.AGENT] if one["name"] == parts.AGENT else one
            for one in after["spec"]["initContainers"]
        ]


def _is_ours(container: Object) -> bool:
    return _is(container, parts.AGENT) or _is(container, parts.FETCH) or _is(container, parts.RECORD)


def _is(container: Object, name: str) -> bool:
    return str(container["name"]).startswith(name)


def was_injected(pod: Object) -> bool:
    """Whether the agent was added to it before."""
    return INJECTED in ((pod.get("metadata") or {}).get("annotations") or {})


def _records(pod: Object) -> bool:
    """Whether it was injected before, as one that may record: it stays one."""
    return was_injected(pod) and any(
        _is(one, parts.RECORD) for one in pod["spec"].get("initContainers") or ()
    )


def _folder(fetcher: Object) -> str:
    words = fetcher.get("command") or []
    return str(words[words.index("--dir") + 1]) if "--dir" in words[:-1] else ""


def _drop_empty(holder: Object, name: str) -> None:
    if not holder.get(name):
        holder.pop(name, None)

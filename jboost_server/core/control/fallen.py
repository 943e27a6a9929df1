"""JVMs that died soon after they had started from an archive, by what the statuses of their pods say.

The agent leaves in its container's termination message which archive a start got. The kubelet says how the
application's container ended. Together they name the archive, without anything else in the pod: a JVM that
died can't tell.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jboost_server.core.control.times import instant
from jboost_server.core.injection import parts
from jboost_server.core.injection.inject import INJECTED
from jboost_server.core.layout import is_digest
from jboost_server.core.outcome import Outcome

SIGNALS = {127: "SIGABRT", 132: "SIGILL", 134: "SIGABRT", 139: "SIGSEGV"}
"""By the exit code of a container whose first process they ended: 128 and the signal's number. But a JVM that
is itself the first process, as in most containers, ends with 127: it finds its fault, and calls abort(),
whose signal the kernel does not deliver to a first process; then glibc exits so (stdlib/abort.c; seen with
JDK 17)."""
SOON = 300.0
"""Seconds within which an archive is suspected. What dies later has served, and dies of something else."""
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Fallen:
    """A container whose JVM died: in which pod, of which key's archive, and how.

    `witness` names this one death, whoever sees it how often. `down`: the container does not run now.
    `owned`: the pod would be made again if it went.
    """

    pod: str
    uid: str
    container: str
    key: str
    archive: str
    witness: str
    why: str
    down: bool
    owned: bool


def fallen(pods: Iterable[Object], cache: str) -> tuple[Fallen, ...]:
    """Those among a namespace's pods that take part in a JavaCache, by pod and container."""
    return tuple(
        one
        for pod in pods
        if ((pod["metadata"].get("annotations")) or {}).get(INJECTED) == cache
        for one in _of_pod(pod)
    )


def starting(pods: Iterable[Object], cache: str, now: float) -> bool:
    """Whether a pod of the cache began so lately that its JVM may still die of its archive."""
    for pod in pods:
        if ((pod["metadata"].get("annotations")) or {}).get(INJECTED) != cache:
            continue
        began = instant(str((pod.get("status") or {}).get("startTime", "")))
        if now < began + 2 * SOON:
            return True
    return False


def _of_pod(pod: Object) -> Iterator[Fallen]:
    status, meta = pod.get("status") or {}, pod["metadata"]
    states = {str(one["name"]): one for one in status.get("containerStatuses") or ()}
    for fetcher, message in _messages(pod):
        container = parts.warms(fetcher)
        state = states.get(container)
        if state is None or message is None:
            continue
        current, last = state.get("state") or {}, state.get("lastState") or {}
        ended = current.get("terminated") or last.get("terminated") or {}
        seconds, signal = _seconds(ended), SIGNALS.get(int(ended.get("exitCode", 0)))
        if signal is None or seconds > SOON:
            continue
        key, archive = message
        count = int(state.get("restartCount", 0)) + ("terminated" in current)
        yield Fallen(
            pod=str(meta["name"]),
            uid=str(meta["uid"]),
            container=container,
            key=key,
            archive=archive,
            witness=f"{meta['uid']}/{container}/{count}",
            why=f"{signal} in pod {meta['name']}, {seconds:.0f} s after its start",
            down="running" not in current,
            owned=any(one.get("controller") for one in meta.get("ownerReferences") or ()),
        )


def _messages(pod: Object) -> Iterator[tuple[Object, tuple[str, str] | None]]:
    """The agent's containers, each with key and archive of a start from one."""
    said = {
        str(one["name"]): ((one.get("state") or {}).get("terminated") or {}).get("message", "")
        for one in (pod.get("status") or {}).get("initContainerStatuses") or ()
    }
    for one in pod["spec"].get("initContainers") or ():
        if parts.fetches(one):
            yield one, _archive(str(said.get(str(one["name"])) or ""))


def _archive(message: str) -> tuple[str, str] | None:
    """None if it was no hit, or not the agent who wrote it."""
    try:
        told = json.loads(message)
        key, archive = str(told["key"]), str(told["archive"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if told.get("outcome") != Outcome.HIT.value or not is_digest(key) or not is_digest(archive):
        return None
    return key, archive


def _seconds(ended: Object) -> float:
    began, over = instant(str(ended.get("startedAt", ""))), instant(str(ended.get("finishedAt", "")))
    return over - began if began and over else SOON + 1

"""Why a pod starts warm, or not: what the webhook decided, what the agent said, how far the cache is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jboost_server.core.injection import parts
from jboost_server.core.injection.choose import Cache
from jboost_server.core.injection.inject import INJECTED, inject
from jboost_server.core.injection.installation import Installation
from jboost_server.core.injection.reason import Left, Reason
from jboost_server.core.outcome import Outcome
from warmroot.api.javacache import CacheState, JavaCacheStatus

CLIENT = "jboost.warmroot.io/client"
"""Label of a namespace whose pods the webhook sees, and the cache service answers."""
_SAID = re.compile(r"^jboost(?: fetch)?: ([a-z-]+)(?:: (.*?))?(?: \[(\d+) ms\])?$")
_ANY = Installation("any")
_CORRECT = "make the pod's template as the JavaCache needs it (docs/java-injection.md), and roll it out again"
NEXT_OF_REASON: dict[Reason, str] = {
    Reason.INJECTED: "kubectl rollout restart what made the pod; if that changes nothing, see whether the"
    " webhook runs",
    Reason.ALREADY_INJECTED: "nothing",
    Reason.NOT_SELECTED: "if it should take part: compare its labels with the JavaCache's selector, or"
    " name one with jboost.warmroot.io/cache",
    Reason.UNKNOWN_CACHE: "correct the annotation jboost.warmroot.io/cache, or make that JavaCache",
    Reason.CONFLICTING: "name one of them with the annotation jboost.warmroot.io/cache",
    Reason.OPTED_OUT: "nothing; or take jboost.warmroot.io/inject from the template",
    Reason.OFF: "set the JavaCache's mode to Auto, and kubectl rollout restart",
    Reason.WINDOWS: "nothing: the agent needs Linux",
    Reason.STATIC_POD: "nothing: a node runs it from a file",
    Reason.HOST_NETWORK: "give it a network of its own",
    Reason.NAME_TAKEN: "take containers and volumes named jboost… out of the template",
    Reason.NO_CONTAINER: "correct `containers` of the JavaCache",
    Reason.ENTRYPOINT_UNKNOWN: "write the image's entrypoint as the container's command",
    Reason.NOT_JAVA: "write [java, …] as the container's command in place of a shell",
    Reason.PATH_TAKEN: "mount that volume outside of /jboost",
    Reason.REFERENCED: "write the options out where $(JDK_JAVA_OPTIONS) stands",
    Reason.DISK_LIMIT: "raise the limit of ephemeral storage",
    Reason.NOTHING_GAINED: "nothing: kubectl get jcache -o yaml says what was measured; a new image is tried"
    " within half an hour",
    Reason.UNREADABLE: _CORRECT,
    Reason.MISTAKE: "report it, please, with the webhook's log",
}
NEXT_OF_OUTCOME: dict[Outcome, str] = {
    Outcome.HIT: "nothing",
    Outcome.LEARNING: "nothing: it records, and starts more slowly for it; let it serve real requests",
    Outcome.BUILD: "let a pod with this JDK record (training.recorders); pin the JDK of the image",
    Outcome.COOPS: "give recorders and pods the same memory limit and the same -Xmx",
    Outcome.GC: "use the same collector in recorders and pods",
    Outcome.CLASSPATH: "after a new build of the application nothing: it learns anew; else read above",
    Outcome.MODULE_OPTS: "use the same module options in recorders and pods",
    Outcome.AGENT: "record with the native agent or debugger, or run without it",
    Outcome.CPU: "record on the kind of machine that it runs on",
    Outcome.MISSING: "kubectl get jcache: it says whether it learns, builds, or was refused",
    Outcome.SIGNATURE: "compare the ConfigMap jboost-keys with the service's public keys; if they agree, look"
    " for who changed the file",
    Outcome.PREFLIGHT: "kubectl exec into the pod and read report.json below /jboost/run; report it",
    Outcome.CRASH: "read the JVM's hs_err file; when enough starts end so, the archive is withdrawn from all",
    Outcome.BUDGET: "raise spec.budget of the JavaCache, or look at the service's load; the next start"
    " has what came in time",
    Outcome.SERVER: "look at the cache service, its network policy and the namespace's label " + CLIENT,
    Outcome.OFF: "read the line above: there is nothing to gain with such a JVM or such a command",
}
"""What a person can do, or that there is nothing to do."""


@dataclass(frozen=True)
class Start:
    """How one container of a pod started. `outcome` is empty if the agent was not there, or has not spoken.

    `reason` is the webhook's. `chain` leads from the pod to what came of it.
    """

    container: str
    outcome: str
    reason: str
    milliseconds: int | None
    chain: tuple[str, ...]
    next: str


def why(
    pod: Mapping[str, Any],
    takes_part: bool,
    caches: Sequence[Cache],
    statuses: Mapping[str, JavaCacheStatus],
    said: Mapping[str, str],
) -> list[Start]:
    """One entry for each container that starts warm; if there is none, one for the pod.

    `takes_part`: its namespace has the label. `caches` and `statuses` (by name) are its namespace's, `said`
    is the log of each container of ours.
    """
    name = str(((pod["metadata"].get("annotations")) or {}).get(INJECTED, ""))
    if not name:
        return [_left(pod, takes_part, caches)]
    fetchers = [one for one in pod["spec"].get("initContainers") or () if parts.fetches(one)]
    return [_start(pod, name, one, statuses.get(name), said.get(one["name"], "")) for one in fetchers]


def _left(pod: Mapping[str, Any], takes_part: bool, caches: Sequence[Cache]) -> Start:
    space = str(pod["metadata"].get("namespace", "default"))
    now = inject(dict(pod), space, caches, _ANY)
    chain = ["it was made without the agent"]
    if not takes_part:
        chain.append(f"namespace {space} lacks the label {CLIENT}=true, so the webhook sees no pod of it")
        return Start(
            "", "", now.reason.value, None, tuple(chain), f"kubectl label namespace {space} {CLIENT}=true"
        )
    reason, said = now.reason, now.why
    if reason is Reason.INJECTED:
        name = now.pod["metadata"]["annotations"][INJECTED]
        records = next(one for one in caches if one.name == name).records(turn=False)
        if isinstance(records, Left):
            reason, said = records.reason, records.why
    if reason is Reason.INJECTED:
        chain.append(f"one made now would get it ({said}): the JavaCache is younger, or the webhook was away")
    else:
        chain.append(f"the webhook leaves it as it is: {said}")
    return Start("", "", reason.value, None, tuple(chain), NEXT_OF_REASON[reason])


def _start(
    pod: Mapping[str, Any], cache: str, fetcher: Mapping[str, Any], status: JavaCacheStatus | None, said: str
) -> Start:
    container = parts.warms(fetcher)
    chain = [f"JavaCache {cache} had the agent added to container {container}"]
    outcome, words, took = _parse(said)
    outcome = outcome or _left_behind(pod, str(fetcher["name"]))
    if outcome is None:
        chain.append(_silent(pod, str(fetcher["name"])))
        following = f"kubectl logs {pod['metadata']['name']} -c {fetcher['name']}"
    else:
        chain.append(f"the agent said {outcome.value}{f': {words}' if words else ''}")
        following = NEXT_OF_OUTCOME[outcome]
    chain.append(_far(cache, status))
    return Start(
        container,
        outcome.value if outcome else "",
        Reason.ALREADY_INJECTED.value,
        took,
        tuple(chain),
        following,
    )


def _far(cache: str, status: JavaCacheStatus | None) -> str:
    if status is None:
        return f"there is no JavaCache {cache} any more"
    if status.state is None:
        return f"JavaCache {cache} has no status: no controller has seen it"
    words = f"JavaCache {cache} is {status.state.value}"
    if status.state is CacheState.SERVING:
        words += f", {status.serving} keys serve"
    if status.start_before and status.start_after:
        words += f", starts measured {status.start_before} without and {status.start_after} with an archive"
    return words


def _silent(pod: Mapping[str, Any], name: str) -> str:
    found = (pod.get("status") or {}).get("initContainerStatuses") or ()
    states = [one.get("state") or {} for one in found if one.get("name") == name]
    if not states or "waiting" in states[0]:
        return "the agent has not run yet: the containers before it have to end"
    return "the agent runs" if "running" in states[0] else "what the agent said is not in the log any more"


def _left_behind(pod: Mapping[str, Any], name: str) -> Outcome | None:
    """What the agent left in the pod's status; logs may be gone, or not for everybody's eyes."""
    for one in (pod.get("status") or {}).get("initContainerStatuses") or ():
        if one.get("name") == name:
            try:
                message = ((one.get("state") or {}).get("terminated") or {}).get("message", "")
                return Outcome(json.loads(message)["outcome"])
            except (ValueError, TypeError, KeyError, RecursionError):
                return None
    return None


def _parse(said: str) -> tuple[Outcome | None, str, int | None]:
    for line in reversed(said.splitlines()):
        if (match := _SAID.match(line.strip())) and match[1] in {one.value for one in Outcome}:
            return Outcome(match[1]), match[2] or "", int(match[3]) if match[3] else None
    return None, "", None


def fetchers(pod: Mapping[str, Any]) -> list[str]:
    """The containers of a pod whose log has what the agent said."""
    return [str(one["name"]) for one in pod["spec"].get("initContainers") or () if parts.fetches(one)]

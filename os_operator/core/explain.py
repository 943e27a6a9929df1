"""Why a node is where it is: the chain of reasons from its labels to what a person can do about it.

It asks the planner itself, not the status that the operator wrote: that names twenty nodes, and this any one.
"""

from __future__ import annotations

from dataclasses import dataclass

from os_operator.core import instants
from os_operator.core.failures import named
from os_operator.core.node_way import CURRENT, Way, in_orders
from os_operator.core.places import Places
from os_operator.core.rollout import run
from os_operator.core.selection import mover_of, select
from os_operator.core.survey import Pass
from os_operator.core.world import AVOIDED, CLOSED, NOT_CURRENT, InstanceView, NodeView, OSView, World
from warmroot.api.health import CheckReason
from warmroot.api.reasons import NodePhase, WaitReason
from warmroot.nodeconfig import of_target

_FORGIVE = "then forgive (warmroot.io/clear-failed)"
NEXT: dict[WaitReason, str] = {
    WaitReason.STAGING: "nothing: it downloads while it works",
    WaitReason.STAGING_FAILED: "read the message; the node tries again by itself where it says so",
    WaitReason.STAGING_PACED: "nothing, or raise rollout.maxStaging",
    WaitReason.BUDGET: "nothing; bring back nodes that are down, or raise rollout.maxUnavailable",
    WaitReason.WAVE: "nothing: the wave before it has to end",
    WaitReason.ORDER: "nothing: the node that the message names comes first",
    WaitReason.TOPOLOGY: "nothing: the zone that the message names comes first",
    WaitReason.SOAK: "nothing: the wave proves itself until then",
    WaitReason.WINDOW: "nothing, or add a window to rollout.windows",
    WaitReason.APPROVAL: "kubectl warmroot approve {os} {wave}",
    WaitReason.PAUSED: "kubectl warmroot resume {os}",
    WaitReason.HALTED: f"look at the failed nodes; set a new release, or fix them, {_FORGIVE}",
    WaitReason.BARRED: "publish a new release, or forgive it on this node (warmroot.io/clear-failed)",
    WaitReason.CONFLICT: "change one nodeSelector, so that one object selects the node",
    WaitReason.DRAIN_BLOCKED: "make room for the pods that the message names, or change their budget",
    WaitReason.DRAINING: "nothing: its pods are asked to go",
    WaitReason.PODS_RUNNING: "nothing: the pods that the message names may finish; or delete them",
    WaitReason.VOLUMES_ATTACHED: "kubectl get volumeattachments; the storage driver has to detach them",
    WaitReason.DRAIN_FAILED: f"look at the pods that the message names, {_FORGIVE}",
    WaitReason.ACTIVATION_FAILED: f"read the journal of the node's proxy, {_FORGIVE}",
    WaitReason.REBOOTING: "nothing until the deadline",
    WaitReason.NEVER_CAME_BACK: "look at the machine's console, and switch it off and on",
    WaitReason.NOT_READY: "kubectl describe node {node}: its Node has to be Ready",
    WaitReason.CHECKING: "nothing: the operator is asking its health checks",
    WaitReason.CHECK_FAILED: "nothing, if the check comes to hold before the deadline; else it goes back",
    WaitReason.SETTLING: "nothing: it has to stay Ready for rollout.health.readySeconds",
    WaitReason.CONFIRMING: "nothing: its proxy makes the slot the good one",
    WaitReason.CONFIGURING: "nothing: its units take notice of new settings",
    WaitReason.CONFIG_REFUSED: "correct spec.config: the message says which unit refused it and why",
    WaitReason.FELL_BACK: "read why in the message; publish a new release",
    WaitReason.UNHEALTHY: "read which check failed; publish a new release",
    WaitReason.ROLLING_BACK: "nothing: it returns to its good slot",
    WaitReason.NO_WAY_BACK: "nothing by itself: set spec.release to one that it shall run",
    WaitReason.PROXY_SILENT: "look at warmroot-proxy on the node, and at its way to the API server",
    WaitReason.RELEASE_UNRESOLVED: "read the message: the source has to answer, or pin release.digest",
}
"""What a person can do, or that there is nothing to do."""
CHECK_NEXT: dict[CheckReason, str] = {
    CheckReason.NO_PODS: "kubectl get pods -A -o wide; correct the check's namespace or selector",
    CheckReason.PODS_NOT_READY: "kubectl describe the pods that the message names",
    CheckReason.TIMED_OUT: "look at what is asked, and at the way to it; or raise the check's timeout",
    CheckReason.UNREACHABLE: "look whether what is asked listens, and at the network policies on the way",
    CheckReason.UNTRUSTED: "give the check a caSecret that vouches for the server, and the server that name",
    CheckReason.NO_CA: "make the Secret of caSecret, with ca.crt, and let the operator get it",
    CheckReason.NO_ADDRESS: "kubectl get node {node} -o wide: it has to have an InternalIP",
    CheckReason.REDIRECTED: "put the address that is redirected to into the check, if that is what you mean",
    CheckReason.WRONG_STATUS: "read the log of what is asked on {node}",
    CheckReason.BAD_ANSWER: "look at what answers at the check's url: it does not speak as it should",
    CheckReason.TOO_LARGE: "make the query give fewer samples, or look at a smaller object",
    CheckReason.QUERY_FAILED: "try the query in Prometheus; the message has its error",
    CheckReason.NO_SAMPLE: "try the query in Prometheus: are its labels those of {node}, and is it scraped?",
    CheckReason.NOT_A_NUMBER: "try the query in Prometheus: does it divide by nothing?",
    CheckReason.WRONG_TYPE: "make the query give a vector or a scalar, without a range",
    CheckReason.OUT_OF_BOUNDS: "look at what the query measures on {node}",
    CheckReason.NO_KIND: "correct apiVersion and kind, or install the kind",
    CheckReason.NO_OBJECT: "correct namespace and name, or make the object",
    CheckReason.NO_FIELD: "use has() for a field that may be absent, or look why nobody writes it",
    CheckReason.NOT_TRUE: "look at the object that the message names",
    CheckReason.NOT_A_BOOL: "write a comparison into cel: it has to give true or false",
    CheckReason.CEL_FAILED: "correct cel: the message says what it can't do with this object",
    CheckReason.CEL_TOO_DEAR: "simplify cel: it loops too often, or needs too much memory",
    CheckReason.NO_CACHE: "correct the check's namespace or names, or make the JavaCache",
    CheckReason.CACHE_UNKNOWN: "look at jboost-controller and the cache service, or start a pod of the cache",
    CheckReason.CACHE_NOT_SERVING: "kubectl get jcache -A; the message has why the cache does not serve",
    CheckReason.LOW_COVERAGE: "kubectl describe jcache: its misses have reasons (docs/java-controller.md)",
    CheckReason.FORBIDDEN: "add the RBAC rule that the message names (docs/health-checks.md)",
    CheckReason.API_ERROR: "read the API server's answer in the message",
}
"""The same for a health check that does not hold, by its reason."""


@dataclass(frozen=True)
class Explanation:
    """One node's place. `chain`: what led there, the first cause first. Times are RFC 3339 in UTC."""

    node: str
    os: str
    phase: NodePhase | None
    reason: WaitReason | None
    message: str
    since: str | None
    deadline: str | None
    chain: tuple[str, ...]
    next: str


def explain(name: str, world: World, now: float) -> Explanation:
    """Why the node of this name is where it is, at `now` (Unix seconds).

    Raises:
        KeyError: there is no such node.
    """
    node, instance = world.nodes[name], world.instances.get(name)
    selection = select(world)
    moving = node.note is not None or in_orders(instance)
    claims = [os for os, nodes in selection.members.items() if node in nodes and not world.oses[os].deleting]
    mover = mover_of(node, instance) if moving else ""
    owner = mover if mover in world.oses else next(iter(claims), "")
    if not owner:
        return _unclaimed(node, instance, mover)
    os = world.oses[owner]
    done = run(os, world, selection.members[owner], selection.strays.get(owner, []), selection.conflicts, now)
    way = Places(done).of(node, instance)
    states = (*_runs(instance, done, now), *_settings(instance, done))
    links = (*_wanted(os, done), *states, *_taints(node), *_gates(done))
    # What the message says already is said once.
    links = tuple(link for link in links if not way.message or way.message not in link)
    chain = (_claim(name, claims, mover), *links)
    return Explanation(
        name,
        owner,
        way.phase,
        way.reason,
        way.message,
        instants.optional(way.since),
        instants.optional(way.deadline),
        chain,
        next_step(way, node, instance, done),
    )


def _unclaimed(node: NodeView, instance: InstanceView | None, mover: str) -> Explanation:
    links = [f"no OS object selects {node.name}"]
    if mover:
        links.append(f"OS {mover}, which is gone, was moving it: it is brought to its end")
    runs = instance.booted_digest if instance else None
    links.append(f"it runs {_short(runs)}" if runs else "nothing is known of what it runs")
    if node.closed:
        links.append(f"it is closed to workloads ({NOT_CURRENT}:{CLOSED}): nothing says what is current")
    what = "label the node, or change a nodeSelector, if it should be moved"
    return Explanation(node.name, "", None, None, "", None, None, tuple(links), what)


def _claim(node: str, claims: list[str], mover: str) -> str:
    if len(claims) > 1:
        return f"OS {' and '.join(claims)} select {node}: none of them moves it"
    if not claims:
        return f"OS {mover} is moving {node}, and does not select it any more"
    return f"OS {claims[0]} selects {node}"


def _wanted(os: OSView, done: Pass) -> list[str]:
    if os.spec is None:
        return [f"its spec can't be followed: {os.problem}"]
    release = os.spec.release.version
    if done.target is None:
        said = os.resolution.message or "its repository was not asked yet"
        return [f"release {release} is wanted, and its digest is not known: {said}"]
    digest, arguments = of_target(done.target)
    extra = " with further kernel arguments" if arguments else ""
    settings = f", settings {_short(os.config.revision)}" if os.config.revision else ""
    return [f"release {release} ({_short(digest)}){extra} is wanted{settings}"]


def _runs(instance: InstanceView | None, done: Pass, now: float) -> list[str]:
    if instance is None:
        return ["it has no OSInstance yet"]
    if instance.phase is None:
        return ["its proxy never spoke"]
    links = []
    if instance.booted_digest is None:
        links.append("it runs a release that nobody here knows")
    elif instance.booted_digest == done.target:
        links.append(f"it runs that, {'confirmed' if instance.confirmed else 'on trial'}")
    else:
        links.append(f"it runs {_short(instance.booted_digest)}{'' if instance.confirmed else ', on trial'}")
    if instance.verified_digest is not None and instance.verified_digest == done.target:
        links.append("its other slot holds what is wanted, verified")
    if instance.barred:
        links.append(f"barred on it: {', '.join(map(_short, instance.barred))}")
    if instance.drifted:
        links.append(f"somebody changed by hand what its settings say: {', '.join(instance.drifted)}")
    if now >= instance.stale_at:
        links.append("its proxy is silent: what is said here of the node is what it last said")
    return links


def _settings(instance: InstanceView | None, done: Pass) -> list[str]:
    """What it has of settings that failed, where some did."""
    if instance is None or done.undone is None:
        return []
    has = instance.in_force == done.undone.revision
    links = [f"{named(instance.in_force)} are in force" if instance.in_force is not None else "they change"]
    if instance.name in done.undone.nodes:
        links.append(f"{named(done.undone.revision)} failed on it")
    if has and instance.former is not None:
        links.append(f"it keeps {named(instance.former)} to return to")
    return links


def _taints(node: NodeView) -> list[str]:
    links = []
    if node.closed:
        links.append(f"it is closed to workloads until it is current ({NOT_CURRENT}:{CLOSED})")
    if node.avoided:
        links.append(f"pods prefer other nodes: it is still to be moved ({NOT_CURRENT}:{AVOIDED})")
    return links


def _gates(done: Pass) -> list[str]:
    """What holds for all nodes of the object alike."""
    links = []
    if done.os.deleting:
        links.append(f"OS {done.os.name} is being deleted: nothing new begins")
    if done.returning:
        links.append(f"the release is taken back (failure.action: Rollback): {done.halted}")
    elif done.takes_back:
        links.append(f"its settings are taken back (failure.action: Rollback): {done.halted}")
    elif done.halted:
        links.append(f"the rollout is halted: {done.halted}")
    if done.rollout.paused:
        links.append("the rollout is paused (rollout.paused)")
    if done.wave is not None and not done.takes_back:
        step = done.wave.step
        links.append(f"wave {step.name}: {step.progress(done.tally.moved)} nodes were moved")
    taken = done.budget.allowed - done.budget.free
    links.append(f"{taken} of {done.budget.allowed} places for nodes that are down are taken")
    if not done.window.open:
        opens = instants.optional(done.window.look_again)
        links.append(f"no window is open{f'; the next one opens at {opens}' if opens else ''}")
    return links


SETTINGS_NEXT: dict[WaitReason, str] = {
    WaitReason.UNHEALTHY: "look at the node; correct spec.config, or forgive it (warmroot.io/clear-failed)",
    WaitReason.NO_WAY_BACK: "nothing by itself: correct spec.config",
    WaitReason.HALTED: f"look at the failed nodes; correct spec.config, or fix them, {_FORGIVE}",
}
"""The same where settings failed that were changed without a release."""


def next_step(way: Way, node: NodeView, instance: InstanceView | None, done: Pass) -> str:
    """What a person can do for a node that is there, or that there is nothing to do."""
    if way.reason is None and instance is not None and instance.drifted:
        return f"kubectl get osinstance {node.name} -o yaml (configDrift); a boot or new settings undo it"
    if way.reason is None:
        there = way.phase is CURRENT.phase
        return "nothing: it is where it should be" if there else "nothing: it goes on by itself"
    if way.check is not None and way.check[1] is not None:
        return CHECK_NEXT[way.check[1]].format(node=node.name)
    if done.undone is not None and way.reason in SETTINGS_NEXT:
        return SETTINGS_NEXT[way.reason]
    wave = done.wave.step.name if done.wave is not None else "WAVE"
    return NEXT[way.reason].format(os=done.os.name, node=node.name, wave=wave)


def _short(digest: str) -> str:
    """A digest cut to what an eye can compare, its kernel arguments kept."""
    name, arguments = of_target(digest)
    return name[:19] + "…" + (f"+{arguments}" if arguments else "")

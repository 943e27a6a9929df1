"""A simulated fleet in virtual time: machines with two slots, a proxy and a kubelet each; pods, a scheduler.

A machine behaves as docs/node-protocol.md says and fails as its fate says. It is an independent reading of
the protocol: it shares no code with the operator.
"""

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from tests.sim.memory_cluster import NODE, OS, OSINSTANCE, PDB, POD, MemoryCluster, Store, merged, stamp
from tests.sim.virtual import Time
from warmroot.errors import ClusterError
from warmroot.kube.cluster import Kind, Object

KUBELET_GRACE = 40.0
BOOT_GUARD = 600.0
OTHER = {"A": "B", "B": "A"}
NOT_CURRENT = "warmroot.io/not-current"


def digest(version: int) -> str:
    return "sha256:" + hashlib.sha256(str(version).encode()).hexdigest()


def taints(node: Object) -> list[Object]:
    return node["spec"].get("taints") or []


class Fate(Enum):
    """How a release does on a machine."""

    HEALTHY = "healthy"
    SLOW = "slow"
    PANICS = "panics"
    NEVER_READY = "never ready"
    NEVER_BACK = "never back"
    BACK_LATE = "back late"


@dataclass
class Machine:
    """One worker."""

    fleet: "Fleet"
    name: str
    uid: str = ""
    slots: dict[str, str] = field(default_factory=dict)
    good: str = "A"
    booted: str = "A"
    boot: int = 1
    booted_at: float = 0.0
    phase: str = "Idle"
    since: float = 0.0
    up: bool = True
    ready: bool = True
    silent: bool = False
    staging: str = ""
    carried: str = ""
    error: Object | None = None
    observed: int = 0
    spec: Object = field(default_factory=dict)
    fate: dict[str, Fate] = field(default_factory=dict)
    stage_failures: dict[str, int] = field(default_factory=dict)
    fell_back: dict[str, float] = field(default_factory=dict)
    forever: bool = False

    @property
    def boot_id(self) -> str:
        return f"{self.name}-{self.uid}-boot-{self.boot}"

    @property
    def running(self) -> str:
        return self.slots[self.booted]

    @property
    def on_trial(self) -> bool:
        return self.booted != self.good

    # -- the proxy -----------------------------------------------------------------------------------------

    def report(self) -> None:
        """The proxy writes its status."""
        if not self.up or self.silent:
            return
        now = self.fleet.time.now
        other = OTHER[self.booted]
        held = self.slots.get(other)
        slots = {
            self.booted: {"state": "Booted" if self.on_trial else "Good", "digest": self.running},
            other: {"state": "Verified" if held else "Empty"} | ({"digest": held} if held else {}),
        }
        status: Object = {
            "observedGeneration": self.observed,
            "phase": self.phase,
            "since": stamp(self.since),
            "heartbeat": stamp(now),
            "slots": slots,
            "booted": {
                "slot": self.booted,
                "bootID": self.boot_id,
                "digest": self.running,
                "at": stamp(self.booted_at),
            },
            "good": self.good,
            "rebootID": self.carried or None,
            "lastError": self.error,
        }
        try:
            instance = self.fleet.store.find(OSINSTANCE, self.name)
        except ClusterError:
            return
        if instance["metadata"]["ownerReferences"][0]["uid"] == self.uid:
            status = {key: value for key, value in status.items() if value is not None}
            self.fleet.store.commit(OSINSTANCE, instance | {"status": status})

    def enter(self, phase: str, error: Object | None = None) -> None:
        self.phase, self.since, self.error = phase, self.fleet.time.now, error
        self.report()

    def obey(self) -> None:
        """The proxy looks at its orders; what is done already is not done again."""
        if not self.up or self.silent:
            return
        try:
            instance = self.fleet.store.find(OSINSTANCE, self.name)
        except ClusterError:
            return
        if instance["metadata"]["ownerReferences"][0]["uid"] != self.uid:
            return
        spec = instance["spec"]
        news = instance["metadata"]["generation"] != self.observed
        self.observed = instance["metadata"]["generation"]
        wanted = spec.get("release", {}).get("digest", "")
        goal = spec["goal"]
        if goal == "Stage" and not self.on_trial:
            self._stage(wanted, spec.get("barred", ()), news)
        elif goal in ("Activate", "Rollback"):
            self._reboot_order(goal, wanted, spec["reboot"], news)
        elif goal == "Confirm" and self.on_trial and self.running == wanted:
            self.good = self.booted
            self.enter("Confirmed")
        elif news:
            self.report()

    def _stage(self, wanted: str, barred: object, news: bool) -> None:
        if wanted in barred:  # type: ignore[operator]
            self.enter("Failed", {"reason": "Barred", "message": "barred", "at": stamp(self.since)})
        elif self.running == wanted:
            self.enter("Confirmed")
        elif self.staging == wanted:
            if news:
                self.report()
        elif self.slots.get(OTHER[self.booted]) == wanted:
            if news or self.phase != "Staged":
                self.enter("Staged")
        else:
            self.fleet.wrote(self, wanted)
            self.staging = wanted
            self.slots.pop(OTHER[self.booted], None)
            self.enter("Staging")
            boot = self.boot
            self.fleet.time.after(self.fleet.random.uniform(2, 20), lambda: self._staged(wanted, boot))

    def _staged(self, wanted: str, boot: int) -> None:
        if self.staging != wanted or boot != self.boot or not self.up:
            return
        self.staging = ""
        if self.stage_failures.get(wanted, 0) > 0:
            self.stage_failures[wanted] -= 1
            retry = self.fleet.time.now + 30
            at = stamp(self.fleet.time.now)
            self.enter(
                "Failed",
                {"reason": "NetworkError", "message": "no answer", "at": at, "retryAt": stamp(retry)},
            )
            self.fleet.time.after(30, self.obey)
            return
        self.slots[OTHER[self.booted]] = wanted
        self.enter("Staged")

    def _reboot_order(self, goal: str, wanted: str, order: Object, news: bool) -> None:
        done = order["id"] == self.carried
        if goal == "Rollback" and not self.on_trial:
            if news:
                self.report()
            return
        if done or (goal == "Activate" and self.on_trial):
            if news:
                self.report()
            return
        now = self.fleet.time.now
        if stamp(now) > order["deadline"]:
            self.enter("Failed", {"reason": "OrderExpired", "message": "too late", "at": stamp(now)})
            return
        if goal == "Activate" and self.slots.get(OTHER[self.booted]) != wanted:
            self.enter("Failed", {"reason": "NotStaged", "message": "not staged", "at": stamp(now)})
            return
        self.carried = order["id"]
        if goal == "Activate":
            self.fleet.activated(self, wanted)
            self.enter("Activating")
            self._power_off()
            self._try(wanted)
        else:
            self._power_off()
            self._return_to_good(self.fleet.random.uniform(5, 30))

    # -- power ---------------------------------------------------------------------------------------------

    def _power_off(self) -> None:
        self.up, self.staging = False, ""
        boot = self.boot
        self.fleet.time.after(KUBELET_GRACE, lambda: self._missed(boot))

    def _missed(self, boot: int) -> None:
        if not self.up and self.boot == boot:
            self.set_ready(False)

    def _try(self, wanted: str) -> None:
        fate = self.fate.get(wanted, Fate.HEALTHY)
        time, random = self.fleet.time, self.fleet.random
        if fate is Fate.NEVER_BACK:
            self.forever = True
        elif fate is Fate.BACK_LATE:
            self._return_to_good(random.uniform(1200, 4000))
        elif fate is Fate.PANICS:
            self._return_to_good(random.uniform(30, 120))
        else:
            delay = random.uniform(200, 400) if fate is Fate.SLOW else random.uniform(5, 30)
            time.after(delay, lambda: self._up(OTHER[self.good], fate is not Fate.NEVER_READY))

    def _return_to_good(self, delay: float) -> None:
        failed = self.slots.get(OTHER[self.good])

        def back() -> None:
            if failed is not None:
                self.fell_back[failed] = self.fleet.time.now
            self._up(self.good, ready=True, fell=True)

        self.fleet.time.after(delay, back)

    def _up(self, slot: str, ready: bool, fell: bool = False) -> None:
        if self.name not in self.fleet.machines or self.fleet.machines[self.name] is not self:
            return
        self.booted, self.up, self.silent = slot, True, False
        self.boot += 1
        self.booted_at = self.fleet.time.now
        self.phase = "FellBack" if fell else "Trial" if self.on_trial else "Idle"
        self.since = self.fleet.time.now
        if self.on_trial:
            boot = self.boot
            self.fleet.time.after(BOOT_GUARD, lambda: self._guard(boot))
        self.set_ready(False)
        if ready:
            self.fleet.time.after(3, lambda: self.set_ready(True))
        self.obey()
        self.report()

    def _guard(self, boot: int) -> None:
        if self.up and self.boot == boot and self.on_trial:
            self._power_off()
            self._return_to_good(20)

    def crash(self) -> None:
        """A spontaneous restart on the slot that is booted; a trial that is not confirmed falls back."""
        if not self.up:
            return
        trial = self.on_trial
        self._power_off()
        if trial:
            self._return_to_good(25)
        else:
            self.fleet.time.after(25, lambda: self._up(self.booted, ready=True))

    def set_ready(self, ready: bool) -> None:
        node = self.fleet.store.of(NODE).get(("", self.name))
        if node is None or node["metadata"]["uid"] != self.uid or (ready and not self.up):
            return
        self.ready = ready
        now = stamp(self.fleet.time.now)
        old = node["status"]["conditions"][0]
        status = "True" if ready else "False"
        since = old["lastTransitionTime"] if old["status"] == status else now
        conditions = [{"type": "Ready", "status": status, "lastTransitionTime": since}]
        boot = self.boot_id if self.up else node["status"]["nodeInfo"]["bootID"]
        new = merged(node, {"status": {"conditions": conditions, "nodeInfo": {"bootID": boot}}})
        if new != node:
            self.fleet.store.commit(NODE, new)


class Fleet:
    """All machines, their pods, and what was seen of them."""

    def __init__(self, time: Time, random: Random, size: int, release: int) -> None:
        self.time, self.random = time, random
        self.store = Store(time.clock)
        self.api = MemoryCluster(self.store)
        self.machines: dict[str, Machine] = {}
        self.written: list[tuple[str, str]] = []
        self.breaches: list[str] = []
        self.blocked_until = 0.0
        self.store.terminate = self._terminate
        self.store.disruptions = self._may_disrupt
        self.store.listeners.append(self._heard)
        self.forgiven_at = 0.0
        self.beats = 0
        for number in range(size):
            self.join(f"node-{number:02}", release)
        self.api.create(
            PDB,
            {
                "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"selector": {"matchLabels": {"app": "web"}}},
            },
        )
        time.after(60, self._beat)

    def join(self, name: str, release: int, closed: bool = False) -> Machine:
        """A machine that runs `release` comes into the cluster; `closed`: its kubelet registers a taint."""
        theirs = {"key": "dedicated", "effect": "NoSchedule", "value": name}
        ours = {"key": NOT_CURRENT, "effect": "NoSchedule"}
        standing = [theirs] * (name[-1] in "13579") + [ours] * closed
        node = self.api.create(
            NODE,
            {
                "metadata": {"name": name, "labels": {"pool": "workers"}},
                "spec": {"taints": standing} if standing else {},
                "status": {
                    "conditions": [
                        {"type": "Ready", "status": "True", "lastTransitionTime": stamp(self.time.now)}
                    ],
                    "nodeInfo": {"bootID": ""},
                },
            },
        )
        machine = Machine(self, name, node["metadata"]["uid"], {"A": digest(release)})
        machine.booted_at = machine.since = self.time.now
        self.machines[name] = machine
        machine.set_ready(True)
        self._pod(name, "logs", "DaemonSet", {})
        if not closed:
            self._pod(name, "web", "ReplicaSet", {"app": "web"})
        return machine

    def _pod(self, node: str, app: str, owner: str, labels: dict[str, str]) -> None:
        self.store.uids += 1
        meta = {
            "name": f"{app}-{self.store.uids}",
            "namespace": "shop",
            "labels": labels,
            "ownerReferences": [{"kind": owner, "controller": True, "name": app, "uid": app}],
        }
        spec = {"nodeName": node, "terminationGracePeriodSeconds": 5}
        self.api.create(POD, {"metadata": meta, "spec": spec, "status": {"phase": "Running"}})

    def _may_disrupt(self, pod: Object) -> bool:
        if pod["metadata"]["labels"].get("app") != "web":
            return True
        return self.time.now >= self.blocked_until

    def _terminate(self, pod: Object) -> None:
        meta = pod["metadata"]

        def gone() -> None:
            standing = self.store.of(POD).get((meta["namespace"], meta["name"]))
            if standing is not None:
                self.store.commit(POD, standing, "DELETED")
                self._schedule()

        self.time.after(5, gone)

    def _schedule(self) -> None:
        fit = [
            node["metadata"]["name"]
            for node in self.store.of(NODE).values()
            if not node["spec"].get("unschedulable")
            and not any(
                taint["key"] == NOT_CURRENT and taint["effect"] == "NoSchedule" for taint in taints(node)
            )
        ]
        if fit:
            self._pod(self.random.choice(fit), "web", "ReplicaSet", {"app": "web"})

    def _heard(self, event: str, kind: Kind, item: Object) -> None:
        if kind == OSINSTANCE and event != "DELETED":
            machine = self.machines.get(item["metadata"]["name"])
            if machine is not None and item["metadata"]["generation"] != machine.observed:
                self.time.after(self.random.uniform(0.05, 1), machine.obey)

    def _beat(self) -> None:
        self.beats += 1
        for machine in self.machines.values():
            if self.beats % 4 == 0 or machine.phase in ("Staging", "Activating", "Trial"):
                machine.report()
        self.time.after(60, self._beat)

    def works(self, node: str) -> bool:
        """Whether a workload runs there."""
        pods = (pod for pod in self.store.of(POD).values() if pod["spec"]["nodeName"] == node)
        return any(pod["metadata"]["labels"].get("app") == "web" for pod in pods)

    def wrote(self, machine: Machine, wanted: str) -> None:
        """A proxy begins to write a release: never one that fell back there (R3)."""
        self.written.append((machine.name, wanted))
        fell = machine.fell_back.get(wanted)
        if fell is not None and fell > self.forgiven_at:
            self.breaches.append(f"R3: {machine.name} writes {wanted[:15]} again")

    def activated(self, machine: Machine, wanted: str) -> None:
        fell = machine.fell_back.get(wanted)
        if fell is not None and fell > self.forgiven_at:
            self.breaches.append(f"R3: {machine.name} activates {wanted[:15]} again")


__all__ = ["NOT_CURRENT", "OS", "Fate", "Fleet", "Machine", "digest", "taints"]

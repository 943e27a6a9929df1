"""The real operator (core and shell) on the simulated fleet, watched by a judge who shares no code with it.

Watches lag, answers get lost, the process is killed before or after any write. A new process lists afresh.
"""

import json
import math
from random import Random
from typing import Any

from os_operator.core.instants import parse
from os_operator.core.world import CORDON_ANNOTATION, Resolution
from os_operator.shell.act import Actor, Outcome
from os_operator.shell.cache import Cache
from os_operator.shell.gather import Gather
from os_operator.shell.loop import ASIDE, Engine
from tests.sim.fleet import NOT_CURRENT, Fleet, digest, taints
from tests.sim.memory_cluster import NODE, OS, OSINSTANCE, MemoryCluster, stamp
from warmroot.errors import ClusterError, NetworkError
from warmroot.kube.cluster import Kind, Object

KINDS = (OS, OSINSTANCE, NODE)
LONGEST = 600.0
"""Longer than the loop's own, to save passes in which nothing is found."""
WRITES = ("create", "replace", "patch", "delete")


class Killed(BaseException):
    """kill -9."""


class Wire:
    """The operator's connection: counts its writes, loses answers, and is where the process dies."""

    def __init__(self, inner: MemoryCluster, random: Random, judge: "Judge") -> None:
        self._inner, self._random, self._judge = inner, random, judge
        self.writes = 0
        self.loss = 0.0
        self.death = 0.0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name == "get":
            return self._get
        if name not in WRITES:
            return method

        def write(kind: Kind, *args: Any, **options: Any) -> Any:
            self._fail()
            before = dict(self._inner.store.of(NODE)) if kind == NODE else {}
            result = method(kind, *args, **options)
            self.writes += 1
            self._judge.written(name, kind, args, result, before)
            self._fail()
            return result

        return write

    def _get(self, kind: Kind, name: str) -> Any:
        """What the operator reads again after a lost answer it knows before its watch brings it."""
        item = self._inner.get(kind, name)
        self._judge.deliver(kind, "MODIFIED", item)
        return item

    def _fail(self) -> None:
        if self._random.random() < self.death:
            raise Killed
        if self._random.random() < self.loss:
            raise NetworkError("the answer is lost")


class Judge:
    """Checks R1, R2, R4 at the very write that could break them, and R5 at each status."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.breaches: list[str] = fleet.breaches
        self.seen: dict[str, Object] = {}
        self.told: dict[str, Object] = {}
        self.admin_cordoned: set[str] = set()
        self.since: dict[tuple[str, str, str], str] = {}
        self.reached: dict[tuple[str, int], float] = {}
        self.static_size = True
        self.cordons = 0
        self.missed_by_nobody: set[str] = set()

    def deliver(self, kind: Kind, event: str, item: Object) -> None:
        """The operator has been told of this."""
        if kind == OS:
            self.told[item["metadata"]["name"]] = item
        if kind == NODE:
            name = item["metadata"]["name"]
            known = self.seen.get(name)
            version = int(item["metadata"]["resourceVersion"])
            if event == "DELETED":
                self.seen.pop(name, None)
            elif known is None or int(known["metadata"]["resourceVersion"]) < version:
                self.seen[name] = item

    def written(self, verb: str, kind: Kind, args: Any, result: Any, before: dict[Any, Object]) -> None:
        if kind == NODE and verb == "patch":
            old, new = before["", args[0]], result
            was, is_now = bool(old["spec"].get("unschedulable")), bool(new["spec"].get("unschedulable"))
            if is_now and not was and CORDON_ANNOTATION not in (old["metadata"].get("annotations") or {}):
                self._cordoned(new)
            if was and not is_now and args[0] in self.admin_cordoned:
                self.breaches.append(f"R2: {args[0]} was cordoned by a person and is uncordoned by us")
            if not is_now:
                self.missed_by_nobody.discard(args[0])
            self._taints(old, new)
            self.seen[args[0]] = new
        if kind == OS and verb == "replace":
            self.tick()
            self._status(result)

    def _taints(self, old: Object, new: Object) -> None:
        name = old["metadata"]["name"]
        if [one for one in taints(old) if one["key"] != NOT_CURRENT] != [
            one for one in taints(new) if one["key"] != NOT_CURRENT
        ]:
            self.breaches.append(f"taints: {name} lost or got one that is not ours")
        opened = [one for one in taints(old) if one["effect"] == "NoSchedule" and one not in taints(new)]
        machine = self.fleet.machines.get(name)
        if opened and (machine is None or machine.on_trial or machine.running == digest(1)):
            self.breaches.append(f"taints: {name} is opened before it is current")

    def _cordoned(self, node: Object) -> None:
        self.cordons += 1
        name = node["metadata"]["name"]
        closed = any(one["key"] == NOT_CURRENT and one["effect"] == "NoSchedule" for one in taints(node))
        if closed and not self.fleet.works(name):
            self.missed_by_nobody.add(name)
        os = self._owner(node)
        if os is None:
            return
        rollout = os["spec"].get("rollout", {})
        members = {key: one for key, one in self.seen.items() if _selected(os, one)}
        free = self.missed_by_nobody
        down = sum(1 for key, one in members.items() if key != name and _down(one) and key not in free)
        value = rollout.get("maxUnavailable", 1)
        allowed = value if isinstance(value, int) else max(1, len(members) * int(value[:-1]) // 100)
        if down + 1 > allowed and name not in free:
            self.breaches.append(f"R1: {name} is the node {down + 1} that is down, {allowed} may")
        if rollout.get("paused"):
            self.breaches.append(f"R4: {name} is begun while paused")
        for window in rollout.get("windows", ()):
            if not _open(window, self.fleet.time.now):
                self.breaches.append(f"R4: {name} is begun outside its window")
        self._wave(os, rollout, node)

    def _owner(self, node: Object) -> Object | None:
        note = json.loads(node["metadata"]["annotations"][CORDON_ANNOTATION])
        return self.told.get(note["os"])

    def _wave(self, os: Object, rollout: Object, node: Object) -> None:
        waves = rollout.get("waves", [])
        target = os["spec"]["release"]["digest"]
        if json.loads(node["metadata"]["annotations"][CORDON_ANNOTATION])["digest"] != target:
            return  # it returns to what it came from, in no wave
        members = [one["metadata"]["name"] for one in self.seen.values() if _selected(os, one)]
        begun = sum(1 for name in members if self._begun(name, target))
        limits = [_target(wave, len(members)) for wave in waves]
        index = next((i for i, limit in enumerate(limits) if begun <= limit), len(waves))
        notes = os["metadata"].get("annotations") or {}
        for number, wave in enumerate(waves[: index + 1]):
            approved = f"{wave['name']}@{target}" in notes.get("warmroot.io/approve", "")
            if wave.get("approval") == "Required" and not approved:
                self.breaches.append(f"R4: {node['metadata']['name']} goes in wave {wave['name']} unapproved")
            if number < index and self.static_size:
                self._soaked(target, number, wave, limits[number], node["metadata"]["name"])

    def _begun(self, name: str, target: str) -> bool:
        machine = self.fleet.machines.get(name)
        node = self.seen.get(name)
        if machine is None or node is None:
            return False
        noted = target in (node["metadata"].get("annotations") or {}).get(CORDON_ANNOTATION, "")
        return noted or machine.running == target

    def _soaked(self, target: str, number: int, wave: Object, limit: int, name: str) -> None:
        reached = self.reached.get((target, limit))
        soak = parse_minutes(wave.get("soak", "0s"))
        if soak and reached is not None and self.fleet.time.now < reached + soak - 1:
            self.breaches.append(f"R4: {name} is begun while wave {number} soaks")

    def tick(self) -> None:
        """Notes when a release reached how many machines."""
        per = self._failed()
        for machine in self.fleet.machines.values():
            if not machine.on_trial:
                per[machine.running] = per.get(machine.running, 0) + 1
        for target, count in per.items():
            for limit in range(1, count + 1):
                self.reached.setdefault((target, limit), self.fleet.time.now)

    def _failed(self) -> dict[str, int]:
        """Machines that failed count as moved; those whose drain was given up do not."""
        per: dict[str, int] = {}
        for os in self.fleet.store.of(OS).values():
            for entry in os.get("status", {}).get("failed", ()):
                machine = self.fleet.machines.get(entry["node"])
                runs = machine is not None and not machine.on_trial and machine.running == entry["digest"]
                if entry["reason"] != "DrainFailed" and not runs:
                    per[entry["digest"]] = per.get(entry["digest"], 0) + 1
        return per

    def _status(self, os: Object) -> None:
        status, now = os["status"], self.fleet.time.now
        name = os["metadata"]["name"]
        rows = {(name, row["node"], row["reason"]): row for row in status.get("waiting", ())}
        for key, row in rows.items():
            begun = parse(row["since"])
            if begun is None or begun > now + 1:
                self.breaches.append(f"R5: {key} waits since {row['since']}, it is {stamp(now)}")
            kept = self.since.get(key)
            if kept is not None and row["since"] > kept and row["reason"] in LASTING:
                self.breaches.append(f"R5: {key} forgot since when: {kept} became {row['since']}")
        self.since = {key: value for key, value in self.since.items() if key[0] != name}
        self.since |= {key: row["since"] for key, row in rows.items()}


LASTING = (
    "Budget", "Wave", "Paused", "Halted", "Approval", "Window", "DrainBlocked", "Draining", "PodsRunning",
    "VolumesAttached",
)  # fmt: skip
"""Reasons that hold without a break between two statuses that both name them."""


def parse_minutes(text: str) -> float:
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


def _target(wave: Object, total: int) -> int:
    value = wave.get("nodes", "100%")
    exact = value if isinstance(value, int) else max(1, math.ceil(total * int(value[:-1]) / 100))
    return min(total, exact)


def _selected(os: Object, node: Object) -> bool:
    wanted = os["spec"].get("nodeSelector", {}).get("matchLabels", {})
    labels = node["metadata"].get("labels", {})
    return all(labels.get(key) == value for key, value in wanted.items())


def _down(node: Object) -> bool:
    return bool(node["spec"].get("unschedulable")) or node["status"]["conditions"][0]["status"] != "True"


def _open(window: Object, now: float) -> bool:
    """Windows of the simulation open at a full hour UTC, every day."""
    hour = int(window["cron"].split()[1])
    length = parse_minutes(window["duration"])
    return any(
        0 <= now - day - hour * 3600 < length for day in (now // 86400 * 86400, now // 86400 * 86400 - 86400)
    )


class Operator:
    """One operator process after another."""

    def __init__(self, fleet: Fleet, random: Random, judge: Judge, doctor: Any = None) -> None:
        self.fleet, self.random, self.judge, self.doctor = fleet, random, judge, doctor
        self.hand = MemoryCluster(fleet.store, "warmroot")
        self.wire = Wire(self.hand, random, judge)
        self.lag = 0.3
        self.restarts = 0
        self.life = 0
        self.alive = False
        self.passes = 0
        fleet.store.listeners.append(self._heard)
        self.start()

    def start(self) -> None:
        """A new process: nothing in memory, everything listed."""
        self.life += 1
        self.alive = True
        self.cache = Cache(lambda: self.fleet.time.now)
        cluster: Any = self.wire
        for kind in KINDS:
            listing = self.wire.list(kind)
            for item in listing.items:
                self.judge.deliver(kind, "ADDED", item)
            self.cache.relist(kind, [listing])
        self.gather = Gather(cluster, self.cache, lambda os: Resolution())
        prober = self.doctor.prober(self) if self.doctor is not None else None
        self.engine = Engine(self.gather, Actor(cluster, self.cache, lambda: True), prober=prober)
        self.due = False
        self.wake(0.2)

    def kill(self, down: float) -> None:
        """kill -9; a new process comes after `down` seconds."""
        if not self.alive:
            return
        self.alive = False
        self.life += 1
        self.restarts += 1
        self.fleet.time.after(down, self.start)

    def _heard(self, event: str, kind: Kind, item: Object) -> None:
        if kind not in KINDS or not self.alive:
            return
        life = self.life
        # one watch a kind keeps its order: the lag of a burst is one lag
        self.fleet.time.after(self.lag, lambda: self._deliver(life, event, kind, item))

    def _deliver(self, life: int, event: str, kind: Kind, item: Object) -> None:
        if life != self.life:
            return
        self.judge.deliver(kind, event, item)
        meta = item["metadata"]
        if event == "DELETED":
            self.cache.remove(kind, meta["name"], int(meta["resourceVersion"]))
            self.wake(0.2)
        elif self.cache.put(kind, item):
            self.wake(0.2)

    def wake(self, delay: float) -> None:
        if not self.due:
            self.due = True
            life = self.life
            self.fleet.time.after(delay, lambda: self._pass(life))

    def _pass(self, life: int) -> None:
        if life != self.life:
            return
        self.due = False
        self.passes += 1
        now = self.fleet.time.now
        self.judge.tick()
        try:
            decision, outcomes = self.engine.one_pass(now)
        except Killed:
            self.kill(self.random.uniform(0.1, 60))
            return
        except (NetworkError, ClusterError):
            self.wake(1.0)
            return
        self._check(outcomes)
        again = LONGEST if decision.next_deadline is None else min(LONGEST, decision.next_deadline - now)
        self.fleet.time.after(max(0.05, again), lambda: self._timer(life))

    def _timer(self, life: int) -> None:
        if life == self.life:
            self.wake(0.0)

    def _check(self, outcomes: list[Outcome]) -> None:
        if any(outcome.error is not None for outcome in outcomes):
            self.wake(1.0)
        elif any(not isinstance(outcome.action, ASIDE) for outcome in outcomes):
            self.wake(0.2)

    def quiet_writes(self) -> int:
        """Writes of one more pass of this process, and of a pass of a process that starts anew (R6)."""
        self.wire.loss = self.wire.death = 0.0
        before = self.wire.writes
        self.engine.one_pass(self.fleet.time.now)
        self.start()
        self.engine.one_pass(self.fleet.time.now + 0.5)
        return self.wire.writes - before

"""Whether an operator kept its promises, by what the API server wrote down. Pure: changes in, breaches out.

It knows no planner and no machine: only Nodes, OSInstances and OS objects as each write left them, and who
wrote. The operator decides from what its watches have shown it. So what somebody else did counts against it
only `grace` seconds later; what it did itself counts at once.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from testbed.controlplane.audit import Change
from warmroot.kube.cluster import Object

GRACE = 2.0
CORDON = "warmroot.io/cordon"
APPROVE = "warmroot.io/approve"
CLEAR = "warmroot.io/clear-failed"
NOT_CURRENT = "warmroot.io/not-current"
REBOOTS = ("Activate", "Rollback")
ORDERS = ("Stage", "Activate", "Configure")
"""Goals by which a release is asked of a node."""


@dataclass
class _Node:
    """A Node as it is. `ours`: the operator took it down itself; `theirs`: somebody else's cordon stands;
    `free`: no workload was ever let onto it, so that it is missed by nobody.
    """

    labels: Mapping[str, str]
    cordoned: bool = False
    ready: bool = True
    note: str = ""
    theirs: bool = False
    ours: bool = False
    free: bool = False
    down_since: float = 0.0

    @property
    def down(self) -> bool:
        return self.cordoned or not self.ready


@dataclass
class _Instance:
    """What was ordered of a node, and what its proxy said.

    `fell`: releases that fell back there, by when; `carried`: ids of orders that were carried out.
    """

    spec: Object = field(default_factory=dict)
    status: Object = field(default_factory=dict)
    runs_since: float = 0.0
    fell: dict[str, float] = field(default_factory=dict)
    carried: set[str] = field(default_factory=set)

    @property
    def confirmed(self) -> str:
        booted = self.status.get("booted") or {}
        return str(booted.get("digest", "")) if booted.get("slot") == self.status.get("good") else ""


@dataclass
class Judge:
    """Reads changes in order. `operator` is the user that is judged."""

    operator: str
    grace: float = GRACE
    breaches: list[str] = field(default_factory=list)
    cordons: int = 0
    orders: int = 0
    writes: int = 0
    _nodes: dict[str, _Node] = field(default_factory=dict)
    _instances: defaultdict[str, _Instance] = field(default_factory=lambda: defaultdict(_Instance))
    _left: list[tuple[float, Mapping[str, str]]] = field(default_factory=list)
    """Labels that a node had, until when."""
    _specs: defaultdict[str, list[tuple[float, Object | None]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def read(self, changes: Iterable[Change]) -> None:
        """Judges each of them."""
        for change in changes:
            self.writes += change.user == self.operator
            match change.resource:
                case "nodes":
                    self._node(change)
                case "osinstances":
                    self._instance(change)
                case "oses":
                    self._os(change)

    def noted(self) -> list[str]:
        """Nodes that bear the operator's note in the end."""
        return sorted(name for name, node in self._nodes.items() if node.note)

    def cordoned_by_others(self) -> set[str]:
        """Nodes that somebody else cordoned and nobody has uncordoned."""
        return {name for name, node in self._nodes.items() if node.theirs and node.cordoned}

    def _breach(self, change: Change, text: str) -> None:
        when = datetime.fromtimestamp(change.asked, UTC).strftime("%H:%M:%S.%f")[:-3]
        self.breaches.append(f"{when} {change.name}: {text}")

    # -- nodes ---------------------------------------------------------------------------------------------

    def _node(self, change: Change) -> None:
        old = self._nodes.get(change.name)
        labels = {} if change.object is None else change.object["metadata"].get("labels") or {}
        if old is not None and old.labels != labels:
            self._left.append((change.done, old.labels))
        if change.object is None:
            self._nodes.pop(change.name, None)
            return
        meta, item = change.object["metadata"], change.object
        node = self._nodes.setdefault(change.name, _Node(labels))
        was_down, was_cordoned = node.down, node.cordoned
        cordoned = bool(item["spec"].get("unschedulable"))
        note = (meta.get("annotations") or {}).get(CORDON, "")
        ours = change.user == self.operator
        if note and not node.note:
            self._begun(change, json.loads(note))
        if ours and cordoned and not was_down:
            self._taken(change, node, json.loads(note or "{}"))
        if was_cordoned and not cordoned:
            if ours and node.theirs:
                self._breach(change, "an administrator cordoned it, and the operator uncordoned it")
            node.theirs = False
        if cordoned and not was_cordoned and not ours:
            node.theirs = True
        node.labels = labels
        node.cordoned, node.note, node.free = cordoned, note, node.free and bool(note)
        node.ready = any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in item.get("status", {}).get("conditions") or ()
        )
        if node.down and not was_down:
            node.down_since, node.ours = change.done, ours

    def _taken(self, change: Change, node: _Node, note: Mapping[str, Any]) -> None:
        """The operator takes a node out of service that served: as far as the budget says."""
        self.cordons += 1
        if note.get("empty") and change.object is not None and _closed(change.object):
            node.free = True
            return
        specs = self._in_force(note.get("os", ""), change.asked)
        allowed = down = 0
        for spec in specs:
            members = self._members(spec)
            down = sum(name != change.name and self._known_down(name, change.asked) for name in members)
            total = len(members) + self._lately(spec, change.asked)
            allowed = max(allowed, _share(spec.get("rollout", {}).get("maxUnavailable", 1), total))
        if specs and down + 1 > allowed:
            self._breach(
                change, f"is taken as the node {down + 1} that is down, {allowed} may be (maxUnavailable)"
            )

    def _members(self, spec: Object) -> list[str]:
        return [name for name, node in self._nodes.items() if _selects(spec, node.labels)]

    def _lately(self, spec: Object, now: float) -> int:
        """How many nodes more there are for an operator that has not heard yet who left."""
        return sum(at > now - self.grace and _selects(spec, labels) for at, labels in self._left)

    def _known_down(self, name: str, now: float) -> bool:
        node = self._nodes[name]
        return node.down and not node.free and (node.ours or node.down_since <= now - self.grace)

    def _begun(self, change: Change, note: Mapping[str, str]) -> None:
        """The operator's note appears on a node: here it begins to move."""
        specs = self._in_force(note["os"], change.asked)
        rollouts = [spec.get("rollout", {}) for spec in specs]
        if not specs:
            self._breach(change, f"is begun for OS {note['os']}, which is not there")
            return
        if all(rollout.get("paused") for rollout in rollouts):
            self._breach(change, "is begun while the rollout is paused")
        moments = [change.asked - self.grace * part / 4 for part in range(5)]
        if not any(_open(rollout.get("windows") or (), at) for rollout in rollouts for at in moments):
            self._breach(change, "is begun outside its windows")
        if not any(self._approved(change, spec, note["digest"]) for spec in specs):
            self._breach(change, "is begun in a wave that nobody approved")

    def _approved(self, change: Change, spec: Object, target: str) -> bool:
        """Whether each wave that has to be there for one more node needs no approval, or has it."""
        if target != spec["release"].get("digest"):
            return True  # it returns to what it came from, in no wave
        members = self._members(spec)
        others = (name for name in members if name != change.name)
        begun = 1 + sum(self._moved(name, target, change.asked) for name in others)
        total = len(members) + self._lately(spec, change.asked)
        end = 0
        for wave in (spec.get("rollout") or {}).get("waves") or ():
            given = f"{wave['name']}@{target}" in spec.get("approvals", "")
            if wave.get("approval") == "Required" and not given:
                return False
            end = max(end, _share(wave.get("nodes", "100%"), total, up=True))
            if begun <= end:
                return True
        return True

    def _moved(self, name: str, target: str, now: float) -> bool:
        node, instance = self._nodes[name], self._instances[name]
        known = instance.confirmed == target and instance.runs_since <= now - self.grace
        fell = target in (instance.spec.get("barred") or ())
        return target in node.note or known or fell

    # -- OS objects ----------------------------------------------------------------------------------------

    def _os(self, change: Change) -> None:
        """Keeps what a spec was, from when on; with it the approvals."""
        item = change.object
        if item is None:
            self._specs[change.name].append((change.done, None))
            return
        notes = item["metadata"].get("annotations") or {}
        gone = "deletionTimestamp" in item["metadata"]
        spec = {**item["spec"], "approvals": notes.get(APPROVE, ""), "clear": notes.get(CLEAR, "")}
        before = self._specs[change.name][-1][1] if self._specs[change.name] else None
        if not gone and before is not None and before["clear"] != spec["clear"]:
            for instance in self._instances.values():
                instance.fell.clear()
        if before != spec or gone:
            self._specs[change.name].append((change.done, None if gone else spec))

    def _in_force(self, os: str, now: float) -> list[Object]:
        """Every spec that the operator may have gone by at `now`; none if the object is gone."""
        history = self._specs[os]
        ends = [*(at for at, _ in history[1:]), float("inf")][: len(history)]
        known = zip(history, ends, strict=True)
        return [spec for (_, spec), end in known if spec is not None and end > now - self.grace]

    # -- OSInstances ---------------------------------------------------------------------------------------

    def _instance(self, change: Change) -> None:
        if change.object is None:
            self._instances.pop(change.name, None)
            return
        known, spec, status = (
            self._instances[change.name],
            change.object.get("spec") or {},
            change.object.get("status") or {},
        )
        if change.user == self.operator:
            self._ordered(change, known, spec)
        # What a person forgave stands there until the operator has heard of it: that is no news.
        fell_before = _fell_back(known.spec, known.status)
        for one in set(spec.get("barred") or ()) - set(known.spec.get("barred") or ()):
            known.fell.setdefault(one, 0.0)
        if status.get("rebootID"):
            known.carried.add(status["rebootID"])
        before = known.confirmed
        known.spec, known.status = spec, status
        if known.confirmed != before:
            known.runs_since = change.done
        if _fell_back(spec, status) and not fell_before:
            known.fell.setdefault(spec["release"]["digest"], change.done)

    def _ordered(self, change: Change, known: _Instance, spec: Object) -> None:
        wanted, goal = (spec.get("release") or {}).get("digest", ""), spec.get("goal", "")
        stood = (known.spec.get("release") or {}).get("digest", ""), known.spec.get("goal", "")
        if goal in ORDERS and (wanted, goal) != stood:
            since = known.fell.get(wanted)
            if since is not None and since <= change.asked - self.grace:
                self._breach(change, f"{wanted[:15]} fell back there, and {goal} asks for it again")
        order, last = spec.get("reboot") or {}, known.spec.get("reboot") or {}
        if goal not in REBOOTS or not order or order["id"] == last.get("id"):
            return
        self.orders += 1
        if order["id"] in known.carried:
            self._breach(change, f"order {order['id']} was carried out, and is given again")
        open_yet = stood[1] in REBOOTS and last and last["id"] not in known.carried
        if open_yet and _moment(last["deadline"]) > change.asked:
            self._breach(change, f"order {order['id']} is given while {last['id']} stands")


def _fell_back(spec: Object, status: Object) -> bool:
    order = (spec.get("reboot") or {}).get("id")
    return bool(
        status.get("phase") == "FellBack"
        and order is not None
        and order == status.get("rebootID")
        and (status.get("booted") or {}).get("digest") != spec["release"]["digest"]
    )


def _closed(node: Object) -> bool:
    """Whether workloads are kept off it until it is current."""
    taints = node["spec"].get("taints") or ()
    return any((one["key"], one["effect"]) == (NOT_CURRENT, "NoSchedule") for one in taints)


def _selects(spec: Object, labels: Mapping[str, str]) -> bool:
    wanted = (spec.get("nodeSelector") or {}).get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items())


def _share(value: int | str, total: int, *, up: bool = False) -> int:
    """A number of nodes; percentages of budgets round down, of waves up, and are one at the least."""
    if isinstance(value, int):
        return value
    exact = total * int(value.rstrip("%"))
    return max(1, -(-exact // 100) if up else exact // 100)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _open(windows: Sequence[Object], at: float) -> bool:
    """Whether one is open; without any it always is. It reads minutes and hours alone: `*`, `*/5`, `10`."""
    return not windows or any(_opened(window, at) for window in windows)


def _opened(window: Object, at: float) -> bool:
    minute, hour, *others = window["cron"].split()
    assert others == ["*"] * 3, "the judge reads only minutes and hours of a cron expression"
    seconds = int(window["duration"][:-1]) * {"s": 1, "m": 60, "h": 3600}[window["duration"][-1]]
    last = int(at // 60)
    begun = range(last - -(-seconds // 60), last + 1)
    return any(
        one * 60 <= at < one * 60 + seconds and _matches(minute, one % 60) and _matches(hour, one // 60 % 24)
        for one in begun
    )


def _matches(field: str, number: int) -> bool:
    if field.startswith("*"):
        return number % int(field[2:] or 1) == 0
    return number == int(field)

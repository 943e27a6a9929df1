"""One simulated worker: two slots, a proxy, a kubelet's word on readiness.

An independent reading of docs/node-protocol.md: it shares no code with the operator, nor with the proxy.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Protocol

from testbed.swarm.ports import Object, Records, Time, Times, stamp

OTHER = {"A": "B", "B": "A"}


def digest(version: int) -> str:
    """The digest of a release that nobody has to build."""
    return "sha256:" + hashlib.sha256(str(version).encode()).hexdigest()


class Fate(Enum):
    """How a release does on a machine."""

    HEALTHY = "healthy"
    SLOW = "slow"
    PANICS = "panics"
    NEVER_READY = "never ready"
    NEVER_BACK = "never back"
    BACK_LATE = "back late"


class Surroundings(Protocol):
    """What a machine stands in."""

    time: Time
    random: Random
    times: Times
    records: Records
    machines: dict[str, Machine]

    def wrote(self, machine: Machine, wanted: str) -> None:
        """Its proxy begins to write a release."""

    def activated(self, machine: Machine, wanted: str) -> None:
        """Its proxy is about to try a release."""


@dataclass
class Machine:
    """One worker. `silent`: its proxy neither hears nor speaks; `forever`: it never comes back."""

    fleet: Surroundings
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
    fate: dict[str, Fate] = field(default_factory=dict)
    stage_failures: dict[str, int] = field(default_factory=dict)
    fell_back: dict[str, float] = field(default_factory=dict)
    forever: bool = False

    @property
    def boot_id(self) -> str:
        """Another one after each boot."""
        return f"{self.name}-{self.uid}-boot-{self.boot}"

    @property
    def running(self) -> str:
        """The digest of the release that is booted."""
        return self.slots[self.booted]

    @property
    def on_trial(self) -> bool:
        """Whether what is booted is not yet confirmed."""
        return self.booted != self.good

    # -- the proxy -----------------------------------------------------------------------------------------

    def report(self) -> None:
        """The proxy writes its status."""
        if not self.up or self.silent:
            return
        other = OTHER[self.booted]
        held = self.slots.get(other)
        slots: Object = {
            self.booted: {"state": "Booted" if self.on_trial else "Good", "digest": self.running},
            other: {"state": "Verified" if held else "Empty", "digest": held},
        }
        status: Object = {
            "observedGeneration": self.observed,
            "phase": self.phase,
            "since": stamp(self.since),
            "heartbeat": stamp(self.fleet.time.now),
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
        instance = self._instance()
        if instance is not None:
            self.fleet.records.report(instance, status)

    def enter(self, phase: str, error: Object | None = None) -> None:
        """The proxy is in another phase, and says so."""
        self.phase, self.since, self.error = phase, self.fleet.time.now, error
        self.report()

    def obey(self) -> None:
        """The proxy looks at its orders; what is done already is not done again."""
        instance = self._instance()
        if not self.up or self.silent or instance is None:
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

    def _instance(self) -> Object | None:
        """The OSInstance, if it is this very machine's."""
        instance = self.fleet.records.instance(self.name)
        if instance is None or instance["metadata"]["ownerReferences"][0]["uid"] != self.uid:
            return None
        return instance

    def _stage(self, wanted: str, barred: list[str], news: bool) -> None:
        if wanted in barred:
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
            takes = self.fleet.random.uniform(*self.fleet.times.staging)
            self.fleet.time.after(takes, lambda: self._staged(wanted, boot))

    def _staged(self, wanted: str, boot: int) -> None:
        if self.staging != wanted or boot != self.boot or not self.up:
            return
        self.staging = ""
        if self.stage_failures.get(wanted, 0) > 0:
            self.stage_failures[wanted] -= 1
            now, pause = self.fleet.time.now, self.fleet.times.retry
            error = {"reason": "NetworkError", "message": "no answer"}
            self.enter("Failed", error | {"at": stamp(now), "retryAt": stamp(now + pause)})
            self.fleet.time.after(pause, self.obey)
            return
        self.slots[OTHER[self.booted]] = wanted
        self.enter("Staged")

    def _reboot_order(self, goal: str, wanted: str, order: Object, news: bool) -> None:
        done = order["id"] == self.carried
        if done or (goal == "Activate") == self.on_trial:
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
            self._return_to_good(self.fleet.random.uniform(*self.fleet.times.fallback))

    # -- power ---------------------------------------------------------------------------------------------

    def _power_off(self) -> None:
        self.up, self.staging = False, ""
        boot = self.boot
        self.fleet.time.after(self.fleet.times.grace, lambda: self._missed(boot))

    def _missed(self, boot: int) -> None:
        if not self.up and self.boot == boot:
            self.set_ready(False)

    def _try(self, wanted: str) -> None:
        fate = self.fate.get(wanted, Fate.HEALTHY)
        times, random = self.fleet.times, self.fleet.random
        if fate is Fate.NEVER_BACK:
            self.forever = True
        elif fate is Fate.BACK_LATE:
            self._return_to_good(random.uniform(*times.late))
        elif fate is Fate.PANICS:
            self._return_to_good(random.uniform(*times.panic))
        else:
            delay = random.uniform(*(times.slow_boot if fate is Fate.SLOW else times.boot))
            ready = fate is not Fate.NEVER_READY
            self.fleet.time.after(delay, lambda: self._up(OTHER[self.good], ready))

    def _return_to_good(self, delay: float) -> None:
        failed = self.slots.get(OTHER[self.good])

        def back() -> None:
            if failed is not None:
                self.fell_back[failed] = self.fleet.time.now
            self._up(self.good, ready=True, fell=True)

        self.fleet.time.after(delay, back)

    def _up(self, slot: str, ready: bool, fell: bool = False) -> None:
        if self.fleet.machines.get(self.name) is not self:
            return
        self.booted, self.up, self.silent = slot, True, False
        self.boot += 1
        self.booted_at = self.since = self.fleet.time.now
        self.phase = "FellBack" if fell else "Trial" if self.on_trial else "Idle"
        if self.on_trial:
            boot = self.boot
            self.fleet.time.after(self.fleet.times.guard, lambda: self._guard(boot))
        self.set_ready(False)
        if ready:
            self.fleet.time.after(self.fleet.times.ready, lambda: self.set_ready(True))
        self.obey()
        self.report()

    def _guard(self, boot: int) -> None:
        if self.up and self.boot == boot and self.on_trial:
            self._power_off()
            self._return_to_good(self.fleet.times.after_guard)

    def crash(self) -> None:
        """A spontaneous restart on the slot that is booted; a trial that is not confirmed falls back."""
        if not self.up:
            return
        trial = self.on_trial
        self._power_off()
        if trial:
            self._return_to_good(self.fleet.times.crash)
        else:
            self.fleet.time.after(self.fleet.times.crash, lambda: self._up(self.booted, ready=True))

    def set_ready(self, ready: bool) -> None:
        """The kubelet says that the node is Ready, or the cluster that it is not."""
        node = self.fleet.records.node(self.name)
        if node is None or node["metadata"]["uid"] != self.uid or (ready and not self.up):
            return
        self.ready = ready
        status = "True" if ready else "False"
        known: list[Object] = node["status"].get("conditions", [])
        old: Object = next((one for one in known if one["type"] == "Ready"), {})
        same = old.get("status") == status
        since = old["lastTransitionTime"] if same else stamp(self.fleet.time.now)
        conditions = [{"type": "Ready", "status": status, "lastTransitionTime": since}]
        boot = self.boot_id if self.up else node["status"]["nodeInfo"]["bootID"]
        self.fleet.records.tell(node, {"conditions": conditions, "nodeInfo": {"bootID": boot}})

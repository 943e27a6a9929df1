"""A rollout with everything that may happen to it, drawn from a seed."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from os_operator.core.world import CORDON_ANNOTATION
from tests.sim.audit_log import AuditLog
from tests.sim.doctor import CHECKS, Doctor, HealthJudge
from tests.sim.fleet import NOT_CURRENT, Fate, Fleet, Machine, digest, taints
from tests.sim.harness import Judge, Operator
from tests.sim.memory_cluster import NODE, OS, MemoryCluster, stamp
from tests.sim.virtual import Time
from warmroot.errors import ClusterError

START = 1_800_000_000.0
FATES = [Fate.SLOW, Fate.PANICS, Fate.NEVER_READY, Fate.NEVER_BACK, Fate.BACK_LATE]


@dataclass
class Scenario:
    """One seed's story."""

    seed: int
    faults: list[str] = field(default_factory=list)
    checked: bool = False

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.time = Time(START + self.random.randrange(86400))
        self.fleet = Fleet(self.time, self.random, self.random.randint(2, 8), release=1)
        self.doctor = Doctor(self.fleet, Random(f"checks {self.seed}")) if self.checked else None
        self.judge = HealthJudge(self.fleet, self.doctor) if self.doctor is not None else Judge(self.fleet)
        self.operator = Operator(self.fleet, self.random, self.judge, self.doctor)
        self.operator.lag = self.random.choice([0.01, 0.3, 2.0])
        self.log = AuditLog(self.fleet.store, self.operator.hand)
        self.admin = MemoryCluster(self.fleet.store, "kubectl-cordon")
        self.target = 2

    @property
    def os(self) -> Any:
        return self.fleet.store.of(OS).get(("", "workers"))

    def apply(self, **rollout: Any) -> None:
        """The person applies the OS object."""
        base: dict[str, Any] = {
            "maxUnavailable": self.random.choice([1, 2, "30%", "50%"]),
            "maxStaging": self.random.choice([1, 3]),
            "health": {"readySeconds": self.random.choice([0, 20]), "timeout": "10m"}
            | ({"checks": CHECKS} if self.checked else {}),
            "drain": {"timeout": "2m", "onTimeout": self.random.choice(["Wait", "Skip", "Force", "Abort"])},
            "failure": {
                "maxFailed": self.random.choice([0, 1, 2]),
                "action": self.random.choice(["Halt", "Rollback"]),
            },
        }
        self.fleet.api.create(
            OS,
            {
                "metadata": {"name": "workers"},
                "spec": {
                    "nodeSelector": {"matchLabels": {"pool": "workers"}},
                    "release": {"version": "2", "source": "file:///r", "digest": digest(2)},
                    "rollout": base | rollout,
                },
            },
        )

    def edit(self, patch: Any) -> None:
        if self.os is not None:
            self.fleet.api.patch(OS, "workers", patch)

    # -- what may happen -----------------------------------------------------------------------------------

    def disturb(self) -> None:
        """Draws the story: what the rollout is, and what happens to it when."""
        random = self.random
        rollout: dict[str, Any] = {}
        if random.random() < 0.4:
            rollout["waves"] = [
                {"name": "canary", "nodes": 1, "soak": random.choice(["0s", "5m"]), "maxFailed": 1},
                {"name": "half", "nodes": "50%", "approval": random.choice(["None", "Required"])},
            ]
            self.at(random.uniform(60, 3000), "approve", self._approve)
        if random.random() < 0.2:
            hour = int((self.time.now + random.uniform(0, 7200)) % 86400 // 3600)
            rollout["windows"] = [{"cron": f"0 {hour} * * *", "duration": "2h"}]
        for machine in self.fleet.machines.values():
            if random.random() < 0.25:
                fate = random.choice(FATES)
                machine.fate[digest(2)] = fate
                self.faults.append(f"{machine.name} {fate.value}")
            if random.random() < 0.15:
                machine.stage_failures[digest(2)] = random.randint(1, 3)
        self.apply(**rollout)
        menu = [
            self._kill, self._kill, self._lossy, self._admin_cordon, self._admin_uncordon, self._recordon,
            self._not_ready, self._crash, self._block, self._pause, self._retarget, self._forgive,
            self._silence, self._budget, self._conflict, self._replace, self._delete, self._deselect,
            self._late, self._late,
        ]  # fmt: skip
        for _ in range(random.randint(0, 5)):
            what = random.choice(menu)
            self.at(random.choice([1, 30, 120, 600, 2400]) * random.random() * 2, what.__name__[1:], what)

    def at(self, delay: float, name: str, what: Any) -> None:
        self.faults.append(f"{name} at +{delay:.0f}s")
        self.time.after(delay, what)

    def _machine(self) -> Machine:
        return self.random.choice(list(self.fleet.machines.values()))

    def _approve(self) -> None:
        if self.os is not None:
            wanted = self.os["spec"]["release"]["digest"]
            self.edit({"metadata": {"annotations": {"warmroot.io/approve": f"half@{wanted}"}}})

    def _kill(self) -> None:
        if self.random.random() < 0.5:
            self.operator.kill(self.random.uniform(0.1, 300))
        else:
            self.operator.wire.death = 0.1
            self.time.after(600, lambda: setattr(self.operator.wire, "death", 0.0))

    def _lossy(self) -> None:
        self.operator.wire.loss = 0.15
        self.time.after(900, lambda: setattr(self.operator.wire, "loss", 0.0))

    def _admin_cordon(self) -> None:
        machine = self._machine()
        node = self.fleet.store.of(NODE)["", machine.name]
        if not node["spec"].get("unschedulable"):  # kubectl writes nothing where the node is cordoned already
            self.judge.admin_cordoned.add(machine.name)
            self.admin.patch(NODE, machine.name, {"spec": {"unschedulable": True}})

    def _admin_uncordon(self) -> None:
        machine = self._machine()
        self.judge.admin_cordoned.discard(machine.name)
        self.admin.patch(NODE, machine.name, {"spec": {"unschedulable": None}})

    def _recordon(self) -> None:
        """An administrator lifts whatever cordon stands and sets one of their own."""
        machine = self._machine()
        self.admin.patch(NODE, machine.name, {"spec": {"unschedulable": None}})
        self.judge.admin_cordoned.add(machine.name)
        self.admin.patch(NODE, machine.name, {"spec": {"unschedulable": True}})

    def _not_ready(self) -> None:
        machine = self._machine()
        machine.set_ready(False)
        self.time.after(self.random.uniform(60, 1800), lambda: machine.set_ready(machine.up))

    def _crash(self) -> None:
        self._machine().crash()

    def _block(self) -> None:
        self.fleet.blocked_until = self.time.now + self.random.choice([60, 600, 3600])

    def _pause(self) -> None:
        self.edit({"spec": {"rollout": {"paused": True}}})
        self.time.after(
            self.random.uniform(60, 1800), lambda: self.edit({"spec": {"rollout": {"paused": False}}})
        )

    def _retarget(self) -> None:
        self.target += 1
        self.edit({"spec": {"release": {"version": str(self.target), "digest": digest(self.target)}}})
        self.time.after(900, self._approve)

    def _forgive(self) -> None:
        self.fleet.forgiven_at = self.time.now
        self.edit({"metadata": {"annotations": {"warmroot.io/clear-failed": f"*@{stamp(self.time.now)}"}}})

    def _silence(self) -> None:
        machine = self._machine()
        machine.silent = True

        def back() -> None:
            machine.silent = False
            machine.obey()
            machine.report()

        self.time.after(self.random.uniform(30, 1200), back)

    def _budget(self) -> None:
        self.edit({"spec": {"rollout": {"maxUnavailable": self.random.choice([1, 3, "10%", "60%"])}}})

    def _conflict(self) -> None:
        """Another object selects the same nodes for a while."""
        if ("", "other") in self.fleet.store.of(OS):
            return
        spec = {
            "nodeSelector": {"matchLabels": {"pool": "workers"}},
            "release": {"version": "9", "source": "file:///r", "digest": digest(9)},
        }
        self.fleet.api.create(OS, {"metadata": {"name": "other"}, "spec": spec})
        self.time.after(self.random.uniform(60, 1200), self._resolve_conflict)

    def _resolve_conflict(self) -> None:
        try:
            self.fleet.api.delete(OS, "other")
        except ClusterError:
            return

    def _replace(self) -> None:
        """A machine is thrown away; another one joins under its name."""
        machine = self._machine()
        self.judge.static_size = False
        self.judge.admin_cordoned.discard(machine.name)
        self.fleet.api.delete(NODE, machine.name)
        del self.fleet.machines[machine.name]
        machine.up = False
        self.fleet.join(machine.name, release=1, closed=self.random.random() < 0.5)

    def _late(self) -> None:
        """New machines join on the old release; their kubelets keep workloads off."""
        self.judge.static_size = False
        for _ in range(self.random.randint(1, 3)):
            self.fleet.join(f"late-{len(self.fleet.machines):02}", release=1, closed=True)

    def _delete(self) -> None:
        if self.os is not None:
            self.fleet.api.delete(OS, "workers")

    def _deselect(self) -> None:
        machine = self._machine()
        self.judge.static_size = False
        self.fleet.api.patch(NODE, machine.name, {"metadata": {"labels": {"pool": "other"}}})

    # -- the end -------------------------------------------------------------------------------------------

    def run(self, hours: float = 30.0) -> None:
        """Until nothing more happens."""
        quiet, writes = 0, -1
        end = self.time.now + hours * 3600
        while self.time.now < end and quiet < 2:
            self.time.run(self.time.now + 1800)
            quiet = quiet + 1 if self.operator.wire.writes == writes else 0
            writes = self.operator.wire.writes
        self.operator.wire.loss = self.operator.wire.death = 0.0

    def verdict(self) -> list[str]:
        """Everything that is wrong at the end."""
        wrong = list(self.fleet.breaches)
        for name, machine in self.fleet.machines.items():
            node = self.fleet.store.of(NODE)["", name]
            noted = CORDON_ANNOTATION in (node["metadata"].get("annotations") or {})
            cordoned = bool(node["spec"].get("unschedulable"))
            waits = self._waits(name)
            if noted and not machine.forever and not waits:
                wrong.append(f"R2: {name} keeps our note, and nothing says why")
            if cordoned and not noted and name not in self.judge.admin_cordoned:
                wrong.append(f"R2: {name} stays cordoned by us")
            if not cordoned and name in self.judge.admin_cordoned:
                wrong.append(f"R2: {name} lost the cordon of a person")
        os = self.os
        if os is not None and "deletionTimestamp" in os["metadata"]:
            if not any(machine.forever for machine in self.fleet.machines.values()):
                wrong.append("the deleted OS object is still there")
        elif os is not None:
            wrong += self._unexplained(os)
        wrong += [one for node in self.fleet.store.of(NODE).values() for one in self._tainted(node)]
        if writes := self.operator.quiet_writes():
            wrong.append(f"R6: a pass over an unchanged world wrote {writes} times")
        return wrong

    @property
    def returned(self) -> bool:
        """Whether a release that failed was taken back from every node that could leave it."""
        return self.os is not None and _taken_back(self.os.get("status", {}))

    def _tainted(self, node: Any) -> list[str]:
        """What is wrong with a node's taints in the end."""
        name, os = node["metadata"]["name"], self.os
        machine = self.fleet.machines[name]
        selected = node["metadata"]["labels"]["pool"] == "workers" and os is not None
        selected = selected and "deletionTimestamp" not in os["metadata"]
        current = selected and machine.running == os["spec"]["release"]["digest"] and not machine.on_trial
        found = {one["effect"] for one in taints(node) if one["key"] == NOT_CURRENT}
        halted = selected and os.get("status", {}).get("phase") == "Halted"
        wrong = []
        if "PreferNoSchedule" in found and (current or not selected or halted):
            wrong.append(f"taints: {name} is still avoided, and nobody will move it")
        if "NoSchedule" in found and current and machine.up:
            wrong.append(f"taints: {name} is current and closed to workloads")
        return wrong

    def _waits(self, node: str) -> bool:
        statuses = [os.get("status", {}) for os in self.fleet.store.of(OS).values()]
        return any(row["node"] == node for status in statuses for row in status.get("waiting", ()))

    def _unexplained(self, os: Any) -> list[str]:
        status = os.get("status", {})
        wanted = os["spec"]["release"]["digest"]
        wrong = []
        for name, machine in self.fleet.machines.items():
            node = self.fleet.store.of(NODE)["", name]
            if node["metadata"]["labels"]["pool"] != "workers":
                continue
            back = status.get("phase") == "RollingBack" or _taken_back(status)
            if machine.running == wanted and not machine.on_trial and not back:
                continue
            if not self._waits(name):
                wrong.append(
                    f"R5: {name} does not run the target, and nothing says why ({status.get('phase')})"
                )
        return wrong


def _taken_back(status: Any) -> bool:
    history = status.get("history") or [{}]
    return status.get("phase") == "Halted" and history[0].get("result") == "RolledBack"


__all__ = ["OS", "Scenario"]

"""The fleet of `testbed.swarm` in virtual time, on a store in memory; its pods, a scheduler."""

from random import Random

from testbed.swarm import fleet
from testbed.swarm.machine import Fate, Machine, digest
from tests.sim.memory_cluster import NODE, OS, OSINSTANCE, PDB, POD, MemoryCluster, Store, merged, stamp
from tests.sim.virtual import Time
from warmroot.kube.cluster import Kind, Object

NOT_CURRENT = "warmroot.io/not-current"


def taints(node: Object) -> list[Object]:
    return node["spec"].get("taints") or []


class Records:
    """A machine's two objects, in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def instance(self, name: str) -> Object | None:
        return self._store.of(OSINSTANCE).get(("", name))

    def node(self, name: str) -> Object | None:
        return self._store.of(NODE).get(("", name))

    def report(self, instance: Object, status: Object) -> None:
        self._store.commit(OSINSTANCE, instance | {"status": merged({}, status)})

    def tell(self, node: Object, status: Object) -> None:
        new = merged(node, {"status": status})
        if new != node:
            self._store.commit(NODE, new)


class Fleet(fleet.Fleet):
    """All machines, their pods, and what was seen of them."""

    def __init__(self, time: Time, random: Random, size: int, release: int) -> None:
        self.store = Store(time.clock)
        super().__init__(time, random, Records(self.store))
        self.time = time
        self.api = MemoryCluster(self.store)
        self.blocked_until = 0.0
        self.store.terminate = self._terminate
        self.store.disruptions = self._may_disrupt
        self.store.listeners.append(self._heard)
        for number in range(size):
            self.join(f"node-{number:02}", release)
        self.api.create(
            PDB,
            {
                "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"selector": {"matchLabels": {"app": "web"}}},
            },
        )
        self.begin()

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
            self.heard(item)

    def works(self, node: str) -> bool:
        """Whether a workload runs there."""
        pods = (pod for pod in self.store.of(POD).values() if pod["spec"]["nodeName"] == node)
        return any(pod["metadata"]["labels"].get("app") == "web" for pod in pods)


__all__ = ["NOT_CURRENT", "OS", "Fate", "Fleet", "Machine", "digest", "taints"]

"""What the API server of a story in virtual time would have logged, for the judge who reads nothing else."""

from testbed.controlplane.audit import Change
from testbed.swarm.judge import Judge
from tests.sim.harness import WRITES
from tests.sim.memory_cluster import NODE, OS, OSINSTANCE, MemoryCluster, Store

OPERATOR = "warmroot"
LATEST = 5.0
"""Seconds by which what others did is known to the operator: the longest lag of its watches, and a pass."""


class AuditLog:
    """Every change in a store from now on, and whose it was: the operator's, who writes by `hand`, or not."""

    def __init__(self, store: Store, hand: MemoryCluster) -> None:
        self.changes: list[Change] = []
        self._store, self._user = store, "somebody"
        for verb in WRITES:
            setattr(hand, verb, self._of_operator(getattr(hand, verb)))
        for kind in (NODE, OSINSTANCE, OS):
            for item in store.of(kind).values():
                self._heard("ADDED", kind, item)
        store.listeners.insert(0, self._heard)

    def judge(self) -> Judge:
        """The judge, who has read it to its end."""
        judge = Judge(OPERATOR, grace=LATEST)
        judge.read(self.changes)
        return judge

    def _of_operator(self, write):
        def written(*args, **options):
            self._user = OPERATOR
            try:
                return write(*args, **options)
            finally:
                self._user = "somebody"

        return written

    def _heard(self, event, kind, item) -> None:
        if kind in (NODE, OSINSTANCE, OS):
            now, left = self._store.clock(), None if event == "DELETED" else item
            self.changes.append(Change(now, now, self._user, kind.plural, item["metadata"]["name"], left))

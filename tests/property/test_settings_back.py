"""Settings that prove bad, on any mixture of machines: who has which in the end, and what it cost."""

from dataclasses import dataclass, replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from os_operator.core.actions import SetOrders, WriteStatus
from os_operator.core.budget import budget
from os_operator.core.plan import plan
from os_operator.core.world import Config, Failure
from tests.examples import examples
from tests.unit.operator_worlds import NEW, NOW, current, node, os, world
from warmroot import nodeconfig
from warmroot.api.osinstance import Goal, InstancePhase
from warmroot.api.reasons import OSPhase

TICK, END = 30.0, 120
TEXT = nodeconfig.encode({"sysctl": {"vm.swappiness": "1"}})
BAD, GOOD = nodeconfig.revision(TEXT), "sha256:" + "b" * 64
REFUSED = Failure("ConfigRefused", "kubelet.service does not start with them", None)


@dataclass
class Machine:
    """A node that runs the target: its proxy, as docs/node-protocol.md has it, and its kubelet."""

    name: str
    fate: str
    goal: Goal = Goal.NONE
    config: str = ""
    observed: bool = True
    in_force: str = GOOD
    settled: str = GOOD
    former: str | None = None
    refuses: bool = False
    since: float = NOW - 9000
    ready_since: float = NOW - 9000

    @property
    def ready(self):
        return not (self.fate == "sick" and self.in_force == BAD)

    @property
    def busy(self):
        return not self.ready or (self.goal is Goal.CONFIGURE and not self.refuses)

    def told(self, now):
        ordered = self.goal is Goal.CONFIGURE
        return node(self.name, ready=self.ready, ready_since=self.ready_since), current(
            self.name,
            goal=self.goal,
            digest=NEW if ordered else None,
            config=self.config,
            observed=self.observed,
            in_force=self.in_force,
            former=None if self.former == self.in_force else self.former,
            phase=InstancePhase.FAILED if self.refuses else InstancePhase.CONFIRMED,
            failure=REFUSED if self.refuses else None,
            since=self.since,
            stale_at=now + 300,
        )

    def take(self, orders):
        assert orders.goal in (Goal.NONE, Goal.CONFIGURE)
        named = orders.goal is Goal.CONFIGURE and orders.config.revision and not orders.config.text
        assert not named or orders.config.revision == self.former, "it has no other text"
        self.goal, self.config, self.observed = orders.goal, orders.config.revision, False

    def work(self, now):
        if self.observed:
            return
        self.observed, self.since, before = True, now, self.ready
        self.refuses = self.fate == "refuses" and self.goal is Goal.CONFIGURE and self.config == BAD
        if self.goal is Goal.NONE:
            self.settled = self.in_force
        elif not self.refuses and self.config != self.in_force:
            if self.in_force == self.settled and self.config != self.former:
                self.former = self.in_force
            self.in_force = self.config
        elif self.refuses and self.in_force == self.settled:
            self.former = self.in_force
        if self.ready is not before:
            self.ready_since = now


@st.composite
def fleets(draw):
    fates = draw(st.lists(st.sampled_from(["well", "well", "sick", "refuses"]), min_size=1, max_size=5))
    canary = {"name": "canary", "nodes": 1, "soak": "1m", "maxFailed": 9}
    waves = draw(st.sampled_from([[], [canary, {"name": "rest", "maxFailed": 9}]]))
    chosen = os(
        maxUnavailable=draw(st.one_of(st.integers(1, 4), st.just("50%"))),
        waves=waves,
        health={"readySeconds": 30, "timeout": "2m"},
        failure={"action": draw(st.sampled_from(["Halt", "Rollback"])), "maxFailed": draw(st.integers(0, 3))},
    )
    machines = [Machine(f"node-{at}", fate) for at, fate in enumerate(fates)]
    return replace(chosen, config=Config(BAD, TEXT)), machines, Random(draw(st.integers(0, 2**32)))


def passes(chosen, machines, chance):
    """Runs the operator over the fleet until nothing happens any more; the object as it then is."""
    now, still = NOW, 0
    tried = set()
    while still < 9:
        now += TICK
        assert now < NOW + END * TICK, "it comes to an end, whoever fails"
        decision = plan(world(chosen, [one.told(now) for one in machines]), now)
        down = sum(one.busy for one in machines)
        allowed = budget(chosen.spec.rollout.max_unavailable, len(machines), down).allowed
        by_name = {one.name: one for one in machines}
        for action in decision.actions:
            if isinstance(action, WriteStatus):
                chosen = replace(chosen, status=action.status, status_at=now)
            if not isinstance(action, SetOrders):
                continue
            machine = by_name[action.name]
            if action.orders.goal is Goal.CONFIGURE and not machine.busy:
                down += 1
                assert down <= allowed, "R1"
            if action.orders.goal is Goal.CONFIGURE and action.orders.config.revision == BAD:
                assert machine.name not in tried, "what failed on a node is not tried there again"
                tried.add(machine.name)
            machine.take(action.orders)
        still = 0 if any(isinstance(action, SetOrders) for action in decision.actions) else still + 1
        for machine in machines:
            if chance.random() < 0.7:
                machine.work(now)
            elif not machine.observed:
                still = 0
    return chosen, len(tried)


@examples(25)
@given(fleets())
def test_settings_that_prove_bad_leave_every_machine_with_those_before_or_halt(fleet):
    chosen, machines, chance = fleet
    failure = chosen.spec.rollout.failure
    chosen, tried = passes(chosen, machines, chance)
    status = chosen.status
    failed = {entry.node for entry in status.failed}
    assert failed <= {one.name for one in machines if one.fate != "well"}
    assert all(entry.config_revision == BAD for entry in status.failed)
    has = {one.name for one in machines if one.in_force == BAD}
    if len(failed) > failure.max_failed:
        assert status.phase is OSPhase.HALTED
        assert len(failed) <= tried
        if failure.action == "Rollback":
            assert has == set()
            assert status.history[0].result == "RolledBack"
            assert status.history[0].config_revision == BAD
    elif (
        failure.action == "Rollback"
    ):  # with Halt one that is ill keeps its place, and others may wait for it
        assert has == {one.name for one in machines if one.fate == "well"}
        assert (status.phase is OSPhase.COMPLETE) is not bool(failed)

"""One look at every node of one OS object: where each is, what failed, how much room there is.

Nothing is begun here. Failures found while looking count before anything new starts, and what is in motion
is counted as unavailable before a slot of the budget is given away.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from os_operator.core import orders as make
from os_operator.core.actions import Action, Happening, Orders, SetOrders
from os_operator.core.budget import Budget, budget
from os_operator.core.failures import NOT_THE_RELEASE, Ledger, halt, settle
from os_operator.core.health import NO_CHECKS, Question, Trials
from os_operator.core.instants import parse
from os_operator.core.node_way import (
    ADMISSIBLE,
    CURRENT,
    CURRENT_SILENT,
    FORGIVEN_IN_VAIN,
    STAGING,
    UPDATED,
    WANTS_CONFIG,
    WANTS_STAGE,
    Move,
    Settings,
    Way,
    examine,
    in_orders,
    to_be_judged,
)
from os_operator.core.resetting import GOES_BACK, NO_FORMER, Undone, keeps_its_place, resettled
from os_operator.core.selection import mover_of
from os_operator.core.waves import Gate, Progress, Standing, Step, advance, steps
from os_operator.core.windows import ALWAYS, Opening, opening
from os_operator.core.world import InstanceView, NodeView, OSView, World
from warmroot import nodeconfig
from warmroot.api.base import quantity, seconds
from warmroot.api.os import FailedPart, Rollout
from warmroot.api.osinstance import InstancePhase
from warmroot.api.reasons import NodePhase, OSReason, WaitReason

Row = tuple[str, Way]
Pair = tuple[NodeView, InstanceView]
MOTION = frozenset(
    {
        Move.DRAIN,
        Move.CONFIRM,
        Move.ROLLBACK,
        Move.BAR,
        Move.WITHDRAW,
        Move.RELEASE,
        Move.HOLD,
        Move.SETTLE,
    }
)
RECORDED = 1.0
"""Seconds after which a failure stands in the status, so that a release may be taken back for it."""
BEHIND = frozenset({NodePhase.PENDING, NodePhase.STAGING, NodePhase.STAGED})
"""Phases of a node that is still to be moved."""
DEFAULTS = Rollout()
"""How nodes are finished whose OS object is gone or can't be read."""


@dataclass(slots=True)
class Tally:
    """What one pass over an OS object's nodes found.

    `touched`: nodes that this target has begun to move. `to_return`: nodes that run a target, or have
    settings, which are taken back; `staying`: those that never did; `to_reset`: those whose settings go back
    next. `rows`: who waits for a reason of its own; `crowds`: many that wait for the same, kept together
    because a status shows few of them. `behind`: nodes that are still to be moved, and neither to be staged
    nor to be admitted in this pass. `arrived`: current nodes that are still closed to workloads.
    """

    total: int = 0
    updated: int = 0
    staged: int = 0
    in_progress: int = 0
    unavailable: int = 0
    moved: list[str] = field(default_factory=list)
    touched: int = 0
    to_return: int = 0
    staying: list[Pair] = field(default_factory=list)
    staging: int = 0
    downloading: list[NodeView] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    crowds: list[tuple[Way, list[Pair]]] = field(default_factory=list)
    to_stage: list[tuple[NodeView, InstanceView]] = field(default_factory=list)
    to_admit: list[tuple[NodeView, InstanceView]] = field(default_factory=list)
    to_configure: list[tuple[NodeView, InstanceView]] = field(default_factory=list)
    to_reset: list[tuple[NodeView, InstanceView]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    in_motion: list[tuple[NodeView, InstanceView | None, Way]] = field(default_factory=list)
    absent: list[tuple[NodeView, InstanceView | None, Way]] = field(default_factory=list)
    behind: list[NodeView] = field(default_factory=list)
    arrived: list[NodeView] = field(default_factory=list)


@dataclass(slots=True)
class Pass:
    """One pass over one OS object; what it ends with is what `render` makes the status of.

    `returning`: the target is taken back, so its nodes go the other way (`returning`). `undone`: its settings
    failed where they were changed alone (`resetting`).
    """

    os: OSView
    world: World
    now: float
    target: str | None
    conflicts: dict[str, tuple[str, ...]]
    members: list[NodeView]
    strays: list[NodeView]
    rollout: Rollout
    tally: Tally = field(default_factory=Tally)
    ledger: Ledger = field(default_factory=lambda: Ledger(""))
    wave: Progress | None = None
    window: Opening = ALWAYS
    halted: str = ""
    returning: bool = False
    undone: Undone | None = None
    budget: Budget = field(default_factory=lambda: Budget(0, 0))
    actions: list[Action] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)
    moves_on: bool = False
    """Whether the last wave may take nodes now: nothing but the budget holds it."""
    trials: Trials = NO_CHECKS
    questions: list[Question] = field(default_factory=list)
    _stray_names: frozenset[str] = frozenset()
    _steps: tuple[Step, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The waves of this fleet, made when they are asked for first."""
        if not self._steps:
            self._steps = steps(self.rollout.waves, self.members)
        return self._steps

    @property
    def settings(self) -> Settings:
        """The settings that belong to the target."""
        return Settings(self.os.config.revision, seconds(self.rollout.health.timeout))

    @property
    def takes_back(self) -> bool:
        """Whether nodes return to what they had before."""
        return self.returning or (self.undone is not None and self.undone.everywhere)

    @property
    def stray_names(self) -> frozenset[str]:
        """Nodes that are only to be finished."""
        return self._stray_names

    @property
    def same_target(self) -> bool:
        """Whether the stored status speaks of this target: the release and its settings."""
        status, config = self.os.status, self.os.config.revision
        return status.target_digest == self.target and (status.config_revision or nodeconfig.NONE) == config

    def __post_init__(self) -> None:
        self._stray_names = frozenset(node.name for node in self.strays)

    def wake(self, moment: float | None) -> None:
        """Asks for another pass at `moment`."""
        if moment is not None and moment > self.now:
            self.deadlines.append(moment)

    def happening(
        self, reason: str, note: str, node: NodeView, *key: str, warning: bool = False
    ) -> Happening:
        """An Event about a node of this rollout."""
        name = "/".join((self.os.uid, reason, node.uid, *key))
        return Happening(self.os.name, self.os.uid, reason, f"{node.name}: {note}", name, warning, node.name)


def target_of(os: OSView) -> str | None:
    """What the nodes shall run, if it is known: a release with its kernel arguments.

    What the status says counts for as long as the spec is the one that it was computed from: a source that is
    down after a restart changes nothing about a rollout that runs.
    """
    if os.spec is None:
        return None
    digest = os.spec.release.digest or os.resolution.digest
    if digest is not None:
        return nodeconfig.target(digest, os.config.arguments)
    status = os.status
    followed = all(one.reason != OSReason.INVALID_SPEC.value for one in status.conditions)
    return status.target_digest if followed and status.observed_generation == os.generation else None


def look(state: Pass) -> None:
    """Examines every node once."""
    tally, world, conflicts, ledger = state.tally, state.world, state.conflicts, state.ledger
    entries, instances, target, now = ledger.entries, world.instances, state.target, state.now
    ready_seconds, config = float(state.rollout.health.ready_seconds), state.settings
    trials, undone = state.trials, state.undone
    soaking = _soak_since(state)
    tally.total = len(state.members)
    for node in state.members:
        instance = instances.get(node.name)
        way = examine(node, instance, target, entries, ready_seconds, now, config, trials)
        way = way if undone is None else resettled(undone, node, instance, target, way, ready_seconds, now)
        down = node.unschedulable or not node.ready
        if way is CURRENT or way is CURRENT_SILENT:
            tally.updated += way is CURRENT
            tally.moved.append(node.name)
            if soaking is not None and not node.ready and not node.unschedulable:
                _soak_failure(state, node, instance, soaking)
            if entries or node.closed:
                _settled(state, node, way)
        elif (conflicts and node.name in conflicts) or way.move in MOTION:
            down = (look_closer(state, node, instance, way) or down) and not missed_by_nobody(node)
        elif way is ADMISSIBLE:
            assert instance is not None
            tally.staged += 1
            tally.to_admit.append((node, instance))
        elif way is WANTS_CONFIG:
            assert instance is not None
            tally.to_configure.append((node, instance))
        elif way is WANTS_STAGE:
            assert instance is not None
            tally.to_stage.append((node, instance))
        else:
            _look_aside(state, node, instance, way)
            down = down or (way is GOES_BACK and instance is not None and keeps_its_place(instance))
        tally.unavailable += down
        if way.reason is not None and way is not WANTS_STAGE and way.move not in MOTION:
            tally.rows.append((node.name, way))
    look_at_strays(state)


def _settled(state: Pass, node: NodeView, way: Way) -> None:
    settle(state.ledger, node)
    if way is CURRENT and node.closed:
        state.tally.arrived.append(node)


def missed_by_nobody(node: NodeView) -> bool:
    """Whether it moves before any workload was let onto it: nothing is missing meanwhile (rule 13).

    One that an administrator had cordoned was missing before, and is still.
    """
    return node.note is not None and node.note.empty and node.note.ours


def look_at_strays(state: Pass) -> None:
    """Nodes that this object moves and does not, or not alone, select: they are down because of us, too."""
    tally, instances, ready_seconds = state.tally, state.world.instances, state.rollout.health.ready_seconds
    for node in state.strays:
        instance = instances.get(node.name)
        entries, now = state.ledger.entries, state.now
        way = examine(node, instance, state.target, entries, ready_seconds, now, trials=state.trials)
        _motion(state, node, instance, way)
    if state.strays:
        tally.unavailable += len(state.stray_names.difference(node.name for node in state.members))


def _look_aside(state: Pass, node: NodeView, instance: InstanceView | None, way: Way) -> None:
    """A node that neither moves nor may begin."""
    tally = state.tally
    if instance is not None and _is_behind(way, instance, state.target):
        tally.behind.append(node)
    if way.move is Move.STAGING:
        tally.staging += 1
        if way is STAGING and instance is not None:
            tally.downloading.append(node)
            _restate(state, instance)
    elif way.phase is NodePhase.STAGED:
        tally.staged += 1
    elif way is GOES_BACK or way is NO_FORMER or way.reason is WaitReason.CONFIG_REFUSED:
        _look_at_failed_settings(state, node, instance, way)
    elif way.phase is NodePhase.FAILED:
        _recall(state, node, instance)
        if _tried(state.ledger, node.name):
            tally.moved.append(node.name)
    elif way.move in (Move.ENSURE, Move.REPLACE):
        tally.absent.append((node, instance, way))
    if way.reason is WaitReason.STAGING_FAILED:
        state.wake(way.deadline)


def _look_at_failed_settings(state: Pass, node: NodeView, instance: InstanceView | None, way: Way) -> None:
    """A node that has settings which are taken back, or refused them and has those before by itself."""
    tally = state.tally
    assert instance is not None
    if way.reason is not WaitReason.CONFIG_REFUSED:
        tally.updated += 1
    elif instance.config == state.os.config.revision:  # else it refuses those to which it was to return
        tally.refused.append(node.name)
        if instance.failure is None or instance.failure.retry_at is None:
            part = FailedPart.SETTINGS
            state.ledger.record(node.name, WaitReason.CONFIG_REFUSED, way.message, state.now, part)
    if way is GOES_BACK:
        tally.to_return += 1
        tally.to_reset.append((node, instance))
    if _tried(state.ledger, node.name):
        tally.moved.append(node.name)


def _recall(state: Pass, node: NodeView, instance: InstanceView | None) -> None:
    """A bar tells of a failure that the status does not know, or knows no more."""
    if instance is None or node.name in state.ledger.entries or state.target not in instance.barred:
        return
    fell = instance.phase is InstancePhase.FELL_BACK
    reason = WaitReason.FELL_BACK if fell else WaitReason.BARRED
    at = instance.as_it_is_since if fell else None
    at = state.now if at is None else at
    state.ledger.record(node.name, reason, "its OSInstance bars the release", at)


def _is_behind(way: Way, instance: InstanceView, target: str | None) -> bool:
    """Whether the node is still to be moved, now or when what it waits for has come."""
    waits = way.move is Move.STAGING or (way.move is Move.NOTHING and way is not FORGIVEN_IN_VAIN)
    return waits and way.phase in BEHIND and instance.booted_digest != target


def look_closer(state: Pass, node: NodeView, instance: InstanceView | None, way: Way) -> bool:
    """A node in motion, or one that another object wants too. Returns whether it is in motion."""
    moving = node.note is not None or in_orders(instance)
    if node.name in state.stray_names:
        return True  # ours to finish, counted there
    others = [name for name in state.conflicts.get(node.name, ()) if name != state.os.name]
    if others:
        text = f"OS {', '.join(others)} selects it too; change one nodeSelector"
    elif moving and mover_of(node, instance) != state.os.name:
        text = f"OS {mover_of(node, instance)} is still moving it"
    else:
        _motion(state, node, instance, way)
        return True
    state.tally.rows.append((node.name, Way(Move.NOTHING, NodePhase.PENDING, WaitReason.CONFLICT, text)))
    return moving


def _motion(state: Pass, node: NodeView, instance: InstanceView | None, way: Way) -> None:
    """Counts a node in motion and records what failed on it."""
    tally = state.tally
    tally.in_motion.append((node, instance, way))
    tally.in_progress += 1
    about = node.note.digest if node.note is not None else instance.digest if instance else None
    if instance is not None and way.move is Move.HOLD and to_be_judged(node, instance):
        state.questions += state.trials.questions(node, instance)
    if way is UPDATED and about == state.target:
        tally.updated += 1
        tally.moved.append(node.name)
        settle(state.ledger, node)
        return
    if way.failed is not None and about == state.target:
        settings = way.phase is NodePhase.CONFIGURING
        part = FailedPart.SETTINGS if settings else FailedPart.RELEASE
        state.ledger.record(node.name, way.failed, way.message, state.now, part)
    elif way.phase is NodePhase.FAILED:
        _recall(state, node, instance)
    if _tried(state.ledger, node.name):
        tally.moved.append(node.name)
    elif about == state.target and way.move is not Move.RELEASE:
        tally.touched += 1


def _tried(ledger: Ledger, node: str) -> bool:
    """Whether the target failed here. A node whose drain was given up was never tried."""
    entry = ledger.entries.get(node)
    return entry is not None and entry.reason not in NOT_THE_RELEASE


def _soak_since(state: Pass) -> float | None:
    wave = state.os.status.wave
    if wave is None or wave.soak_until is None or not state.same_target:
        return None
    return parse(wave.since)


def _soak_failure(state: Pass, node: NodeView, instance: InstanceView | None, wave_since: float) -> None:
    """A node that turned unhealthy while its wave soaked failed; its settings did, if those alone are new."""
    if node.as_it_is_since >= wave_since:
        text = "its Node stopped being Ready while the wave soaked"
        alone = instance is not None and instance.former is not None
        part = FailedPart.SETTINGS if alone else FailedPart.RELEASE
        state.ledger.record(node.name, WaitReason.UNHEALTHY, text, state.now, part)


def _restate(state: Pass, instance: InstanceView) -> None:
    """Keeps a download's sources and bandwidth as the spec says."""
    wanted = stage_orders(state, instance)
    if wanted is not None and not wanted.stand(instance) and _may_order(state):
        state.actions.append(SetOrders(instance.name, instance.version, wanted))


def _may_order(state: Pass) -> bool:
    return state.os.finalizer and not state.os.deleting


def stage_orders(state: Pass, instance: InstanceView) -> Orders | None:
    """The order to download this object's target, its share of the bandwidth included."""
    if state.os.spec is None or state.target is None:
        return None
    limit = state.rollout.staging_bandwidth
    places = max(1, min(state.rollout.max_staging, state.tally.total))
    bandwidth = max(1, quantity(limit) // places) if limit is not None else None
    os, release = state.os.name, state.os.spec.release
    if state.returning:
        return make.stage_back(instance, os, release, bandwidth)
    return make.stage(os, release, state.target, state.os.config, bandwidth, instance.barred)


def gauge(state: Pass) -> None:
    """Budget, wave, window and halt, from what was seen."""
    os, tally, now = state.os, state.tally, state.now
    state.budget = budget(state.rollout.max_unavailable, tally.total, tally.unavailable)
    state.window = opening(state.rollout.windows, now)
    state.wake(state.window.look_again)
    if state.target is None:
        return
    state.wave = running_wave(state)
    state.halted = halt(state.ledger, state.rollout, state.wave, state.tally.refused)
    if not state.ledger.persisted.issuperset(state.ledger.entries):
        state.wake(now + RECORDED)
    if state.halted:
        return
    approved = frozenset(
        wave for wave, _, digest in (one.partition("@") for one in os.approvals) if digest == state.target
    )
    state.wave = advance(state.steps, state.wave.standing, tally.moved, approved, now)
    state.wake(state.wave.standing.soak_until)


def running_wave(state: Pass) -> Progress:
    """The wave that the stored status names; whether it goes on is not asked."""
    standing, plan = _standing(state), state.steps
    index = min(standing.index, len(plan) - 1)
    return Progress(plan[index], replace(standing, index=index), Gate.OPEN, index == len(plan) - 1)


def _standing(state: Pass) -> Standing:
    """Where the stored status says that this target's rollout is."""
    status = state.os.status
    if status.wave is None or not state.same_target:
        return Standing(0, float(int(state.now)))
    since = parse(status.wave.since)
    return Standing(status.wave.index, state.now if since is None else since, parse(status.wave.soak_until))

"""What failed on which node, when that stops the rollout, and how a person forgives it.

`status.failed` is the record; a bar in an OSInstance is the same fact kept where the node can see it. Either
alone is enough to rebuild the other after a restart in between. A person forgives with the annotation
`warmroot.io/clear-failed: NODE@TIME` (or `*@TIME`, several with commas): failures up to TIME are forgotten
and their bars lifted. The time is what makes it safe to leave in a GitOps repository: it never forgives a
failure that comes later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from os_operator.core import instants
from os_operator.core.waves import Progress
from os_operator.core.world import InstanceView, NodeView, OSView
from warmroot.api.os import FailedNode, FailedPart, OnTimeout, Rollout
from warmroot.api.reasons import WaitReason
from warmroot.nodeconfig import NONE

MAX_RECORDED = 256
"""`status.failed` holds no more. A rollout that fills it has stopped long before, or stops then."""
NOT_THE_RELEASE = frozenset({WaitReason.DRAIN_FAILED})
"""Failures that say nothing about the release: they do not count against `maxFailed`."""
SAYS_WHY = frozenset({WaitReason.FELL_BACK, WaitReason.UNHEALTHY})
"""What a node that seemed lost turns out to be once it is there again."""
UNDONE_BY_SUCCESS = frozenset(
    {WaitReason.NEVER_CAME_BACK, WaitReason.ACTIVATION_FAILED, WaitReason.DRAIN_FAILED}
)
"""Failures that are over when the node runs the target, confirmed, after all."""


@dataclass(slots=True)
class Ledger:
    """The failures of one target, and of the settings of revision `config` with it. `persisted`: what the
    stored status already says.
    """

    digest: str
    config: str = NONE
    entries: dict[str, FailedNode] = field(default_factory=dict)
    persisted: frozenset[str] = frozenset()
    unbar: list[InstanceView] = field(default_factory=list)

    def record(
        self,
        node: str,
        reason: WaitReason,
        message: str,
        at: float,
        part: FailedPart = FailedPart.RELEASE,
    ) -> None:
        """Notes a failure; what is already noted stays as it was, but for a node that came back and says why.

        That is still the same failure, of the same time: whoever forgave it has forgiven it.
        """
        known = self.entries.get(node)
        if known is not None and known.reason is WaitReason.NEVER_CAME_BACK and reason in SAYS_WHY:
            self.entries[node] = known.model_copy(update={"reason": reason, "message": message[:1024]})
        elif known is None and len(self.entries) < MAX_RECORDED:
            self.entries[node] = FailedNode(
                node=node,
                digest=self.digest,
                part=part,
                config_revision=(self.config or None) if part is FailedPart.SETTINGS else None,
                reason=reason,
                message=message[:1024],
                at=instants.text(at),
            )

    def counted(self, part: FailedPart = FailedPart.RELEASE) -> list[FailedNode]:
        """The failures that count against the release, or against its settings."""
        return [
            entry
            for entry in self.entries.values()
            if entry.part is part and entry.reason not in NOT_THE_RELEASE
        ]

    def wire(self) -> tuple[FailedNode, ...]:
        """As the status has it."""
        return tuple(self.entries[node] for node in sorted(self.entries))


def open_ledger(os: OSView, target: str, instances: Mapping[str, InstanceView]) -> Ledger:
    """The failures of `target` that nobody has forgiven."""
    config = os.config.revision
    noted = {
        entry.node: entry
        for entry in os.status.failed
        if entry.digest == target
        and (entry.part is FailedPart.RELEASE or (entry.config_revision or NONE) == config)
    }
    ledger = Ledger(target, config, persisted=frozenset(noted))
    for node, entry in noted.items():
        instance = instances.get(node)
        if not _forgiven(os, entry):
            ledger.entries[node] = entry
        elif instance is not None and target in instance.barred:
            ledger.entries[node] = entry  # first the bar, then the record: a restart in between loses neither
            ledger.unbar.append(instance)
    return ledger


def _forgiven(os: OSView, entry: FailedNode) -> bool:
    at = instants.parse(entry.at) or 0.0
    return any(who in ("*", entry.node) and at <= until for who, until in os.clears)


def settle(ledger: Ledger, node: NodeView) -> None:
    """Forgets a failure that a later success undid."""
    entry = ledger.entries.get(node.name)
    if entry is not None and entry.reason in UNDONE_BY_SUCCESS:
        del ledger.entries[node.name]


def release_failed(ledger: Ledger, rollout: Rollout, wave: Progress | None) -> str:
    """Why the release is not good enough, or nothing."""
    return _too_many(ledger.counted(), "failed", rollout, wave)


def settings_failed(ledger: Ledger, rollout: Rollout, wave: Progress | None) -> str:
    """Why settings that were changed without a release are not good enough, or nothing."""
    with_them = f"failed with {named(ledger.config)}"
    return _too_many(ledger.counted(FailedPart.SETTINGS), with_them, rollout, wave)


def named(revision: str) -> str:
    """Settings as a message names them."""
    return f"settings {revision[:19]}…" if revision else "the settings of the image"


def _too_many(counted: Sequence[FailedNode], how: str, rollout: Rollout, wave: Progress | None) -> str:
    allowed = rollout.failure.max_failed
    if len(counted) > allowed:
        return f"{len(counted)} {how}, {allowed} may (failure.maxFailed)"
    if wave is None or wave.step.max_failed is None:
        return ""
    begun = int(wave.standing.since)
    here = sum(1 for entry in counted if (instants.parse(entry.at) or 0.0) >= begun)
    more = here > wave.step.max_failed
    return f"{here} {how} in wave {wave.step.name}, {wave.step.max_failed} may" if more else ""


def halt(ledger: Ledger, rollout: Rollout, wave: Progress | None, refused: Sequence[str]) -> str:
    """Why nothing new may start, or nothing. `refused` are the nodes that refuse the settings."""
    forgive = "look at status.failed, then set a new release or warmroot.io/clear-failed"
    if failed := release_failed(ledger, rollout, wave):
        return f"{failed}; {forgive}"
    if len(refused) > rollout.failure.max_failed:
        more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        return f"{min(refused)}{more} can't have these settings (failure.maxFailed); correct spec.config"
    if failed := settings_failed(ledger, rollout, wave):
        return f"{failed}; look at status.failed, then correct spec.config or set warmroot.io/clear-failed"
    aborted = [entry.node for entry in ledger.entries.values() if entry.reason is WaitReason.DRAIN_FAILED]
    if aborted and rollout.drain.on_timeout is OnTimeout.ABORT:
        return f"the drain of {aborted[0]} timed out (drain.onTimeout: Abort); {forgive}"
    if len(ledger.entries) >= MAX_RECORDED:
        return f"{MAX_RECORDED} nodes failed; {forgive}"
    return ""

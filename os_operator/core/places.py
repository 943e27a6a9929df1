"""Where each node of an OS object is: the planner's own word for it, with what only the operator knows."""

from __future__ import annotations

from os_operator.core import instants
from os_operator.core.node_way import Way, examine
from os_operator.core.returning import way_back
from os_operator.core.survey import Pass
from os_operator.core.world import InstanceView, NodeView
from warmroot.api.os import Waiting
from warmroot.api.reasons import WaitReason

DRAINS = frozenset(
    {
        WaitReason.DRAINING,
        WaitReason.DRAIN_BLOCKED,
        WaitReason.PODS_RUNNING,
        WaitReason.VOLUMES_ATTACHED,
    }
)
TRIALS = frozenset({WaitReason.CHECKING, WaitReason.CHECK_FAILED, WaitReason.SETTLING})


class Places:
    """All nodes of one pass, which has ended."""

    def __init__(self, done: Pass) -> None:
        self._done = done
        self._ways = {node.name: way for way, pairs in done.tally.crowds for node, _ in pairs}
        self._ways |= dict(done.tally.rows)
        self._told = {row.node: row for row in done.os.status.waiting}
        self._failed = {entry.node: entry for entry in done.os.status.failed}

    def of(self, node: NodeView, instance: InstanceView | None) -> Way:
        """A row of its own, a crowd that it is in, else where it stands.

        Whom an eviction was refused for and what a check answered only the operator knows, and what failed it
        has written down.
        """
        way, row = self._way(node, instance), self._told.get(node.name)
        if row is not None and ({row.reason, way.reason} <= DRAINS or way.reason is WaitReason.BARRED):
            return _of_row(way, row)
        if row is not None and way.reason is WaitReason.CHECKING and row.reason in TRIALS:
            return _of_row(way, row)
        failed = self._failed.get(node.name)
        if way.reason is WaitReason.BARRED and failed is not None:
            since = instants.parse(failed.at)
            return way._replace(reason=failed.reason, message=failed.message, since=since)
        return way

    def _way(self, node: NodeView, instance: InstanceView | None) -> Way:
        known, done = self._ways.get(node.name), self._done
        if known is not None:
            return known
        if done.returning:
            return way_back(done, node, instance)
        ready, failed = float(done.rollout.health.ready_seconds), done.ledger.entries
        return examine(node, instance, done.target, failed, ready, done.now, done.settings, done.trials)


def _of_row(way: Way, row: Waiting) -> Way:
    since, deadline = instants.parse(row.since), instants.parse(row.deadline)
    check = (row.check.name, row.check.reason) if row.check is not None else None
    told = way._replace(phase=row.phase, reason=row.reason, message=row.message, check=check)
    return told._replace(since=since, deadline=deadline)

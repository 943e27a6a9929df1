"""Times that a node wrote, by our own clock.

A node's clock may be minutes off ours, so its stamps are only compared with one another: a stamp that was not
there before tells that something happened, and our clock tells when. A process that sees an object for the
first time has nothing but the stamp; one that lies in the future is taken for now.
"""

from __future__ import annotations

from dataclasses import replace

from os_operator.core.world import InstanceView, NodeView


def node(old: NodeView | None, new: NodeView, at: float) -> NodeView:
    """`new`, first seen at `at` (Unix seconds), with `ready_seen`. `old` is what was known of the name."""
    if old is None or old.uid != new.uid:
        return replace(new, ready_seen=min(new.ready_since, at))
    same = (old.ready, old.ready_since, old.boot_id) == (new.ready, new.ready_since, new.boot_id)
    return replace(new, ready_seen=old.ready_seen if same else at)


def instance(old: InstanceView | None, new: InstanceView, at: float) -> InstanceView:
    """`new`, first seen at `at` (Unix seconds), with its times by our clock."""
    if old is None or old.uid != new.uid:
        old = None
    rebooted = old is None or old.boot_id != new.boot_id
    return replace(
        new,
        stale_at=_stale_at(old, new, at),
        since_seen=_since(old, new, at),
        booted_at=min(new.booted_at, at) if old is None or rebooted else old.booted_at,
    )


def _stale_at(old: InstanceView | None, new: InstanceView, at: float) -> float:
    if new.heartbeat is None:
        return new.stale_at
    # Stamps have whole seconds: in a new phase, whose patience may be another, the proxy has spoken as well.
    if old is not None and (old.heartbeat, old.phase) == (new.heartbeat, new.phase):
        return old.stale_at
    patience = new.stale_at - new.heartbeat
    return patience + (at if old is not None else min(new.heartbeat, at))


def _since(old: InstanceView | None, new: InstanceView, at: float) -> float | None:
    if new.since is None:
        return None
    if old is None:
        return min(new.since, at)
    return old.since_seen if (old.since, old.phase) == (new.since, new.phase) else at

"""Whether the outcome is the one that the demo claims: by the cluster's objects and by the disks' own bytes.

The operator's word counts only where the claim is about the operator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.demo.releases import Release
from testbed.demo.view import NodeView, OSView
from testbed.machine.boot import load
from testbed.machine.disk import Disk, copies, volume
from testbed.machine.verity import VerifiedRoot
from warmroot.disk import layout
from warmroot.disk.bootrecord import Slot, newest
from warmroot.errors import DiskCorrupt, ForeignDisk


@dataclass(frozen=True)
class DiskView:
    """What a machine's disk says: boot record, and what the good slot holds if every block verifies."""

    good: str
    next: str
    root_hash: str
    damage: str = ""


@dataclass(frozen=True)
class Finding:
    """One claim, and whether it holds."""

    holds: bool
    claim: str
    detail: str = ""


def read_disk(path: Path) -> DiskView:
    """Reads a disk file as a boot loader and dm-verity would, every block of the good slot."""
    with Disk(path, writable=False) as disk:
        try:
            record = newest(*copies(disk))[1]
            if record is None:
                return DiskView("", "", "", "both copies of the boot record are garbage")
            return DiskView(
                record.good.value, record.next.value if record.next else "-", _verified(disk, record.good)
            )
        except (DiskCorrupt, ForeignDisk) as error:
            return DiskView("", "", "", error.message)


def _verified(disk: Disk, slot: Slot) -> str:
    loaded = load(disk, slot)
    root = volume(disk, layout.root(slot))
    verified = VerifiedRoot(root, hash_offset=loaded.hash_offset, root_hash=loaded.root_hash)
    for first, count in verified.chunks():
        verified.read(first, count)
    return loaded.root_hash.hex()


def serves(release: Release, view: NodeView, disk: DiskView) -> list[Finding]:
    """One node serves one release: says the Node, says its OSInstance, says its disk."""
    name = view.name
    return [
        Finding(view.ready and not view.cordoned, f"{name} is Ready and in service"),
        Finding(view.system == release.system, f"{name} runs {release.system}", f"Node says {view.system!r}"),
        Finding(
            view.booted_digest == release.digest and view.settled,
            f"{name} has confirmed {release.version}",
            f"OSInstance says {view.phase}, booted {view.booted_slot} {view.booted_digest[:19]}",
        ),
        Finding(
            (disk.root_hash, disk.next, disk.damage) == (release.root_hash, "-", ""),
            f"{name}'s disk boots {release.version}, every block verified",
            disk.damage or f"good={disk.good} next={disk.next} root hash {disk.root_hash[:12]}",
        ),
    ]


def all_serve(
    release: Release, views: Mapping[str, NodeView], disks: Mapping[str, Path], machines: int
) -> list[Finding]:
    """Every machine serves the release."""
    found = [Finding(len(views) == machines, f"all {machines} machines are in the cluster", f"{len(views)}")]
    for view in views.values():
        found += serves(release, view, read_disk(disks[view.name]))
    return found


def complete(system: OSView, release: Release) -> list[Finding]:
    """The OS object says that the rollout is done."""
    return [
        Finding(
            (system.phase, system.target) == ("Complete", release.digest),
            f"the OS object is Complete with {release.version}",
            f"it is {system.phase}",
        )
    ]


def refused(system: OSView, bad: Release, views: Iterable[NodeView]) -> list[Finding]:
    """The rollout stopped, and the bad release is barred wherever it was tried."""
    tried = {row.node for row in system.failed if row.digest == bad.digest}
    barred = {view.name for view in views if bad.digest in view.barred}
    return [
        Finding(system.phase == "Halted", "the rollout halted", f"it is {system.phase}"),
        Finding(bool(tried), f"{bad.version} is recorded as failed", f"on {', '.join(sorted(tried))}"),
        Finding(
            tried <= barred and bool(barred),
            f"{bad.version} is barred where it failed",
            f"on {', '.join(sorted(barred))}",
        ),
    ]

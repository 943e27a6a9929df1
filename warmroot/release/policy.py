"""Whether a release that is signed and whole may be installed on this node: the anti-rollback rule. Pure."""

from __future__ import annotations

from collections.abc import Container

from warmroot.errors import Replayed
from warmroot.release.manifest import Manifest


def may_install(
    manifest: Manifest,
    digest: str,
    *,
    running_seq: int,
    floor: int,
    lowest: int = 0,
    confirmed: Container[str] = (),
) -> None:
    """Returns if the release may be written to this node (node.md, Trust).

    `running_seq` is the sequence of what runs, `floor` the highest one that was ever confirmed here, `lowest`
    the `min_seq` of what runs, `confirmed` the digests that were confirmed here: one of them may come back
    (a rollback), but never from below `lowest`.

    Raises:
        Replayed: it is older than what this node has seen.
    """
    if manifest.release_seq < lowest:
        raise Replayed(
            f"{manifest.version} has sequence {manifest.release_seq}; what runs bars all below {lowest}",
            hint="publish its content again as a release with a higher sequence",
        )
    newest = max(running_seq, floor)
    if manifest.release_seq >= newest or digest in confirmed:
        return
    if manifest.allow_downgrade_from is not None and newest <= manifest.allow_downgrade_from:
        return
    raise Replayed(
        f"{manifest.version} has sequence {manifest.release_seq}; this node has confirmed {newest}",
        hint="to go back on purpose, publish a manifest whose allowDowngradeFrom names that sequence",
    )

"""One short name for one rollout, by which the logs of operator and proxies are put together."""

from __future__ import annotations

from warmroot.nodeconfig import of_target

_LENGTH = 12
"""Digits of a digest: enough to tell releases of one cluster apart, and to read aloud."""


def rollout_id(os: str, target: str | None) -> str:
    """`workers/3f2a9c01b7de`: the OS object and the release that it rolls out. Empty where there is none.

    Kernel arguments that belong to the target are left out: whoever looks for a release finds both.
    """
    if not os or not target:
        return ""
    return f"{os}/{of_target(target)[0].partition(':')[2][:_LENGTH]}"

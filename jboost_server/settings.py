"""What the operator of a cache service decides about it."""

from __future__ import annotations

from dataclasses import dataclass

from jboost_server.core.leases import MAX_SLOTS
from jboost_server.core.merge import MAX_TEXT
from jboost_server.core.promotion import MAX_MS, MAX_SAMPLES, MIN_SAMPLES
from warmroot.errors import UserError


@dataclass(frozen=True)
class Caps:
    """The most that one request may bring, in bytes; then the most keys of a group and groups of a tenant."""

    class_list: int = MAX_TEXT
    aot: int = 512 * 2**20
    archive: int = 4 * 2**30
    keys: int = 200
    groups: int = 500


@dataclass(frozen=True)
class Policy:
    """How the service learns and promotes.

    `recorders` a key has at most; a line of a class list is built of if `threshold` of them saw it: above
    one, what only few pods' traffic needs is left out with the junk. `settle` is how many seconds a recorder
    goes on after it is ready, `lease` how many it has in all, and `order` a builder. `min_gain` in percent
    and `min_saved` in milliseconds, of `samples` starts a side. After `waive_after` pods with a good
    preflight the others need none; after `withdraw_after` whose JVM refused an archive, or died of it, it is
    withdrawn. `fresh` is for how many seconds an answer may be made of what was read before.

    Raises:
        UserError: a value that makes no sense.
    """

    recorders: int = 1
    settle: int = 60
    lease: int = 1800
    order: int = 3600
    threshold: int = 1
    min_gain: int = 10
    min_saved: int = 0
    samples: int = MIN_SAMPLES
    waive_after: int = 5
    withdraw_after: int = 3
    fresh: float = 1.0
    caps: Caps = Caps()

    def __post_init__(self) -> None:
        for name, least, most in (
            ("recorders", 0, MAX_SLOTS),
            ("settle", 0, 86_400),
            ("lease", 1, 7 * 86_400),
            ("order", 1, 7 * 86_400),
            ("threshold", 1, MAX_SLOTS),
            ("min_gain", 0, 99),
            ("min_saved", 0, MAX_MS),
            ("samples", MIN_SAMPLES, MAX_SAMPLES),
            ("waive_after", 1, 64),
            ("withdraw_after", 1, 64),
        ):
            if not least <= getattr(self, name) <= most:
                option = "--" + name.replace("_", "-")
                raise UserError(
                    f"{option} {getattr(self, name)} makes no sense", hint=f"{least} to {most} do"
                )

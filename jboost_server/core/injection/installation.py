"""What the operator of an installation decides about injected pods."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from warmroot.errors import UserError

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([KMGTPE]i|[mkMGTPE])|[eE]([+-]?[0-9]{1,2}))?")
_UNITS = {
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    **{unit: Decimal(10 ** (3 * power)) for power, unit in enumerate("MGTPE", 2)},
    **{f"{unit}i": Decimal(2 ** (10 * power)) for power, unit in enumerate("KMGTPE", 1)},
}


@dataclass(frozen=True)
class Installation:
    """Where pods find what they need.

    `server` is the cache service's URL. `agent_image` holds `/agent.jar`, and `cp` unless `image_volumes`
    says that the cluster mounts images as volumes; it is pulled as `agent_pull` says. Neither is asked for
    where the controller has put the ConfigMap `agent_map` into the pod's own namespace. `keys` is a ConfigMap
    there, whose `keys` has the service's public keys. `room` is the most that a pod keeps of archives, a
    quantity of bytes.

    Raises:
        UserError: a value that makes no sense.
    """

    agent_image: str
    server: str = "http://jboost.warmroot-jboost.svc:8780"
    agent_pull: str = "IfNotPresent"
    image_volumes: bool = False
    keys: str = "jboost-keys"
    room: str = "1Gi"
    agent_map: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"https?://[^\s$]+", self.server):
            raise UserError(
                f"--server {self.server} is no address", hint="such as http://jboost.NAMESPACE.svc:8780"
            )
        if self.agent_pull not in {"Always", "IfNotPresent", "Never"}:
            raise UserError(f"--agent-pull {self.agent_pull} is none", hint="Always, IfNotPresent or Never")
        if not bytes_of(self.room):
            raise UserError(f"--room {self.room} is no amount of bytes", hint="such as 1Gi")


def bytes_of(quantity: object) -> int | None:
    """Bytes in a quantity as Kubernetes writes it, rounded down; None if it is none."""
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        return None
    return int(Decimal(match[1]) * _UNITS.get(match[2] or "", Decimal(1)) * Decimal(10) ** int(match[3] or 0))

"""`OS.spec.config`: the settings of the selected nodes. What is wanted, not how a node gets there.

What a schema can't say about it, `warmroot/nodeconfig.py` checks.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, JsonValue

from warmroot import nodeconfig
from warmroot.api.base import Model

_OPEN: dict[str, JsonValue] = {"x-kubernetes-preserve-unknown-fields": True}


class Limit(Model):
    """One line of limits.conf(5)."""

    domain: str = Field(description="A user, @group or *.", max_length=128)
    type: str = Field(
        description="soft, hard or - for both.", json_schema_extra={"enum": ["soft", "hard", "-"]}
    )
    item: str = Field(description="What is limited, such as nofile.", max_length=16)
    value: str = Field(description="A number, or unlimited.", max_length=20)


class ConfigFile(Model):
    """One file below /etc."""

    path: str = Field(
        description="Where it is, below /etc. What belongs to the image or to this node is refused.",
        pattern=r"^/etc(/[A-Za-z0-9._@:+-]+)+$",
        max_length=512,
    )
    content: str = Field(description="What is in it.", max_length=65536)
    mode: str = Field(default="0644", description="Its permissions, in octal.", pattern="^0[0-7]{3}$")
    restart: tuple[str, ...] = Field(
        default=(), description="Units to restart when it changes, such as chrony.service.", max_length=8
    )


class NodeConfig(Model):
    """Settings of a node. Each section takes the least disruption that it can."""

    sysctl: dict[str, str] = Field(
        default_factory=dict,
        description="Kernel settings by name, such as net.core.somaxconn. Changed while the node works.",
    )
    kubelet: dict[str, Any] = Field(
        default_factory=dict,
        description="Merged into the KubeletConfiguration of the image. The kubelet restarts; pods run on.",
        json_schema_extra=_OPEN,
    )
    containerd: dict[str, Any] = Field(
        default_factory=dict,
        description="Merged into the configuration of containerd, which restarts; containers run on.",
        json_schema_extra=_OPEN,
    )
    limits: tuple[Limit, ...] = Field(
        default=(), description="Limits of sessions that begin from then on.", max_length=64
    )
    files: tuple[ConfigFile, ...] = Field(default=(), description="Further files of /etc.", max_length=64)
    kernel_arguments: tuple[str, ...] = Field(
        default=(),
        description="Put behind the image's own, such as mitigations=auto. A change is a boot of its own, "
        "drained, tried and taken back like that of a release.",
        max_length=64,
    )

    def text(self) -> str:
        """As it is ordered of a node: canonical JSON, empty if nothing is wanted.

        Raises:
            ValueError: no node may do what it says.
        """
        text = nodeconfig.encode(self.wire())
        nodeconfig.parse(text)
        return text

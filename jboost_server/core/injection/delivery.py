"""The agent as a ConfigMap of the pods' own namespace: no container copies it, and no image has to be pulled.

A kubelet looks about once a second whether an init container has ended, so each one costs a start up to that.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

FILE = "agent.jar"
Object = dict[str, Any]


@dataclass(frozen=True)
class Agent:
    """One version of the agent: its name is that of its ConfigMap, and says what is in it."""

    name: str
    jar: bytes

    @classmethod
    def of(cls, jar: bytes) -> Agent:
        """The agent in these bytes."""
        return cls(f"jboost-agent-{hashlib.sha256(jar).hexdigest()[:12]}", jar)

    def probe(self, namespace: str) -> Object:
        """What is small, and would be refused as its ConfigMap would if that is there already."""
        meta = {"name": self.name, "namespace": namespace}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}

    def config_map(self, namespace: str, labels: dict[str, str]) -> Object:
        """Its ConfigMap. Nobody changes it: another version is another name."""
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self.name, "namespace": namespace, "labels": labels},
            "immutable": True,
            "binaryData": {FILE: base64.b64encode(self.jar).decode()},
        }

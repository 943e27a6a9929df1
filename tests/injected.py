"""Pods and JavaCaches for tests of the injection, and a JSON patch carried out as the API server does it."""

from __future__ import annotations

import copy
from typing import Any

from jboost_server.core.injection.choose import Cache, cache_of
from jboost_server.core.injection.delivery import Agent
from jboost_server.core.injection.installation import Installation

SPACE = "shop"
AGENT_IMAGE = "registry.example/warmroot/jboost-agent:0.1.0"
INSTALLATION = Installation(AGENT_IMAGE)
AGENT = Agent.of(b"PK\x03\x04 the agent")
"""As a controller brings it that was given its jar."""


def cache(name: str = "orders", namespace: str = SPACE, *, agent: str = "", **spec: Any) -> Cache:
    """A JavaCache that selects the pods of `pod`, unless it is told otherwise; `agent` is what its namespace
    has of one.
    """
    chosen = {"selector": {"matchLabels": {"app": "orders"}}} | spec
    meta, status = {"name": name, "namespace": namespace}, {"agent": agent} if agent else {}
    return cache_of({"metadata": meta, "spec": chosen, "status": status})


def container(name: str = "app", **more: Any) -> dict[str, Any]:
    """One that starts a jar."""
    return {"name": name, "image": "shop/orders:1", "command": ["java", "-jar", "/app/app.jar"]} | more


def pod(*containers: dict[str, Any], meta: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A pod of the application, with these containers or the usual one."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "orders-", "labels": {"app": "orders"}} | (meta or {}),
        "spec": {"containers": list(containers) or [container()]} | spec,
    }


def patched(document: Any, operations: Any) -> Any:
    """RFC 6902, `add`, `remove` and `replace`, into a new document."""
    result = {"": copy.deepcopy(document)}
    for one in operations:
        *way, last = [step.replace("~1", "/").replace("~0", "~") for step in one["path"].split("/")]
        holder: Any = result
        for step in way:
            holder = holder[int(step)] if isinstance(holder, list) else holder[step]
        if isinstance(holder, list):
            at = int(last)
            assert 0 <= at < len(holder) + (one["op"] == "add")
            if one["op"] == "add":
                holder.insert(at, one["value"])
            elif one["op"] == "remove":
                del holder[at]
            else:
                holder[at] = one["value"]
        elif one["op"] == "remove":
            del holder[last]
        else:
            assert one["op"] == "add" or last in holder
            holder[last] = one["value"]
    return result[""]

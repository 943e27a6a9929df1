"""The ServiceAccount that a program in a pod runs under, as the token that its kubelet gave it says."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from warmroot.kube.cluster import Object

TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def owned_in(namespace: str, token: Path = TOKEN) -> dict[str, list[Object]]:
    """Metadata of what we make for ourselves in a namespace: it goes when our ServiceAccount goes.

    Nobody else would delete it: what installs and removes us does not know of it. Empty where we run outside
    of a pod, or in another namespace: an owner has to be in the same one.
    """
    try:
        claims = _claims(token.read_text())
        account = claims["serviceaccount"]
        owner = {"apiVersion": "v1", "kind": "ServiceAccount", "name": account["name"], "uid": account["uid"]}
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return {}
    return {"ownerReferences": [owner]} if claims.get("namespace") == namespace else {}


def _claims(token: str) -> dict[str, Any]:
    """What a token says of Kubernetes. Nothing is decided by it: the API server verifies it, we don't."""
    payload = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["kubernetes.io"])

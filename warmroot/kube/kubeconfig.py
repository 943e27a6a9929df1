"""The part of a kubeconfig that the proxy and the test bed need: one server, certificate or token."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from warmroot.errors import UserError


@dataclass(frozen=True)
class KubeConfig:
    """The current context, files read."""

    server: str
    ca: bytes | None = None
    client_cert: bytes | None = None
    client_key: bytes | None = None
    token: str | None = None
    token_file: Path | None = None


def load(path: Path) -> KubeConfig:
    """The current context of a kubeconfig file.

    Raises:
        UserError: the file is missing, is no kubeconfig, or needs an exec plug-in.
    """
    try:
        document: dict[str, Any] = yaml.safe_load(path.read_text())
        context = _named(document["contexts"], document["current-context"])["context"]
        cluster = _named(document["clusters"], context["cluster"])["cluster"]
        user = _named(document["users"], context["user"])["user"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a usable kubeconfig: {error}", hint="set KUBECONFIG") from error
    if "exec" in user:
        raise UserError(f"{path} asks for an exec plug-in", hint="use a certificate or a token file")
    token_file = user.get("tokenFile")
    return KubeConfig(
        server=str(cluster["server"]).rstrip("/"),
        ca=_data(cluster, "certificate-authority", path),
        client_cert=_data(user, "client-certificate", path),
        client_key=_data(user, "client-key", path),
        token=user.get("token"),
        token_file=path.parent / token_file if token_file else None,
    )


def _named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for item in items:
        if item["name"] == name:
            return item
    raise KeyError(name)


def _data(source: dict[str, Any], key: str, path: Path) -> bytes | None:
    if f"{key}-data" in source:
        return base64.b64decode(source[f"{key}-data"])
    if key in source:
        return (path.parent / str(source[key])).read_bytes()
    return None

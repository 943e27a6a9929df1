"""From a configuration to the files of /etc that make it true, and to what has to take notice of a change.

Pure. Every section becomes files: what is in force is then a matter of files alone, which the node's own
`configure` brings in line at each boot and at each change (docs/node-configuration.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from warmroot.nodeconfig import NodeConfig

SYSCTL = "/etc/sysctl.d/90-warmroot.conf"
LIMITS = "/etc/security/limits.d/90-warmroot.conf"
KUBELET = "/etc/kubernetes/kubelet.conf.d/90-warmroot.conf"
CONTAINERD = "/etc/containerd/conf.d/90-warmroot.toml"
CONTAINERD_BASE = "/etc/containerd/config.toml"
"""The image's own; it imports the other one, which wins plugin by plugin."""
UNITS = "/etc/systemd/system/"
_HEAD = "# Written by warmroot from OS.spec.config; edits are lost.\n"
_KUBELET_KIND = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
_READERS = {
    SYSCTL: ("systemd-sysctl.service",),
    CONTAINERD: ("containerd.service",),
    KUBELET: ("kubelet.service",),
}
_ORDER = ("systemd-sysctl.service", "containerd.service", "kubelet.service")
"""What is restarted goes in this order, others before: a kubelet finds its runtime as it will be."""


@dataclass(frozen=True)
class Rendered:
    """One file. `restart` are the units that read it only when they start."""

    data: bytes
    mode: int = 0o644
    restart: tuple[str, ...] = ()


def render(config: NodeConfig, containerd_base: Mapping[str, Any]) -> dict[str, Rendered]:
    """Every file of a configuration by its path; `containerd_base` is the image's own configuration of it."""
    files = {
        one.path: Rendered(one.content.encode(), int(one.mode, 8), (*one.restart, *_readers(one.path)))
        for one in config.files
    }
    if config.sysctl:
        lines = "".join(f"{key} = {value}\n" for key, value in sorted(config.sysctl.items()))
        files[SYSCTL] = _of_ours(SYSCTL, _HEAD + lines)
    if config.limits:
        lines = "".join(f"{one.domain} {one.type} {one.item} {one.value}\n" for one in config.limits)
        files[LIMITS] = _of_ours(LIMITS, _HEAD + lines)
    if config.kubelet:
        files[KUBELET] = _of_ours(KUBELET, json.dumps(_KUBELET_KIND | dict(config.kubelet), indent=1) + "\n")
    if config.containerd:
        files[CONTAINERD] = _of_ours(CONTAINERD, _HEAD + _containerd(config.containerd, containerd_base))
    return files


def _of_ours(path: str, text: str) -> Rendered:
    return Rendered(text.encode(), 0o644, _READERS.get(path, ()))


def _readers(path: str) -> tuple[str, ...]:
    """The unit whose drop-in this is, or that reads the whole folder."""
    if path.startswith("/etc/sysctl.d/"):
        return _READERS[SYSCTL]
    if not path.startswith(UNITS):
        return ()
    folder = path.removeprefix(UNITS).split("/")[0]
    return (folder.removesuffix(".d"),) if folder.endswith(".service.d") else ()


def _containerd(wanted: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """What containerd imports. It replaces a plugin's settings as a whole, so all of a plugin's are here."""
    import tomli_w  # when it is needed: the proxy's memory is a promise

    whole = dict(wanted)
    plugins = base.get("plugins", {})
    if isinstance(wanted.get("plugins"), dict):
        whole["plugins"] = {
            name: merged(plugins.get(name, {}), settings) for name, settings in wanted["plugins"].items()
        }
    return tomli_w.dumps({"version": base.get("version", 2)} | _without_nulls(whole))


def merged(base: Any, over: Any) -> Any:
    """Two trees as one: objects key by key, anything else as `over` has it."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {**base, **{key: merged(base.get(key), value) for key, value in over.items()}}


def _without_nulls(tree: Any) -> Any:
    """TOML has no null: what is null is not said."""
    if isinstance(tree, dict):
        return {key: _without_nulls(value) for key, value in tree.items() if value is not None}
    if isinstance(tree, list):
        return [_without_nulls(value) for value in tree if value is not None]
    return tree


@dataclass(frozen=True)
class Change:
    """What a change of files asks for. `reload`: systemd has to read its units anew."""

    restart: tuple[str, ...] = ()
    reload: bool = False
    needs_boot: bool = False
    """Something was taken away that stays in force until the next boot."""

    def then(self, other: Change) -> Change:
        """Both, one after the other."""
        return Change(
            _in_order({*self.restart, *other.restart}),
            self.reload or other.reload,
            self.needs_boot or other.needs_boot,
        )


def change(before: Mapping[str, Rendered], after: Mapping[str, Rendered]) -> Change:
    """What has to be done once `after` lies in /etc in place of `before`."""
    touched = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    units = {
        unit
        for path in touched
        for one in (before.get(path), after.get(path))
        if one is not None
        for unit in one.restart
    }
    dropped = _keys(before.get(SYSCTL)) - _keys(after.get(SYSCTL))
    return Change(
        restart=_in_order(units),
        reload=any(path.startswith(UNITS) for path in touched),
        needs_boot=bool(dropped),
    )


def _keys(sysctl: Rendered | None) -> frozenset[str]:
    lines = sysctl.data.decode().splitlines() if sysctl else ()
    return frozenset(line.partition(" = ")[0] for line in lines if not line.startswith("#"))


def _in_order(units: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(units, key=lambda unit: (_ORDER.index(unit) if unit in _ORDER else -1, unit)))

"""The configuration of a node, as its OS object wants it: what it may say, and what identifies it.

It travels from the operator to a node as one text, canonical JSON of `OS.spec.config`; its revision is the
digest of that text, so both sides speak of the same bytes and nobody keeps a version by hand. `parse` refuses
what no node could carry out; the operator asks before it orders anything, a node before it writes anything.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from warmroot import canonical
from warmroot.canonical import check

NONE = ""
"""The revision of a node for which nothing is wanted."""
MAX_BYTES = 128 * 1024
"""Of the text. An OSInstance carries it, and etcd takes 1.5 MiB for an object."""
SECTIONS = ("containerd", "files", "kernelArguments", "kubelet", "limits", "sysctl")
MAX_ARGUMENTS = 384
"""Bytes of all kernel arguments: with what says that they are whole, they fill one sector."""
IMAGE_ARGUMENTS = frozenset(
    {
        *("root", "rootflags", "rootfstype", "ro", "rw", "init", "rdinit", "initrd", "noinitrd"),
        *("panic", "oops", "softlockup_panic", "hung_task_panic", "nowatchdog", "BOOT_IMAGE"),
        *("dm-mod.create", "dm_verity.dev_wait", "systemd.unit", "systemd.gpt_auto"),
    }
)
"""Kernel arguments that belong to the image: what it starts from, and what ends a start that hangs."""
IMAGE_KUBELET = frozenset(
    {
        *("apiVersion", "kind", "authentication", "authorization", "cgroupDriver"),
        *("containerRuntimeEndpoint", "readOnlyPort", "rotateCertificates", "volumePluginDir"),
    }
)
"""Keys of a KubeletConfiguration that belong to the image."""
IMAGE_CONTAINERD = frozenset({"version", "imports", "root", "state", "grpc"})
"""Keys of containerd's configuration that belong to the image."""
ALLOWED = "/etc/"
"""Where `files` may be."""
REFUSED = (
    *("/etc/warmroot", "/etc/kubernetes", "/etc/containerd", "/etc/machine-id", "/etc/hostname"),
    *("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid"),
    *("/etc/fstab", "/etc/os-release", "/etc/ld.so.preload"),
    *("/etc/sysctl.d/90-warmroot.conf", "/etc/security/limits.d/90-warmroot.conf"),
)
"""What is there and is somebody else's: this node's identity, the image's, or another section's."""
_KEY = re.compile(r"[a-z0-9][A-Za-z0-9_./-]{0,126}")
_PATH = re.compile(r"/etc(/[A-Za-z0-9._@:+-]{1,128}){1,8}")
_MODE = re.compile(r"0[0-7]{3}")
_UNIT = re.compile(r"[A-Za-z0-9@_.:-]{1,128}\.(service|socket|timer|target|mount|path)")
_OURS = re.compile(r"/etc/systemd/system/warmroot-")
_ARGUMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(=[A-Za-z0-9_.,:/@+%=-]*)?")
"""No quotes, blanks, `$` or backslashes: GRUB's script and its environment block give those a meaning."""
_DOMAIN = re.compile(r"[*%@]?[A-Za-z0-9_.:-]*")
_LIMIT_TYPES = frozenset({"soft", "hard", "-"})
_LIMIT_ITEMS = frozenset(
    {
        *("core", "cpu", "data", "fsize", "locks", "maxlogins", "maxsyslogins", "memlock", "msgqueue"),
        *("nice", "nofile", "nproc", "priority", "rss", "rtprio", "sigpending", "stack"),
    }
)
_LIMIT_VALUE = re.compile(r"-?[0-9]{1,19}|unlimited|infinity")


@dataclass(frozen=True)
class Limit:
    """One line of limits.conf(5)."""

    domain: str
    type: str
    item: str
    value: str


@dataclass(frozen=True)
class ConfigFile:
    """One file below /etc. `restart` are the units that read it only when they start."""

    path: str
    content: str
    mode: str = "0644"
    restart: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeConfig:
    """What is wanted of a node's settings. `kubelet` and `containerd` are merged into the image's own,
    `kernel_arguments` are put behind those of the image.
    """

    sysctl: Mapping[str, str] = field(default_factory=dict)
    kubelet: Mapping[str, Any] = field(default_factory=dict)
    containerd: Mapping[str, Any] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()
    files: tuple[ConfigFile, ...] = ()
    kernel_arguments: tuple[str, ...] = ()


def encode(tree: Mapping[str, Any]) -> str:
    """The text of a configuration; sections that say nothing are left out, and nothing at all is empty."""
    said = {name: value for name, value in tree.items() if value}
    return canonical.encode(said).decode() if said else ""


def revision(text: str) -> str:
    """What identifies a configuration: `sha256:` and its digest, or NONE."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if text else NONE


def arguments_revision(arguments: Sequence[str]) -> str:
    """What identifies kernel arguments: 16 hex digits, or NONE for no more than the image's."""
    return hashlib.sha256(" ".join(arguments).encode()).hexdigest()[:16] if arguments else NONE


def target(digest: str, arguments: str) -> str:
    """What a node is brought to by a boot: a release, and the revision of its further kernel arguments.

    A release without any is named by its digest alone. One name for both, since both are tried, confirmed,
    given up and barred together (ADR 23).
    """
    return f"{digest}+{arguments}" if arguments else digest


def of_target(name: str) -> tuple[str, str]:
    """The digest and the revision of the kernel arguments that `target` made a name of."""
    digest, _, arguments = name.partition("+")
    return digest, arguments


def parse(text: str) -> NodeConfig:
    """A configuration from its text.

    Raises:
        ValueError: it is not canonical, or says what no node may do; the message begins with the field.
    """
    if not text:
        return NodeConfig()
    check(len(text.encode()) <= MAX_BYTES, f"config has more than {MAX_BYTES} bytes")
    tree = _tree(text)
    unknown = sorted(set(tree) - set(SECTIONS))
    check(not unknown, f"config.{', '.join(unknown)} is unknown to this release")
    check(encode(tree) == text, "config is not in its canonical form")
    found = NodeConfig(
        sysctl=_sysctl(tree.get("sysctl", {})),
        kubelet=_settings("kubelet", tree.get("kubelet", {}), IMAGE_KUBELET),
        containerd=_settings("containerd", tree.get("containerd", {}), IMAGE_CONTAINERD),
        limits=tuple(_limit(f"limits[{at}]", one) for at, one in enumerate(_list(tree, "limits"))),
        files=tuple(_file(f"files[{at}]", one) for at, one in enumerate(_list(tree, "files"))),
        kernel_arguments=_arguments(_list(tree, "kernelArguments")),
    )
    paths = [one.path for one in found.files]
    check(len(set(paths)) == len(paths), "config.files names one path twice")
    for path in paths:
        inside = any(one.startswith(f"{path}/") for one in paths)
        check(not inside, f"config.files: {path} is a file, and the folder of another")
    return found


def _tree(text: str) -> dict[str, Any]:
    try:
        tree = json.loads(text)
    except RecursionError:
        raise ValueError("config is nested too deep") from None
    except ValueError as error:
        raise ValueError(f"config is not JSON: {error}") from None
    check(isinstance(tree, dict), "config is not an object")
    assert isinstance(tree, dict)
    return tree


def _list(tree: Mapping[str, Any], name: str) -> list[Any]:
    value = tree.get(name, [])
    check(isinstance(value, list), f"config.{name} is not a list")
    return list(value)


def _sysctl(tree: object) -> dict[str, str]:
    check(isinstance(tree, dict), "config.sysctl is not an object")
    assert isinstance(tree, dict)
    for key, value in tree.items():
        check(
            bool(_KEY.fullmatch(key)) and ".." not in key, f"config.sysctl: {key!r} is no name of a setting"
        )
        plain = isinstance(value, str) and value.isprintable() and 0 < len(value) <= 512
        check(plain, f"config.sysctl[{key}] is not a line of text")
    return dict(tree)


def _settings(section: str, tree: object, owned: frozenset[str]) -> dict[str, Any]:
    check(isinstance(tree, dict), f"config.{section} is not an object")
    assert isinstance(tree, dict)
    taken = sorted(owned.intersection(tree))
    check(not taken, f"config.{section}.{', '.join(taken)} belongs to the image")
    return dict(tree)


def _arguments(words: Sequence[object]) -> tuple[str, ...]:
    found: list[str] = []
    for at, word in enumerate(words):
        where = f"config.kernelArguments[{at}]"
        check(
            isinstance(word, str) and bool(_ARGUMENT.fullmatch(word)), f"{where} {word!r} is not one argument"
        )
        assert isinstance(word, str)
        name = word.partition("=")[0]
        taken = name in IMAGE_ARGUMENTS or name.startswith("wr.")
        check(not taken, f"{where}: {name} belongs to the image")
        found.append(word)
    check(
        len(" ".join(found)) <= MAX_ARGUMENTS, f"config.kernelArguments has more than {MAX_ARGUMENTS} bytes"
    )
    return tuple(found)


def _limit(where: str, tree: object) -> Limit:
    fields = canonical.Fields(f"config.{where}", tree)
    limit = Limit(fields.text("domain"), fields.text("type"), fields.text("item"), fields.text("value"))
    fields.finish()
    known = bool(limit.domain) and bool(_DOMAIN.fullmatch(limit.domain))
    check(known, f"config.{where}.domain {limit.domain!r} is no user, @group or *")
    check(limit.type in _LIMIT_TYPES, f"config.{where}.type is none of soft, hard and -")
    check(limit.item in _LIMIT_ITEMS, f"config.{where}.item {limit.item!r} is nothing that is limited")
    check(bool(_LIMIT_VALUE.fullmatch(limit.value)), f"config.{where}.value {limit.value!r} is no limit")
    return limit


def _file(where: str, tree: object) -> ConfigFile:
    fields = canonical.Fields(f"config.{where}", tree)
    restart = fields.texts("restart") if "restart" in fields.left else ()
    mode = fields.text("mode") if "mode" in fields.left else "0644"
    file = ConfigFile(fields.text("path"), fields.text("content"), mode, restart)
    fields.finish()
    check_path(f"config.{where}.path", file.path)
    check(bool(_MODE.fullmatch(mode)), f"config.{where}.mode {mode!r} is not four octal digits such as 0644")
    for unit in restart:
        check(bool(_UNIT.fullmatch(unit)), f"config.{where}.restart: {unit!r} is no name of a unit")
    return file


def check_path(where: str, path: str) -> None:
    """A file may be there.

    Raises:
        ValueError: it may not.
    """
    parts = path.split("/")
    sound = bool(_PATH.fullmatch(path)) and not {".", ".."}.intersection(parts)
    check(sound, f"{where} {path!r} is not a plain path below {ALLOWED}")
    ours = bool(_OURS.match(path))
    taken = ours or any(path == one or path.startswith(f"{one}/") for one in REFUSED)
    check(not taken, f"{where} {path} belongs to the image, to this node, or to another section")

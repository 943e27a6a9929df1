"""The build key: everything in which a pod and an archive must agree before the JVM is asked at all.

A rejected archive costs the JVM its default one, too. So what is known to matter is compared here, each part
with its own reason, and only facts that pods measured inside their own cgroup go in. What is known not to
matter stays out: it would split pods that could share (ADR 10).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from jboost_server.core.outcome import Outcome
from warmroot.canonical import Fields, check, check_integer, encode
from warmroot.errors import BadKey, TooLarge

MAX_KEY = 4 * 2**20
"""Bytes of one key in canonical form."""
MAX_CLASS_PATH = 10_000
"""Entries of one class path."""
MAX_TEXT = 4096
"""Characters of one path or option."""
OLDEST = 17
_HEX = re.compile(r"[0-9a-f]{8,128}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can spell them, UTF-8 can't


class Collectors(StrEnum):
    """Collectors whose archives are interchangeable (tried on 17 and 25)."""

    CLASSIC = "classic"
    """Serial, Parallel, G1, Shenandoah, Epsilon."""
    Z = "z"

    @classmethod
    def of(cls, collector: str) -> Collectors:
        """The family of a collector by the name of its option: `G1`, `ZGC`, `UseParallelGC`.

        Raises:
            ValueError: the JDK has no such collector.
        """
        name = collector.removeprefix("Use").removesuffix("GC").lower()
        if name == "z":
            return cls.Z
        check(name in {"serial", "parallel", "g1", "shenandoah", "epsilon"}, f"no collector {collector!r}")
        return cls.CLASSIC


@dataclass(frozen=True)
class Jvm:
    """One build of one JDK.

    `internal_version` is the text of `-Xinternalversion`. A jlinked runtime prints the same one as the whole
    JDK, and vendors rebuild one version: hence the build id or sha256 of libjvm (hex), and size (bytes) and
    sampled digest (hex) of `lib/modules`.
    """

    feature: int
    arch: str
    internal_version: str
    libjvm: str
    modules_size: int
    modules_digest: str

    def __post_init__(self) -> None:
        check_integer("jvm.feature", self.feature, least=OLDEST)
        check(bool(_WORD.fullmatch(self.arch)), f"jvm.arch {self.arch!r} is no architecture")
        _check_text("jvm.internalVersion", self.internal_version)
        check(bool(_HEX.fullmatch(self.libjvm)), "jvm.libjvm is neither a build id nor a digest")
        check_integer("jvm.modulesSize", self.modules_size, least=1)
        check(bool(_HEX.fullmatch(self.modules_digest)), "jvm.modulesDigest is no digest")


@dataclass(frozen=True)
class Ergonomics:
    """What the JVM chose, or was told, inside the pod's own cgroup with its real flags.

    `object_alignment` in bytes; `large_heap` where the heap may reach 32 GB.
    """

    compressed_oops: bool
    compressed_class_pointers: bool
    compact_headers: bool
    object_alignment: int
    large_heap: bool
    collectors: Collectors

    def __post_init__(self) -> None:
        check(
            self.object_alignment in {8, 16, 32, 64, 128, 256},
            f"ergonomics.objectAlignment {self.object_alignment} is none of the JVM's",
        )


@dataclass(frozen=True)
class Jar:
    """One entry of the class path.

    `size` in bytes, `mtime` in whole seconds since 1970, `fingerprint` the sha256 (hex) over the ZIP central
    directory. The path is absolute: a relative one holds for one working directory only.
    """

    path: str
    size: int
    mtime: int
    fingerprint: str

    def __post_init__(self) -> None:
        _check_text("classPath.path", self.path)
        check(self.path.startswith("/"), f"classPath.path {self.path!r} is not absolute")
        check(":" not in self.path, f"classPath.path {self.path!r} holds a `:`, which ends it for the JVM")
        check_integer("classPath.size", self.size, least=0)
        check_integer("classPath.mtime", self.mtime, least=0)
        check(bool(_SHA256.fullmatch(self.fingerprint)), "classPath.fingerprint is no sha256")


@dataclass(frozen=True)
class BuildKey:
    """What has to be the same. `module_options` and `agents` as `options.normalise` gives them.

    `cpu` is the sorted set of CPU features; empty where the archive holds no machine code.
    """

    jvm: Jvm
    ergonomics: Ergonomics
    class_path: tuple[Jar, ...]
    module_options: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check(1 <= len(self.class_path) <= MAX_CLASS_PATH, f"classPath has not 1 to {MAX_CLASS_PATH} entries")
        for name, values in (("moduleOptions", self.module_options), ("agents", self.agents)):
            for value in values:
                _check_text(name, value)
        check(self.module_options == tuple(sorted(set(self.module_options))), "moduleOptions are not sorted")
        check(self.cpu == tuple(sorted(set(self.cpu))), "cpu is not a sorted set")
        check(all(map(_WORD.fullmatch, self.cpu)), "cpu holds what is no feature's name")

    @cached_property
    def digest(self) -> str:
        """The key's name: sha256 of its canonical form, in hex (a `:` in a file's name breaks JDKs)."""
        return hashlib.sha256(self.encode()).hexdigest()

    def encode(self) -> bytes:
        """The only form of this key."""
        return encode(self.tree())

    def tree(self) -> dict[str, Any]:
        """The key as it stands in a manifest."""
        jvm, chosen = self.jvm, self.ergonomics
        return {
            "jvm": {
                "feature": jvm.feature,
                "arch": jvm.arch,
                "internalVersion": jvm.internal_version,
                "libjvm": jvm.libjvm,
                "modulesSize": jvm.modules_size,
                "modulesDigest": jvm.modules_digest,
            },
            "ergonomics": {
                "compressedOops": chosen.compressed_oops,
                "compressedClassPointers": chosen.compressed_class_pointers,
                "compactHeaders": chosen.compact_headers,
                "objectAlignment": chosen.object_alignment,
                "largeHeap": chosen.large_heap,
                "collectors": chosen.collectors.value,
            },
            "classPath": [[jar.path, jar.size, jar.mtime, jar.fingerprint] for jar in self.class_path],
            "moduleOptions": list(self.module_options),
            "agents": list(self.agents),
            "cpu": list(self.cpu),
        }


def decode(data: bytes) -> BuildKey:
    """The key in these bytes, which a stranger sent.

    Raises:
        TooLarge: longer than any key is.
        BadKey: not the canonical form of a key; the message names what is odd.
    """
    if len(data) > MAX_KEY:
        raise TooLarge(f"a build key of more than {MAX_KEY} bytes")
    try:
        key = from_tree(json.loads(data))
        canonical = key.encode()
    except (ValueError, RecursionError) as error:
        raise BadKey(f"not a build key: {error}") from error
    if canonical != data:
        raise BadKey("the build key is not in canonical form")
    return key


def from_tree(tree: object) -> BuildKey:
    """The key that `tree` came from.

    Raises:
        ValueError: names the field that is odd.
    """
    top = Fields("key", tree)
    jvm, chosen = (Fields(name, top.take(name)) for name in ("jvm", "ergonomics"))
    key = BuildKey(
        jvm=Jvm(
            feature=jvm.integer("feature"),
            arch=jvm.text("arch"),
            internal_version=jvm.text("internalVersion"),
            libjvm=jvm.text("libjvm"),
            modules_size=jvm.integer("modulesSize"),
            modules_digest=jvm.text("modulesDigest"),
        ),
        ergonomics=Ergonomics(
            compressed_oops=chosen.boolean("compressedOops"),
            compressed_class_pointers=chosen.boolean("compressedClassPointers"),
            compact_headers=chosen.boolean("compactHeaders"),
            object_alignment=chosen.integer("objectAlignment"),
            large_heap=chosen.boolean("largeHeap"),
            collectors=Collectors(chosen.text("collectors")),
        ),
        class_path=tuple(map(_jar, top.items("classPath"))),
        module_options=top.texts("moduleOptions"),
        agents=top.texts("agents"),
        cpu=top.texts("cpu"),
    )
    for fields in (top, jvm, chosen):
        fields.finish()
    return key


@dataclass(frozen=True)
class Difference:
    """One part in which a pod differs from an archive: the outcome that it means, and words for a person."""

    outcome: Outcome
    what: str


def differences(archive: BuildKey, pod: BuildKey) -> tuple[Difference, ...]:
    """Every part in which the two differ, the gravest first; empty exactly if the keys are equal."""
    found: list[Difference] = []
    for outcome, ours, theirs in (
        (Outcome.BUILD, archive.jvm, pod.jvm),
        (Outcome.COOPS, archive.ergonomics, pod.ergonomics),
    ):
        for name in ours.__dataclass_fields__:
            one, other = getattr(ours, name), getattr(theirs, name)
            if one != other:
                reason = Outcome.GC if name == "collectors" else outcome
                found.append(Difference(reason, f"{name}: archive {one}, pod {other}"))
    if (jars := _first_jar(archive.class_path, pod.class_path)) is not None:
        found.append(Difference(Outcome.CLASSPATH, jars))
    for outcome, one, other in (
        (Outcome.MODULE_OPTS, archive.module_options, pod.module_options),
        (Outcome.AGENT, archive.agents, pod.agents),
        (Outcome.CPU, archive.cpu, pod.cpu),
    ):
        if one != other:
            found.append(Difference(outcome, f"archive {_words(one)}, pod {_words(other)}"))
    return tuple(found)


def _first_jar(archive: tuple[Jar, ...], pod: tuple[Jar, ...]) -> str | None:
    for number, (ours, theirs) in enumerate(zip(archive, pod, strict=False), 1):
        if ours.path != theirs.path:
            return f"entry {number}: archive {ours.path}, pod {theirs.path}"
        for name in ("size", "mtime", "fingerprint"):
            one, other = getattr(ours, name), getattr(theirs, name)
            if one != other:
                return f"{ours.path}: {name}: archive {one}, pod {other}"
    if len(archive) != len(pod):
        return f"archive has {len(archive)} entries, pod {len(pod)}"
    return None


def _words(values: tuple[str, ...]) -> str:
    return " ".join(values) or "none"


def _jar(item: object) -> Jar:
    match item:
        case [str(path), int(size), int(mtime), str(fingerprint)] if bool not in {type(size), type(mtime)}:
            return Jar(path, size, mtime, fingerprint)
    raise ValueError("classPath holds what is not [path, size, mtime, fingerprint]")


def _check_text(field: str, value: str) -> None:
    check(0 < len(value) <= MAX_TEXT, f"{field} has not 1 to {MAX_TEXT} characters")
    check(not _CONTROL.search(value), f"{field} holds control characters")
    check(not _SURROGATE.search(value), f"{field} is no text")

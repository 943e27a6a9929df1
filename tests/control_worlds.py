"""What the controller of JavaCaches sees, for its tests: caches, keys, Jobs, and pods that were injected."""

from __future__ import annotations

from functools import cache as cache_
from typing import Any

from jboost_server.core.control.builder import job
from jboost_server.core.control.shape import Shape, shapes_of
from jboost_server.core.control.world import (
    Archive,
    Build,
    Cache,
    Key,
    Phase,
    Start,
    Told,
    World,
)
from jboost_server.core.injection.inject import inject
from jboost_server.core.progress import Stage
from tests.injected import INSTALLATION, SPACE
from tests.injected import cache as chosen
from tests.injected import pod as plain
from warmroot.api.javacache import JavaCacheSpec, JavaCacheStatus

NOW = 1_800_000_000.0
NAME = (SPACE, "orders")
K1, K2 = "1" * 64, "2" * 64
ARCHIVE = Archive("a" * 64, 1 << 20, 1_799_000_000, 4620, 2740)


def cache(name: tuple[str, str] = NAME, status: JavaCacheStatus | None = None, **spec: Any) -> Cache:
    wanted = JavaCacheSpec.model_validate({"selector": {"matchLabels": {"app": "orders"}}} | spec)
    return Cache(name, "uid-of-" + name[1], 1, "10", wanted, status or JavaCacheStatus())


def key(digest: str = K1, stage: Stage = Stage.LEARNING, **more: Any) -> Key:
    said = {"why": "1 of 3 recordings are there", "recordings": 1, "jdk": "17.0.15+6", "arch": "amd64"} | more
    return Key(digest=digest, stage=stage, **said)


def wanted(digest: str = K1, **more: Any) -> Key:
    return key(digest, wanted=True, **more)


def serving(digest: str = K1, **more: Any) -> Key:
    return key(digest, Stage.SERVING, **{"why": "40 % faster", "archive": ARCHIVE} | more)


def build(
    phase: Phase = Phase.ACTIVE, attempt: int = 1, shape: str = "", digest: str = K1, **more: Any
) -> Build:
    rest = {"cache": NAME, "ended": 0.0 if phase is Phase.ACTIVE else NOW - 60} | more
    return Build(key=digest, attempt=attempt, shape=shape, phase=phase, **rest)


def injected(
    one: dict[str, Any] | None = None, uid: str = "pod-1", made: str = "2027-01-01T00:00:00Z"
) -> Any:
    """A pod as the webhook leaves it and the API server has it."""
    pod = inject(one or plain(), SPACE, [chosen()], INSTALLATION).pod
    return pod | {"metadata": pod["metadata"] | {"uid": uid, "creationTimestamp": made}}


def shapes(*pods: dict[str, Any]) -> tuple[Shape, ...]:
    return shapes_of(pods or [injected()], chosen())


@cache_
def one_shape() -> tuple[Shape, ...]:
    """That of the usual pod."""
    return shapes()


def world(*keys: Key, builds: tuple[Build, ...] = (), at: float = NOW, **more: Any) -> World:
    """One cache with these keys; its pods are of one shape unless others are given."""
    seen = {"caches": {NAME: cache()}, "told": {NAME: Told(at, keys)}, "shapes": {NAME: one_shape()}} | more
    return World(builds=builds, **seen)


def made_of(one: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """The Job that is made like this pod."""
    (shape,) = shapes(injected(one))
    return job(Start(cache(), wanted(**more), 1, shape), INSTALLATION)


def violations(spec: dict[str, Any]) -> list[str]:
    """What of a pod the restricted standard does not let in, as far as our Jobs could have it.

    Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/; a test of the API holds the
    same Jobs against the API server's own judgement.
    """
    pods = spec.get("securityContext") or {}
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    kinds = {name for one in spec.get("volumes") or () for name in one if name != "name"}
    found += sorted(kinds - {"configMap", "secret", "downwardAPI", "projected", "emptyDir", "image"})
    for one in [*spec["containers"], *(spec.get("initContainers") or ())]:
        own = one.get("securityContext") or {}
        seccomp = own.get("seccompProfile") or pods.get("seccompProfile") or {}
        checks = {
            "privileged": not own.get("privileged"),
            "escalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "root": own.get("runAsNonRoot") is True and own.get("runAsUser", 1) != 0,
            "seccomp": seccomp.get("type") in ("RuntimeDefault", "Localhost"),
            "selinux": set(own.get("seLinuxOptions") or {}) <= {"level"},
            "apparmor": (own.get("appArmorProfile") or {}).get("type") != "Unconfined",
            "procMount": "procMount" not in own,
            "ports": not any("hostPort" in port for port in one.get("ports") or ()),
        }
        found += [f"{one['name']}: {name}" for name, holds in checks.items() if not holds]
    return found

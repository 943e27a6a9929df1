"""What is added to a pod: volumes, the container that brings the agent, those that run it, one variable."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Set
from typing import Any

from jboost_server.core.injection.application import OPTIONS, OURS, VARIABLES, Application, readiness
from jboost_server.core.injection.choose import Cache
from jboost_server.core.injection.installation import Installation
from jboost_server.core.injection.variables import named, put_aside, referring

AGENT, RUN, KEYS, TOKEN = "jboost-agent", "jboost", "jboost-keys", "jboost-token"
"""Volumes; the container that copies the agent has the first one's name, too."""
VOLUMES = (AGENT, RUN, KEYS, TOKEN)
FETCH = "jboost-fetch"
"""The container that runs the agent; of several the next ones are jboost-fetch-2 and so on."""
AUDIENCE = "jboost.warmroot.io"
_NOBODY = 65532
"""User of the container that copies the agent, where the pod names none."""
RECORD = "jboost-record"
"""The native sidecar that sends what a container recorded; the next ones are jboost-record-2 and so on."""
_SMALL = {
    "requests": {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "1Mi"},
    "limits": {"cpu": "500m", "memory": "256Mi", "ephemeral-storage": "64Mi"},
}
"""Of the sidecar, as far as the application says anything of the same."""
_AS_THE_APPLICATION = ("image", "imagePullPolicy", "workingDir", "envFrom")
Object = dict[str, Any]


def audience(group: str, base: str = AUDIENCE) -> str:
    """Of a token that is good for one group of its namespace alone."""
    return f"{base}/{group}"


def delivered(installation: Installation, agent: str) -> str:
    """The ConfigMap that a pod mounts the agent from; empty if its namespace has none of our version: `agent`
    is the one that it has.
    """
    return agent if agent == installation.agent_map else ""


def copies(installation: Installation, agent: str) -> bool:
    """Whether a container has to copy the agent from its image."""
    return not (delivered(installation, agent) or installation.image_volumes)


def volumes(installation: Installation, cache: str, agent: str) -> list[Object]:
    """Of all containers together. Without the ConfigMap of keys a pod starts, and believes no archive.

    `agent` is the ConfigMap with an agent that the namespace has; it may be empty.
    """
    brought: Object = {"name": AGENT}
    if name := delivered(installation, agent):
        brought["configMap"] = {"name": name}
    elif installation.image_volumes:
        brought["image"] = {"reference": installation.agent_image, "pullPolicy": installation.agent_pull}
    else:
        brought["emptyDir"] = {}
    token = {"path": "token", "audience": audience(cache), "expirationSeconds": 3600}
    return [
        brought,
        {"name": RUN, "emptyDir": {"sizeLimit": installation.room}},
        {"name": KEYS, "configMap": {"name": installation.keys, "optional": True}},
        {"name": TOKEN, "projected": {"sources": [{"serviceAccountToken": token}]}},
    ]


def copier(spec: Object, container: Object, installation: Installation) -> Object:
    """The container that copies the agent. It asks for what the application asks for: the pod for no more."""
    made: Object = {
        "name": AGENT,
        "image": installation.agent_image,
        "imagePullPolicy": installation.agent_pull,
        "command": ["cp", "/agent.jar", f"{OURS}/agent/agent.jar"],
        "securityContext": _locked(spec, container),
        "volumeMounts": [{"name": AGENT, "mountPath": f"{OURS}/agent"}],
    }
    return made | _resources(container)


def fetcher(
    name: str,
    container: Object,
    application: Application,
    cache: Cache,
    installation: Installation,
    *,
    record: bool,
) -> Object:
    """The container that runs the agent: the application's own image, user, variables, limits and volumes.

    With `record` it asks for a lease where there is no archive.
    """
    made: Object = {"name": name}
    made |= {part: copy.deepcopy(container[part]) for part in _AS_THE_APPLICATION if part in container}
    env = container.get("env") or []
    if env:
        made["env"] = put_aside(copy.deepcopy(env))
    names = named(env)
    lookup, fetch = cache.spec.budget.milliseconds()
    made["command"] = [
        *(referring(application.launcher, names), "-jar", f"{OURS}/agent/agent.jar", "fetch"),
        *("--server", installation.server, "--group", cache.name, "--keys", f"{OURS}/keys/keys"),
        *("--dir", folder(container), "--token", f"{OURS}/token/token"),
        *("--lookup-ms", str(lookup), "--fetch-ms", str(fetch)),
        *(("--record", "--") if record else ("--",)),
        *(referring(word, names) for word in application.words),
    ]
    if "securityContext" in container:
        made["securityContext"] = copy.deepcopy(container["securityContext"])
    made["volumeMounts"] = [
        *(_mounted(one, names) for one in container.get("volumeMounts") or ()),
        {"name": AGENT, "mountPath": f"{OURS}/agent", "readOnly": True},
        {"name": RUN, "mountPath": f"{OURS}/run"},
        {"name": KEYS, "mountPath": f"{OURS}/keys", "readOnly": True},
        {"name": TOKEN, "mountPath": f"{OURS}/token", "readOnly": True},
    ]
    return made | _resources(container)


def recorder(
    name: str, container: Object, application: Application, cache: Cache, installation: Installation
) -> Object:
    """The sidecar that sends what the application's JVM recorded, if it was given a lease; else it waits.

    It has the application's image and user, whose files it reads, and none of its variables. It ends no
    recording: that would stop the application for seconds. A class list is sent once the application has
    settled, what an AOT recording came to after the application's end.
    """
    ready = readiness(container)
    made: Object = {"name": name, "restartPolicy": "Always"}
    made |= {
        part: copy.deepcopy(container[part]) for part in ("image", "imagePullPolicy") if part in container
    }
    made["env"] = [{"name": variable} for variable in VARIABLES]  # empty, whatever the image has there
    made["command"] = [
        *(referring(application.launcher, named(container.get("env") or [])), "-jar"),
        *(f"{OURS}/agent/agent.jar", "record", "--server", installation.server, "--group", cache.name),
        *("--dir", folder(container), "--token", f"{OURS}/token/token"),
        *(("--ready-url", ready) if ready else ()),
        "--stay",
    ]
    if "securityContext" in container:
        made["securityContext"] = copy.deepcopy(container["securityContext"])
    made["volumeMounts"] = [
        {"name": AGENT, "mountPath": f"{OURS}/agent", "readOnly": True},
        {"name": RUN, "mountPath": f"{OURS}/run"},
        {"name": TOKEN, "mountPath": f"{OURS}/token", "readOnly": True},
    ]
    said = container.get("resources") or {}
    small = {
        part: {name: _SMALL[part][name] for name in said.get(part) or () if name in _SMALL[part]}
        for part in _SMALL
    }
    if resources := {part: values for part, values in small.items() if values}:
        made["resources"] = resources
    return made


def fetches(container: Mapping[str, Any]) -> bool:
    """Whether it is one that runs the agent before a container of the application."""
    return re.fullmatch(rf"{FETCH}(-\d+)?", str(container.get("name"))) is not None


def warms(fetcher: Mapping[str, Any]) -> str:
    """The container for which such a one decides; `?` if its command is none of ours."""
    words = [str(word) for word in fetcher.get("command") or ()]
    return words[words.index("--dir") + 1].rpartition("/")[2] if "--dir" in words[:-1] else "?"


def folder(container: Object) -> str:
    """Where the agent leaves a container's options and archives."""
    return f"{OURS}/run/{container['name']}"


def variable(container: Object) -> Object:
    """The application's one variable: what of the image's own was there is in the file."""
    return {"name": OPTIONS, "value": f"@{folder(container)}/java.opts"}


def mount(*, record: bool) -> Object:
    """The application's view of what the agent left; one that may record writes there."""
    seen: Object = {"name": RUN, "mountPath": f"{OURS}/run"}
    return seen if record else seen | {"readOnly": True}


def _mounted(mount: Object, names: Set[str]) -> Object:
    made = copy.deepcopy(mount)
    if "subPathExpr" in made:
        made["subPathExpr"] = referring(made["subPathExpr"], names)
    return made


def _resources(container: Object) -> Object:
    asked = {name: value for name, value in (container.get("resources") or {}).items() if name != "claims"}
    return {"resources": copy.deepcopy(asked)} if asked else {}


def _locked(spec: Object, container: Object) -> Object:
    """What the restricted standard wants, as the application's user unless that is root."""
    own, pods = container.get("securityContext") or {}, spec.get("securityContext") or {}
    kept = {name: own[name] for name in ("runAsGroup", "seLinuxOptions") if name in own}
    user = own.get("runAsUser", pods.get("runAsUser"))
    return copy.deepcopy(kept) | {
        "runAsNonRoot": True,
        "runAsUser": user or _NOBODY,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }

"""JSON to views: the parsing edge. What a view does not need is dropped here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from pydantic import ValidationError

from os_operator.core import health, instants
from os_operator.core.windows import opening
from os_operator.core.world import (
    APPROVE_ANNOTATION,
    CLEAR_ANNOTATION,
    CORDON_ANNOTATION,
    FIELD_MANAGER,
    FINALIZER,
    HEARTBEAT_IDLE,
    HEARTBEAT_WORKING,
    MAINTENANCE,
    OF_THE_IMAGE,
    ROLLOUT_REASON,
    WORKING,
    AttachmentView,
    Conditions,
    Config,
    CordonNote,
    Failure,
    InstanceView,
    NodeView,
    Order,
    OSView,
    PodView,
)
from warmroot import nodeconfig
from warmroot.api.os import Health, OSSpec, OSStatus
from warmroot.api.osinstance import ConfigPending, Goal, InstancePhase
from warmroot.nodeconfig import NONE

Object = Mapping[str, Any]
_RELOAD = ConfigPending.RELOAD.value
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"


def node_view(node: Object) -> NodeView:
    """A Node."""
    meta, status = node["metadata"], node.get("status") or {}
    ready, since = _ready(status)
    note = cordon_note((meta.get("annotations") or {}).get(CORDON_ANNOTATION))
    spec = node.get("spec") or {}
    unschedulable = bool(spec.get("unschedulable"))
    ours, foreign = _maintenance(status)
    return NodeView(
        name=meta["name"],
        uid=meta["uid"],
        version=meta["resourceVersion"],
        labels=meta.get("labels") or {},
        ready=ready,
        ready_since=since,
        unschedulable=unschedulable,
        boot_id=(status.get("nodeInfo") or {}).get("bootID", ""),
        note=note,
        foreign_cordon=note is not None and unschedulable and _foreign(meta),
        taints=tuple(spec.get("taints") or ()),
        address=_address(status),
        conditions=ours,
        foreign_conditions=foreign,
    )


def _address(status: Object) -> str:
    """The node's InternalIP. A kubelet says what it likes there; what is no address goes into no question."""
    for one in status.get("addresses") or ():
        if one.get("type") == "InternalIP":
            try:
                return str(ip_address(one.get("address", "")))
            except ValueError:
                continue
    return ""


def _ready(status: Object) -> tuple[bool, float]:
    for condition in status.get("conditions") or ():
        if condition["type"] == "Ready":
            since = instants.parse(condition.get("lastTransitionTime")) or 0.0
            return condition["status"] == "True", since
    return False, 0.0


def _maintenance(status: Object) -> tuple[Conditions, tuple[str, ...]]:
    """Conditions of maintenance: ours with their status, and the names of somebody else's."""
    found = [one for one in status.get("conditions") or () if one["type"] in MAINTENANCE]
    if not found:
        return (), ()
    ours = {one["type"]: one["status"] == "True" for one in found if one.get("reason") == ROLLOUT_REASON}
    foreign = {one["type"] for one in found} - set(ours)
    held = tuple(kind for kind in MAINTENANCE if kind in foreign)
    return tuple((kind, ours[kind]) for kind in MAINTENANCE if kind in ours), held


def _foreign(meta: Object) -> bool:
    """Whether somebody else set `spec.unschedulable` last. `kubectl cordon` on a cordoned node writes
    nothing, so this sees an administrator who uncordoned and cordoned again.
    """
    owners = [
        entry.get("manager", "")
        for entry in meta.get("managedFields") or ()
        if "f:unschedulable" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return bool(owners) and not any(owner.startswith(FIELD_MANAGER) for owner in owners)


def cordon_note(text: str | None) -> CordonNote | None:
    """Our annotation. One that can't be read counts as a note of a cordon that is not ours to lift."""
    if text is None:
        return None
    try:
        raw = json.loads(text)
        since = instants.parse(raw["since"]) or 0.0
        empty = bool(raw.get("empty", False))
        return CordonNote(str(raw["os"]), str(raw["digest"]), since, bool(raw["ours"]), empty)
    except (ValueError, KeyError, TypeError):
        return CordonNote("", "", 0.0, ours=False)


def cordon_text(note: CordonNote) -> str:
    """The annotation for a note; `why` is for people."""
    return json.dumps(
        {
            "os": note.os,
            "digest": note.digest,
            "since": instants.text(note.since),
            "ours": note.ours,
            **({"empty": True} if note.empty else {}),
            "why": f"OS {note.os} moves this node to {note.digest[:19]}",
        }
    )


def instance_view(instance: Object) -> InstanceView:
    """An OSInstance."""
    meta, spec, status = instance["metadata"], instance["spec"], instance.get("status") or {}
    release, booted = spec.get("release") or {}, status.get("booted") or {}
    staging = status.get("staging") or {}
    phase = InstancePhase(status["phase"]) if status.get("phase") else None
    heartbeat, kept = instants.parse(status.get("heartbeat")), _kept(status, booted.get("slot"))
    patience = HEARTBEAT_WORKING if phase in WORKING else HEARTBEAT_IDLE
    return InstanceView(
        name=meta["name"],
        uid=meta["uid"],
        version=meta["resourceVersion"],
        node_uid=next((one["uid"] for one in meta.get("ownerReferences") or () if one["kind"] == "Node"), ""),
        os=spec["os"],
        goal=Goal(spec.get("goal", "None")),
        digest=_target(release),
        release_version=release.get("version", ""),
        sources=tuple(release.get("sources") or ()),
        bandwidth=spec.get("stagingBandwidth"),
        order=_order(spec.get("reboot")),
        barred=tuple(spec.get("barred") or ()),
        config=spec.get("configRevision", NONE),
        phase=phase,
        since=instants.parse(status.get("since")),
        observed=bool(status) and status.get("observedGeneration") == meta.get("generation"),
        boot_id=booted.get("bootID", ""),
        booted_digest=_target(booted),
        booted_at=instants.parse(booted.get("at")) or 0.0,
        confirmed=bool(booted) and status.get("good") == booted.get("slot"),
        verified_digest=_target(kept),
        kept_version=kept.get("version", ""),
        kept_config=kept.get("configRevision", NONE),
        former=_former(status, booted.get("slot")),
        in_force=None if status.get("configPending") == _RELOAD else status.get("configRevision", NONE),
        drifted=tuple(one["path"] for one in status.get("configDrift") or ()),
        reboot_id=status.get("rebootID"),
        failure=_failure(status.get("lastError")),
        fetched=staging.get("bytesFetched", 0),
        reused=staging.get("bytesReused", 0),
        heartbeat=heartbeat,
        stale_at=float("-inf") if heartbeat is None else heartbeat + patience,
    )


def _order(raw: Object | None) -> Order | None:
    return Order(raw["id"], instants.parse(raw["deadline"]) or 0.0) if raw else None


def _failure(raw: Object | None) -> Failure | None:
    return Failure(raw["reason"], raw["message"], instants.parse(raw.get("retryAt"))) if raw else None


def _kept(status: Object, booted: str | None) -> Object:
    """The slot that is not booted, if what it holds was verified."""
    other = {"A": "B", "B": "A"}.get(booted or "")
    slot: Object = (status.get("slots") or {}).get(other) or {}
    return slot if slot.get("state") == "Verified" else {}


def _former(status: Object, booted: str | None) -> str | None:
    """The settings to which the slot that runs can return."""
    slot: Object = (status.get("slots") or {}).get(booted or "") or {}
    former = slot.get("former")
    return None if former is None else former.get("configRevision", NONE)


def _target(raw: Object) -> str | None:
    """The release of an order, a boot or a slot, with its kernel arguments."""
    digest = raw.get("digest")
    return nodeconfig.target(digest, raw.get("argumentsRevision", NONE)) if digest else None


def os_view(os: Object) -> OSView:
    """An OS object. One that the schema admits and we can't follow has a `problem`, and moves nothing."""
    meta = os["metadata"]
    notes = meta.get("annotations") or {}
    spec, problem = _spec(os["spec"])
    config, wrong = _config(spec)
    if wrong:
        spec, problem = None, wrong
    status = OSStatus()
    try:
        status = OSStatus.model_validate(os.get("status") or {})
    except ValidationError:
        problem = problem or "its status was written by something else; delete and create the object again"
        spec = None
    return OSView(
        name=meta["name"],
        uid=meta["uid"],
        version=meta["resourceVersion"],
        generation=int(meta.get("generation", 0)),
        spec=spec,
        status=status,
        problem=problem,
        config=config,
        approvals=frozenset(
            one.strip() for one in notes.get(APPROVE_ANNOTATION, "").split(",") if one.strip()
        ),
        clears=_clears(notes.get(CLEAR_ANNOTATION, "")),
        finalizer=FINALIZER in (meta.get("finalizers") or ()),
        deleting="deletionTimestamp" in meta,
        health=spec.rollout.health if spec is not None else _health(os["spec"]),
    )


def _health(raw: Object) -> Health | None:
    """What nodes on trial are judged by, of a spec that can't be followed; None if that can't be read."""
    try:
        judged = Health.model_validate(((raw.get("rollout") or {}).get("health")) or {})
    except ValidationError:
        return None
    return None if health.problem(judged) else judged


def _spec(raw: Object) -> tuple[OSSpec | None, str]:
    try:
        spec = OSSpec.model_validate(raw)
        opening(spec.rollout.windows, 0.0)
    except ValidationError as error:
        first = error.errors()[0]
        return None, f"spec.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    except ValueError as error:
        return None, f"spec.rollout.windows: {error}"
    if wrong := health.problem(spec.rollout.health):
        return None, f"spec.rollout.health.checks: {wrong}"
    return spec, ""


def _config(spec: OSSpec | None) -> tuple[Config, str]:
    """The settings that are wanted, or what is wrong with them."""
    if spec is None or spec.config is None:
        return OF_THE_IMAGE, ""
    try:
        text = spec.config.text()
    except ValueError as error:
        return OF_THE_IMAGE, f"spec.{error}"
    arguments = nodeconfig.arguments_revision(spec.config.kernel_arguments)
    return Config(nodeconfig.revision(text), text, arguments), ""


def _clears(text: str) -> tuple[tuple[str, float], ...]:
    pairs = [one.strip().partition("@") for one in text.split(",") if one.strip()]
    read = [(who, instants.parse(when)) for who, _, when in pairs]
    return tuple((who, when) for who, when in read if when is not None)


def pod_view(pod: Object) -> PodView:
    """A pod of a node in motion."""
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    controller = next((one["kind"] for one in meta.get("ownerReferences") or () if one.get("controller")), "")
    return PodView(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        priority=int(spec.get("priority") or 0),
        controller=controller,
        mirror=MIRROR_ANNOTATION in (meta.get("annotations") or {}),
        empty_dir=any("emptyDir" in volume for volume in spec.get("volumes") or ()),
        finished=status.get("phase") in ("Succeeded", "Failed"),
        deleted_at=instants.parse(meta.get("deletionTimestamp")),
        claims=tuple(_claims(meta["name"], spec.get("volumes") or ())),
        labels=meta.get("labels") or {},
    )


def _claims(pod: str, volumes: Iterable[Object]) -> Iterator[str]:
    for volume in volumes:
        if "persistentVolumeClaim" in volume:
            yield volume["persistentVolumeClaim"]["claimName"]
        elif "ephemeral" in volume:
            yield f"{pod}-{volume['name']}"  # the name that Kubernetes gives the claim that it makes


def attachment_view(attachment: Object, claim: str = "") -> AttachmentView:
    """A VolumeAttachment; `claim` is `claim_of` its PersistentVolume."""
    source = attachment["spec"].get("source") or {}
    attached = bool((attachment.get("status") or {}).get("attached"))
    name = attachment["metadata"]["name"]
    return AttachmentView(name, source.get("persistentVolumeName") or "", claim, attached)


def claim_of(volume: Object) -> str:
    """`namespace/name` of the claim that a PersistentVolume is bound to; empty if it is to none."""
    claim = (volume.get("spec") or {}).get("claimRef") or {}
    return f"{claim['namespace']}/{claim['name']}" if claim else ""

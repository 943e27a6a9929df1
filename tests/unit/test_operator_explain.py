"""`kubectl warmroot why NODE`: in each of these situations, the chain that a person reads (why.txt)."""

import os as system
from dataclasses import replace
from pathlib import Path

from os_operator.core.answers import forbidden
from os_operator.core.explain import NEXT, explain
from os_operator.core.forecast import forecast
from os_operator.core.world import NOT_CURRENT, Answer, AttachmentView, Config, Failure, Resolution
from os_operator.plugin import showing
from tests.unit.operator_worlds import (
    DNS,
    HOLDS,
    NEW,
    NOW,
    OLD,
    WEB,
    answered,
    checked,
    cordoned,
    current,
    failure,
    fell_back,
    idle,
    node,
    on_trial,
    ordered,
    os,
    pod,
    staged,
    trial,
    world,
)
from warmroot import nodeconfig
from warmroot.api.health import CheckReason
from warmroot.api.os import FailedNode, HistoryEntry, OSStatus, Waiting, WaveStatus
from warmroot.api.osinstance import Goal, InstancePhase
from warmroot.api.reasons import NodePhase, WaitReason

GOLDEN = Path(__file__).with_name("why.txt")
CLOSED = [{"cron": "0 1 * * 6", "duration": "4h", "timeZone": "UTC"}]
WAVES = [{"name": "canary", "nodes": 1, "soak": "30m"}, {"name": "rest", "approval": "Required"}]
SETTINGS = nodeconfig.encode({"sysctl": {"vm.swappiness": "1"}})
ARGUMENTS = nodeconfig.encode({"kernelArguments": ["mitigations=auto"]})
OTHER = "sha256:" + "7" * 64
AT = "2027-01-15T07:00:00Z"
CHECKED = checked(WEB, DNS)
SAID_503 = Answer(CheckReason.WRONG_STATUS, "https://10.0.0.1/ answered 503 instead of 200")
NOT_READY = Answer(
    CheckReason.PODS_NOT_READY, "0 of 1 pods on this node are Ready, 1 must, and not coredns-abc"
)


def with_config(text, **rollout):
    words = nodeconfig.parse(text).kernel_arguments
    config = Config(nodeconfig.revision(text), text, nodeconfig.arguments_revision(words))
    return replace(os(**rollout), config=config)


def waiting(reason, message, phase=NodePhase.DRAINING):
    row = Waiting(node="node-1", phase=phase, reason=reason, message=message, since=AT)
    return OSStatus(target_digest=NEW, waiting=(row,))


def in_wave(index, name, **more):
    return OSStatus(target_digest=NEW, wave=WaveStatus(name=name, index=index, since=AT, **more))


def others(count, make=current):
    return [(node(f"node-{n}"), make(f"node-{n}")) for n in range(2, 2 + count)]


def refused():
    said = Failure("ConfigRefused", "kubelet.service does not start with them: maxPods", None)
    return current(
        goal=Goal.CONFIGURE, digest=NEW, config=nodeconfig.revision(SETTINGS), in_force="",
        phase=InstancePhase.FAILED, failure=said, since=NOW - 30,
    )  # fmt: skip


def settings_failed_on(name):
    entry = FailedNode(
        node=name, digest=NEW, part="Settings", config_revision=nodeconfig.revision(SETTINGS),
        reason=WaitReason.UNHEALTHY, message="its Node was not Ready for 60 s in time", at=AT,
    )  # fmt: skip
    return OSStatus(
        target_digest=NEW, config_revision=nodeconfig.revision(SETTINGS), started=AT, failed=(entry,)
    )


def with_settings_that_failed_on(name, allowed=0):
    failure = {"action": "Rollback", "maxFailed": allowed}
    return replace(with_config(SETTINGS, failure=failure), status=settings_failed_on(name))


def settled(name="node-1", **changes):
    return current(name, in_force=nodeconfig.revision(SETTINGS), **changes)


def lost():
    made = ordered(deadline=NOW - 60, stale_at=NOW - 30)
    return replace(made, reboot_id=made.order.id)


TAKEN_BACK = OSStatus(observed_generation=1, target_digest=NEW, failed=(failure("node-2"),))
MOVING = (cordoned("node-2"), staged("node-2"))
SITUATIONS = {
    "it runs what is wanted": (os(), [(node(), current())], {}),
    "nobody selects it": (os(), [(node(labels={"pool": "other"}), idle())], {}),
    "two objects select it": ([os(), os("more")], [(node(), idle())], {}),
    "it has no OSInstance yet": (os(), [(node(), None)], {}),
    "its proxy is silent": (os(), [(node(), idle(stale_at=NOW - 60))], {}),
    "the release is not resolved": (
        replace(os(digest=None), resolution=Resolution(None, "Unknown", "no such version in the index")),
        [(node(), idle())],
        {},
    ),
    "others download first": (
        os(maxStaging=1),
        [(node("node-2"), idle("node-2")), (node("node-9"), idle("node-9"))],
        {},
    ),
    "staging failed": (
        os(),
        [
            (
                node(),
                staged(
                    phase=InstancePhase.FAILED,
                    verified_digest=None,
                    since=NOW - 30,
                    failure=Failure("Tampered", "a block is not what was signed", NOW + 60),
                ),
            )
        ],
        {},
    ),
    "no window is open": (os(windows=CLOSED), [(node(), staged())], {}),
    "the rollout is paused": (os(paused=True), [(node(), staged())], {}),
    "its wave needs an approval": (
        os(waves=WAVES, status=in_wave(1, "rest")),
        [*others(1), (node(), staged())],
        {},
    ),
    "the wave before it soaks": (
        os(waves=[WAVES[0]], status=in_wave(0, "canary", soak_until="2027-01-15T08:30:00Z")),
        [*others(1), (node(), staged())],
        {},
    ),
    "the budget is spent": (os(), [(node(), staged()), (cordoned("node-2"), staged("node-2"))], {}),
    "its drain is blocked": (
        os(status=waiting(WaitReason.DRAIN_BLOCKED, "shop/web-1: PodDisruptionBudget shop/web")),
        [(cordoned(), staged())],
        {"pods": {"node-1": (pod("web-1"),)}},
    ),
    "a pod of it may finish": (
        os(drain={"podRules": [{"selector": {"matchLabels": {"app": "batch"}}, "action": "WaitCompleted"}]}),
        [(cordoned(), staged())],
        {"pods": {"node-1": (pod("batch-1", labels={"app": "batch"}),)}},
    ),
    "a volume stays attached to it": (
        os(),
        [(cordoned(), staged())],
        {
            "pods": {"node-1": (pod("logs", controller="DaemonSet", claims=("spool",)),)},
            "attachments": {
                "node-1": (
                    AttachmentView("csi-1", "pvc-1", "shop/data"),
                    AttachmentView("csi-2", "pvc-2", "shop/spool"),
                )
            },
        },
    ),
    "it is not Ready while it is drained": (
        os(),
        [(cordoned(ready=False), staged())],
        {"pods": {"node-1": (pod("web-1", deleted_at=NOW - 60),)}},
    ),
    "it reboots": (os(), [(cordoned(), ordered(phase=InstancePhase.ACTIVATING))], {}),
    "it did not begin its reboot": (os(), [(cordoned(), ordered(deadline=NOW - 60, stale_at=NOW - 30))], {}),
    "it never came back": (os(), [(cordoned(ready=False), lost())], {}),
    "its Node is not Ready on trial": (os(), [(cordoned(ready=False), trial())], {}),
    "it settles on trial": (
        os(),
        [(cordoned(boot_id="node-1-boot-2", ready_since=NOW - 20), trial(booted_at=NOW - 30))],
        {},
    ),
    "its checks are not answered yet": (CHECKED, [on_trial()], {}),
    "a check fails on trial": (
        CHECKED,
        [on_trial()],
        {"checks": answered(CHECKED, web=(SAID_503, 40), dns=HOLDS)},
    ),
    "its pods are not Ready on trial": (
        CHECKED,
        [on_trial()],
        {"checks": answered(CHECKED, web=HOLDS, dns=NOT_READY)},
    ),
    "the operator may not read what a check asks for": (
        CHECKED,
        [on_trial()],
        {"checks": answered(CHECKED, web=HOLDS, dns=forbidden("list", "", "pods", "kube-system"))},
    ),
    "its checks hold, and not for long enough": (
        CHECKED,
        [on_trial()],
        {"checks": answered(CHECKED, web=HOLDS, dns=(HOLDS, 20))},
    ),
    "the release fell back on it": (
        os(status=OSStatus(target_digest=NEW, failed=(failure(),))),
        [(node(), fell_back(goal=Goal.NONE, barred=(NEW,)))],
        {},
    ),
    "too many failed elsewhere": (
        os(status=OSStatus(target_digest=NEW, failed=(failure("node-2"),))),
        [(node("node-2"), idle("node-2", barred=(NEW,))), (node(), staged())],
        {},
    ),
    "its settings change": (
        with_config(SETTINGS),
        [
            (
                node(),
                current(
                    goal=Goal.CONFIGURE,
                    digest=NEW,
                    in_force=None,
                    config=nodeconfig.revision(SETTINGS),
                    phase=InstancePhase.CONFIGURING,
                    since=NOW - 5,
                ),
            )
        ],
        {},
    ),
    "it refuses the settings": (with_config(SETTINGS), [(node(), refused())], {}),
    "it needs other kernel arguments": (with_config(ARGUMENTS, paused=True), [(node(), current())], {}),
    "somebody changed its settings by hand": (
        with_config(SETTINGS),
        [
            (
                node(),
                current(in_force=nodeconfig.revision(SETTINGS), drifted=("/etc/sysctl.d/90-warmroot.conf",)),
            )
        ],
        {},
    ),
    "a node that comes before it downloads": (
        os(order=[{"matchLabels": {"tier": "canary"}}]),
        [(node(), staged()), (node("node-2", labels={"pool": "workers", "tier": "canary"}), idle("node-2"))],
        {},
    ),
    "another zone is being moved": (
        os(maxUnavailable=2, topologyKey="zone"),
        [
            (node(labels={"pool": "workers", "zone": "a"}), staged()),
            (cordoned("node-2", labels={"pool": "workers", "zone": "b"}), ordered("node-2")),
        ],
        {},
    ),
    "its wave names other nodes": (
        os(waves=[{"name": "canary", "selector": {"matchLabels": {"tier": "canary"}}}]),
        [(node(), staged()), (node("node-2", labels={"pool": "workers", "tier": "canary"}), idle("node-2"))],
        {},
    ),
    "its release is taken back": (
        os(status=TAKEN_BACK, failure={"action": "Rollback"}),
        [(node(), current(verified_digest=OLD)), (node("node-2"), idle("node-2", barred=(NEW,)))],
        {},
    ),
    "its release is taken back, and its other slot is empty": (
        os(status=TAKEN_BACK, failure={"action": "Rollback"}),
        [(node(), current()), (node("node-2"), idle("node-2", barred=(NEW,)))],
        {},
    ),
    "its settings are taken back": (
        with_settings_that_failed_on("node-2"),
        [(node(), settled(former=OTHER)), (node("node-2"), current("node-2", in_force=OTHER))],
        {},
    ),
    "its settings are taken back, and it keeps none from before": (
        with_settings_that_failed_on("node-2"),
        [(node(), settled()), (node("node-2"), current("node-2", in_force=OTHER))],
        {},
    ),
    "the settings failed on it and are not tried there again": (
        with_settings_that_failed_on("node-1", allowed=1),
        [(node(), current(in_force=OTHER)), (node("node-2"), settled("node-2"))],
        {},
    ),
    "it joined late and is closed to workloads": (
        os(),
        [
            (node(taints=({"key": NOT_CURRENT, "effect": "NoSchedule"},)), idle(phase=InstancePhase.STAGING)),
            MOVING,
        ],
        {},
    ),
    "others are drained before it": (
        os(),
        [(node(taints=({"key": NOT_CURRENT, "effect": "PreferNoSchedule"},)), staged()), MOVING],
        {},
    ),
    "it is closed to workloads, and nobody selects it": (
        os(),
        [(node(labels={"pool": "other"}, taints=({"key": NOT_CURRENT, "effect": "NoSchedule"},)), idle())],
        {},
    ),
    "its OS object is gone": ([], [(cordoned(labels={}), staged())], {}),
}


def asked(oses, pairs, more):
    name = "node-9" if any(one.name == "node-9" for one, _ in pairs) else "node-1"
    return explain(name, world(oses, pairs, **more), NOW)


def test_the_chain_of_each_situation_is_the_one_that_a_person_read():
    """WARMROOT_GOLDEN=write makes the file anew; then read it."""
    said = "".join(f"## {name}\n{showing.why(asked(*what))}\n\n" for name, what in SITUATIONS.items())
    if system.environ.get("WARMROOT_GOLDEN") == "write":
        GOLDEN.write_text(said)
    assert said == GOLDEN.read_text()
    assert len(SITUATIONS) >= 20


def test_every_reason_has_something_to_do_or_says_that_there_is_nothing():
    assert set(NEXT) == set(WaitReason)
    assert all(NEXT.values())


def test_a_plan_names_waves_what_begins_and_what_waits():
    times = {"started": "2027-01-01T00:00:00Z", "finished": "2027-01-01T00:10:00Z"}
    done = HistoryEntry(digest="sha256:" + "9" * 64, version="1", result="Complete", **times)
    fleet = [(node(f"node-{n}"), idle(f"node-{n}")) for n in range(1, 6)]
    planned = os(waves=WAVES, status=OSStatus(history=(done,)))
    told = forecast(planned, world(planned, fleet), NOW)
    assert [(wave.name, wave.nodes, wave.approval, wave.soak) for wave in told.waves] == [
        ("canary", 1, False, 1800.0),
        ("rest", 5, True, 0.0),
    ]
    assert told.begins == tuple((f"node-{n}", "downloads") for n in (1, 2, 3))
    assert {(row.reason, row.nodes) for row in told.waits} >= {
        (WaitReason.STAGING_PACED, ("node-4", "node-5"))
    }
    assert (told.seconds_per_node, told.eta) == (120.0, 5 * 120.0 + 1800.0)
    text = showing.plan(told)
    assert "wave rest: up to node 5, after an approval" in text
    assert "now: node-1, node-2, node-3 downloads" in text


def test_without_a_rollout_that_ended_nothing_is_guessed():
    planned = os()
    told = forecast(planned, world(planned, [(node(), idle())]), NOW)
    assert (told.seconds_per_node, told.eta) == (None, None)
    assert "left" not in showing.plan(told)

"""How settings reach nodes that run the target: the least disruption, the same waves, and never in spite."""

from dataclasses import replace

import pytest

from os_operator.core.actions import Cordon, SetOrders
from os_operator.core.orders import reboot_id
from os_operator.core.parse import instance_view, os_view
from os_operator.core.world import Config, CordonNote, Failure, Order
from os_operator.shell.act import spec_of
from tests.unit.operator_worlds import (
    NEW,
    NOW,
    cordoned,
    current,
    decide,
    done,
    fell_back,
    idle,
    node,
    os,
    reasons,
    staged,
)
from warmroot import nodeconfig
from warmroot.api.os import OSStatus
from warmroot.api.osinstance import Goal, InstancePhase
from warmroot.api.reasons import OSPhase

TEXT = nodeconfig.encode({"sysctl": {"vm.swappiness": "1"}})
WANTED = Config(nodeconfig.revision(TEXT), TEXT)
BEFORE = "sha256:" + "b" * 64


def workers(**rollout):
    return replace(os(**rollout), config=WANTED)


def outdated(name, **changes):
    return current(name, in_force=BEFORE, **changes)


def configuring(name, **changes):
    base = {"goal": Goal.CONFIGURE, "digest": NEW, "config": WANTED.revision, "in_force": None}
    return current(name, **(base | {"phase": InstancePhase.CONFIGURING, "since": NOW - 5} | changes))


def configured(name, since=NOW - 5, **changes):
    there = {"in_force": WANTED.revision, "phase": InstancePhase.CONFIRMED, "since": since}
    return configuring(name, **(there | changes))


def refused(name, **changes):
    failure = Failure("ConfigRefused", "kubelet.service does not start with them", None)
    base = {"phase": InstancePhase.FAILED, "in_force": BEFORE, "failure": failure}
    return configuring(name, **(base | changes))


def nodes(*instances, **changes):
    return [(node(one.name, **changes), one) for one in instances]


def orders(decision):
    return {action.name: action.orders for action in done(decision, SetOrders)}


def test_a_node_that_runs_the_target_gets_other_settings_without_a_cordon():
    decision = decide(workers(), *nodes(outdated("n1")))
    given = orders(decision)["n1"]
    assert (given.goal, given.digest, given.config, given.config.text) == (Goal.CONFIGURE, NEW, WANTED, TEXT)
    assert done(decision, Cordon) == []


def test_settings_keep_to_the_budget():
    decision = decide(workers(maxUnavailable=2), *nodes(*map(outdated, ("n1", "n2", "n3"))))
    assert sorted(orders(decision)) == ["n1", "n2"]
    assert reasons(decision)["n3"] == "Budget"


@pytest.mark.parametrize("busy", [configuring("n0"), configured("n0")], ids=["changing", "settling"])
def test_a_node_whose_settings_change_takes_its_part_of_the_budget_until_it_has_settled(busy):
    decision = decide(workers(), *nodes(busy, outdated("n1")))
    assert "n1" not in orders(decision)
    assert decision.statuses["workers"].phase is OSPhase.ROLLING_OUT


def test_a_node_that_settled_with_its_settings_is_left_in_peace():
    decision = decide(workers(), *nodes(configured("n0", since=NOW - 61)))
    assert orders(decision)["n0"].goal is Goal.NONE


def test_a_node_with_its_settings_is_current():
    decision = decide(workers(), *nodes(current("n0", in_force=WANTED.revision)))
    assert decision.statuses["workers"].phase is OSPhase.COMPLETE
    assert decision.statuses["workers"].config_revision == WANTED.revision


def test_a_node_that_is_not_ready_since_holds_the_others_back_and_says_so():
    sick = nodes(configured("n0", since=NOW - 600), ready=False, ready_since=NOW - 590)
    decision = decide(workers(), *sick, *nodes(outdated("n1")))
    assert reasons(decision) == {"n0": "NotReady", "n1": "Budget"}


def test_settings_that_one_node_refuses_go_no_further():
    decision = decide(workers(maxUnavailable=5), *nodes(refused("n0"), outdated("n1")))
    status = decision.statuses["workers"]
    assert orders(decision) == {}
    assert (status.phase, reasons(decision)) == (OSPhase.HALTED, {"n0": "ConfigRefused", "n1": "Halted"})
    assert "kubelet.service" in status.waiting[0].message


def test_corrected_settings_reach_the_node_that_refused_and_the_others():
    sick = refused("n0", config="sha256:" + "c" * 64)
    decision = decide(workers(maxUnavailable=5), *nodes(sick, outdated("n1")))
    assert {name: given.goal for name, given in orders(decision).items()} == {
        "n0": Goal.CONFIGURE,
        "n1": Goal.CONFIGURE,
    }


def test_settings_taken_back_reach_the_node_that_refused_though_it_has_them():
    back = replace(os(), config=Config(BEFORE, TEXT))
    decision = decide(back, *nodes(refused("n0")))
    assert orders(decision)["n0"].config.revision == BEFORE


def test_a_node_that_is_down_because_of_its_settings_gets_the_correction_at_once():
    down = nodes(configured("n0", config=BEFORE, in_force=BEFORE), ready=False)
    decision = decide(workers(), *down)
    assert orders(decision)["n0"].config == WANTED


@pytest.mark.parametrize(
    ("rollout", "reason"),
    [
        ({"paused": True}, "Paused"),
        ({"windows": [{"cron": "0 0 1 1 *", "duration": "1s"}]}, "Window"),
        ({"waves": [{"name": "first", "nodes": 1, "approval": "Required"}]}, "Approval"),
    ],
)
def test_settings_wait_as_a_release_does(rollout, reason):
    decision = decide(workers(**rollout), *nodes(outdated("n1")))
    assert (orders(decision), reasons(decision)) == ({}, {"n1": reason})


def test_other_settings_go_through_the_waves_anew():
    finished = OSStatus(
        target_digest=NEW,
        config_revision=BEFORE,
        wave={"name": "rest", "index": 1, "since": "2027-01-01T00:00:00Z"},
    )
    waves = [{"name": "canary", "nodes": 1}, {"name": "rest"}]
    rollout = replace(workers(maxUnavailable=9, waves=waves), status=finished)
    decision = decide(rollout, *nodes(*map(outdated, ("n1", "n2", "n3"))))
    assert len(orders(decision)) == 1
    assert decision.statuses["workers"].wave.name == "canary"


def test_a_silent_proxy_is_not_ordered_to_change_anything():
    decision = decide(workers(), *nodes(outdated("n1", stale_at=NOW - 1)))
    assert (orders(decision), reasons(decision)) == ({}, {"n1": "ProxySilent"})


def test_a_release_is_staged_with_its_settings():
    decision = decide(workers(), *nodes(idle("n1")))
    assert orders(decision)["n1"].config == WANTED


def test_what_is_staged_with_other_settings_is_staged_again():
    decision = decide(workers(), *nodes(staged("n1", config=BEFORE)))
    given = orders(decision)["n1"]
    assert (given.goal, given.config) == (Goal.STAGE, WANTED)
    assert done(decision, Cordon) == []


def test_what_was_begun_is_finished_with_the_settings_that_it_began_with():
    """A merge patch that does not name the settings leaves them; the view does not keep their text."""
    ready = staged("n1", config=WANTED.revision)
    (cordon,) = done(decide(workers(), *nodes(ready)), Cordon)
    drained = replace(node("n1"), unschedulable=True, note=cordon.note)
    given = orders(decide(workers(), (drained, ready), pods={"n1": ()}))["n1"]
    assert (given.goal, given.config.revision, given.config.text) == (Goal.ACTIVATE, WANTED.revision, None)


def test_without_settings_nothing_is_asked_of_nodes_that_have_none():
    assert orders(decide(os(), *nodes(current("n1")))) == {}


def test_settings_that_are_no_longer_wanted_are_taken_away():
    given = orders(decide(os(), *nodes(current("n1", in_force=WANTED.revision))))["n1"]
    assert (given.goal, given.config.revision, given.config.text) == (Goal.CONFIGURE, "", "")


# -- the edge ---------------------------------------------------------------------------------------------


def test_settings_that_no_node_could_have_move_nothing_and_are_named():
    spec = {
        "release": {"version": "2", "source": "file:///r", "digest": NEW},
        "config": {"files": [{"path": "/etc/shadow", "content": ""}]},
    }
    view = os_view({"metadata": {"name": "workers", "uid": "u", "resourceVersion": "1"}, "spec": spec})
    assert view.spec is None
    assert "spec.config.files[0].path" in view.problem


@pytest.mark.parametrize(("pending", "seen"), [("Reload", None), ("None", BEFORE), ("Reboot", BEFORE)])
def test_settings_under_change_are_nothing_that_is_in_force(pending, seen):
    view = instance_view(
        {
            "metadata": {"name": "n1", "uid": "u", "resourceVersion": "1"},
            "spec": {"os": "workers"},
            "status": {"configRevision": BEFORE, "configPending": pending},
        }
    )
    assert view.in_force == seen


# -- kernel arguments: a boot of their own ------------------------------------------------------------------

ARGUMENTS = nodeconfig.arguments_revision(["mitigations=auto"])
WITH = nodeconfig.target(NEW, ARGUMENTS)


def with_arguments(**rollout):
    text = nodeconfig.encode({"kernelArguments": ["mitigations=auto"]})
    return replace(os(**rollout), config=Config(nodeconfig.revision(text), text, ARGUMENTS))


def test_other_kernel_arguments_are_staged_like_a_release_and_not_configured():
    decision = decide(with_arguments(), *nodes(current("n1")))
    given = orders(decision)["n1"]
    assert (given.goal, given.digest, given.config.arguments) == (Goal.STAGE, WITH, ARGUMENTS)
    assert decision.statuses["workers"].target_digest == WITH


def test_a_node_that_has_them_staged_is_cordoned_before_its_boot():
    wanted = with_arguments()
    ready = staged("n1", booted_digest=NEW, digest=WITH, verified_digest=WITH, config=wanted.config.revision)
    (cordon,) = done(decide(wanted, *nodes(ready)), Cordon)
    assert cordon.note.digest == WITH


def test_arguments_with_which_a_node_fell_back_are_barred_and_the_release_is_not():
    fell = replace(fell_back("n1"), booted_digest=NEW, digest=WITH)
    order = Order(reboot_id("uid-n1", WITH, Goal.ACTIVATE, "n1-boot-1"), NOW + 600)
    down = cordoned("n1", note=CordonNote("workers", WITH, NOW - 10, ours=True))
    decision = decide(with_arguments(), (down, replace(fell, order=order, reboot_id=order.id)))
    assert orders(decision)["n1"].barred == (WITH,)
    assert decision.statuses["workers"].failed[0].digest == WITH
    assert decide(os(), *nodes(current("n1", barred=(WITH,)))).statuses["workers"].phase is OSPhase.COMPLETE


def test_orders_on_the_wire_name_the_release_and_the_arguments_apart():
    given = orders(decide(with_arguments(), *nodes(current("n1"))))["n1"]
    spec = spec_of(given)
    assert (spec["release"]["digest"], spec["release"]["argumentsRevision"]) == (NEW, ARGUMENTS)
    assert spec_of(replace(given, digest=NEW))["release"]["argumentsRevision"] is None


def test_what_a_node_tells_of_its_arguments_is_a_part_of_what_it_runs():
    slots = {
        "A": {"state": "Good"},
        "B": {"state": "Verified", "digest": NEW, "argumentsRevision": ARGUMENTS},
    }
    view = instance_view(
        {
            "metadata": {"name": "n", "uid": "u", "resourceVersion": "1"},
            "spec": {
                "os": "workers",
                "release": {"version": "2", "digest": NEW, "sources": [], "argumentsRevision": ARGUMENTS},
            },
            "status": {"booted": {"slot": "A", "bootID": "b", "digest": NEW}, "slots": slots},
        }
    )
    assert (view.digest, view.booted_digest, view.verified_digest) == (WITH, NEW, WITH)

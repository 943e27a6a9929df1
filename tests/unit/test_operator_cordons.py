"""Whose cordon it is: rule 5 of a rollout, one promise each."""

from dataclasses import replace

from os_operator.core.actions import (
    Cordon,
    DeleteInstance,
    SetFinalizer,
    SetOrders,
    Uncordon,
)
from tests.unit.operator_worlds import (
    NEW,
    cordoned,
    current,
    decide,
    done,
    failure,
    goals,
    idle,
    node,
    os,
    reasons,
    staged,
    trial,
)
from warmroot.api.os import OSStatus
from warmroot.api.osinstance import Goal

# -- rule 5: cordon hygiene -------------------------------------------------------------------------------


def test_rule_5_a_cordon_that_stood_before_is_never_ours_to_lift():
    decision = decide(os(), (node(unschedulable=True), staged()))
    assert not done(decision, Cordon)[0].note.ours
    updated = decide(os(), (cordoned(ours=False), current(goal=Goal.CONFIRM, digest=NEW)))
    assert not done(updated, Uncordon)[0].lift


def test_rule_5_a_cordon_that_an_administrator_set_during_the_work_stays():
    updated = decide(os(), (cordoned(foreign_cordon=True), current(goal=Goal.CONFIRM, digest=NEW)))
    assert not done(updated, Uncordon)[0].lift


def test_rule_5_a_deleted_object_lifts_its_cordons_before_it_goes():
    leaving = replace(os(), deleting=True)
    decision = decide(leaving, (cordoned(), staged()))
    assert done(decision, Uncordon)[0].lift
    assert done(decision, SetFinalizer) == []
    last = decide(leaving, (node(), idle()))
    assert [action.present for action in done(last, SetFinalizer)] == [False]


def test_rule_5_a_deleted_object_stays_until_a_rebooted_node_has_come_to_its_end():
    decision = decide(replace(os(), deleting=True), (cordoned(boot_id="node-1-boot-2"), trial()))
    assert goals(decision) == {"node-1": Goal.CONFIRM}
    assert done(decision, SetFinalizer) == []


def test_rule_5_a_node_whose_object_is_gone_is_released():
    decision = decide([], (cordoned(), staged()))
    assert done(decision, Uncordon)[0].lift
    assert goals(decision) == {"node-1": Goal.NONE}


def test_rule_5_a_new_machine_under_an_old_name_gets_an_instance_of_its_own():
    decision = decide(os(), (node(uid="another"), staged()))
    assert [action.uid for action in done(decision, DeleteInstance)] == ["i-node-1"]
    assert done(decision, SetOrders) == []


def test_a_halted_rollout_takes_a_node_back_that_was_only_cordoned():
    known = os(status=OSStatus(target_digest=NEW, failed=(failure("node-9"),)))
    decision = decide(known, (cordoned(), staged()))
    assert done(decision, Uncordon)[0].lift


def test_a_new_target_takes_a_cordoned_node_back_first():
    decision = decide(os(digest="sha256:" + "2" * 64), (cordoned(), staged()))
    assert done(decision, Uncordon)[0].lift


def test_a_paused_rollout_finishes_what_it_began_and_begins_nothing():
    decision = decide(os(paused=True), (cordoned(), staged()), (node("node-2"), idle("node-2")),
                      (node("node-3"), staged("node-3")), pods={"node-1": ()})  # fmt: skip
    assert goals(decision) == {"node-1": Goal.ACTIVATE}
    assert done(decision, Cordon) == []
    assert (reasons(decision)["node-2"], reasons(decision)["node-3"]) == ("Paused", "Paused")

"""No restart under a volume of a pod that left; volumes of pods that stay hold nothing up."""

import pytest

from os_operator.core.actions import SetOrders, Uncordon
from os_operator.core.drain import DrainState, assess, emptied
from os_operator.core.parse import attachment_view, claim_of, cordon_text, pod_view
from os_operator.core.world import CORDON_ANNOTATION, AttachmentView, CordonNote, Resolution
from os_operator.shell.cache import Cache
from os_operator.shell.gather import Gather
from os_operator.shell.volumes import Volumes
from tests.sim.memory_cluster import NODE, OS, OSINSTANCE, MemoryCluster, Store
from tests.unit.operator_worlds import NEW, NOW, cordoned, decide, done, os, pod, reasons, staged, world
from warmroot.api.os import Drain
from warmroot.api.osinstance import Goal
from warmroot.api.reasons import WaitReason
from warmroot.errors import Forbidden
from warmroot.kube.cluster import PERSISTENT_VOLUME, POD, VOLUME_ATTACHMENT

DATA = AttachmentView("csi-1", "pvc-1", "shop/data")
SKIPS = {"podRules": [{"selector": {"matchLabels": {"app": "agent"}}, "action": "Skip"}]}


def look(attachments, *pods, since=NOW - 5, **rules):
    return assess(pods, attachments, {}, Drain.model_validate(rules), since, NOW)


def test_the_volume_of_a_pod_that_left_holds_the_drain_and_is_named_by_its_claim():
    outcome = look([DATA])
    assert outcome.state is DrainState.DETACHING
    assert outcome.text() == "pods are gone, volumes still attached: shop/data (pvc-1)"
    assert look([]).state is DrainState.DRAINED


@pytest.mark.parametrize(
    "stays",
    [
        pod("logs", controller="DaemonSet", claims=("data",)),
        pod("static", mirror=True, claims=("other", "data")),
        pod("agent", labels={"app": "agent"}, claims=("data",)),
    ],
    ids=["daemonset", "static", "skipped"],
)
def test_the_volume_of_a_pod_that_stays_holds_nothing_up(stays):
    assert look([DATA], stays, **SKIPS).state is DrainState.DRAINED
    both = look([DATA, AttachmentView("csi-2", "pvc-2", "shop/more")], stays, **SKIPS)
    assert [one.name for one in both.attached] == ["csi-2"]


def test_a_claim_of_the_same_name_in_another_namespace_is_another_claim():
    stays = pod("logs", controller="DaemonSet", claims=("data",))
    elsewhere = AttachmentView("csi-1", "pvc-1", "bank/data")
    assert look([elsewhere], stays).state is DrainState.DETACHING


def test_a_finished_pod_gives_its_volume_back_and_is_waited_for_until_it_did():
    over = pod("batch", finished=True, claims=("data",), labels={"app": "agent"})
    assert look([DATA], over, **SKIPS).state is DrainState.DETACHING


def test_an_attachment_of_which_nobody_knows_whose_it_is_holds_and_is_named():
    stays = pod("logs", controller="DaemonSet", claims=("data",))
    outcome = look([AttachmentView("csi-1", "pvc-1"), AttachmentView("csi-2")], stays)
    assert outcome.state is DrainState.DETACHING
    assert outcome.text() == (
        "still attached, and no claim says to whom it belongs: VolumeAttachment csi-2, pvc-1"
    )


def test_what_is_not_attached_holds_nothing_up():
    assert look([AttachmentView("csi-1", "pvc-1", "shop/data", attached=False)]).state is DrainState.DRAINED


def test_pods_come_first_and_volumes_nobody_looked_at_are_not_taken_for_detached():
    assert look([DATA], pod("web")).attached == ()
    unseen = look(None)
    assert unseen.state is DrainState.EMPTIED
    assert "nobody may see whether their volumes are detached" in unseen.text()


@pytest.mark.parametrize("attachments", [[DATA], None])
def test_volumes_that_are_not_detached_in_time_are_waited_for_given_up_or_restarted_with_as_told(attachments):
    def late(then, seconds):
        return look(attachments, since=NOW - 60 - seconds, timeout="1m", onTimeout=then).state

    holds = DrainState.EMPTIED if attachments is None else DrainState.DETACHING
    assert [late(then, -1) for then in ("Wait", "Skip", "Abort", "Force")] == [holds] * 4
    assert [late(then, 0) for then in ("Wait", "Skip", "Abort")] == [holds, *[DrainState.TIMED_OUT] * 2]
    assert [late("Force", seconds) for seconds in (0, 29, 30)] == [holds, holds, DrainState.DRAINED]


def test_the_next_look_is_when_something_changes_by_itself():
    assert look([DATA], since=NOW - 20, timeout="1m").look_again == NOW + 40
    assert look([DATA], since=NOW - 70, timeout="1m", onTimeout="Force").look_again == NOW + 20


# -- the plan ---------------------------------------------------------------------------------------------


def draining(attachments, since=NOW - 10, node=None, **drain):
    """None: nobody looked at the volumes yet."""
    seen = {} if attachments is None else {"node-1": attachments}
    there = (node or cordoned(since=since), staged())
    return decide(os(drain=drain), there, pods={"node-1": ()}, attachments=seen)


def test_no_reboot_is_ordered_before_the_volumes_are_gone_and_one_when_they_are():
    held = draining((DATA,))
    assert done(held, SetOrders) == []
    [row] = held.statuses["workers"].waiting
    assert (row.reason, row.message) == (
        WaitReason.VOLUMES_ATTACHED,
        "pods are gone, volumes still attached: shop/data (pvc-1)",
    )
    assert row.deadline is not None
    assert done(draining(None), SetOrders) == []
    [order] = done(draining(()), SetOrders)
    assert order.orders.goal is Goal.ACTIVATE


def test_a_volume_that_stays_attached_fails_the_drain_by_its_name():
    late = draining((DATA,), since=NOW - 61, timeout="1m", onTimeout="Skip")
    [entry] = late.statuses["workers"].failed
    assert entry.reason is WaitReason.DRAIN_FAILED
    assert "shop/data (pvc-1)" in entry.message
    assert done(late, Uncordon) == []  # first the record, then the node


def test_on_a_node_that_is_not_ready_it_is_the_node_that_is_named_first():
    dead = cordoned(ready=False)
    assert reasons(draining((DATA,), node=dead)) == {"node-1": "NotReady"}
    [row] = draining((DATA,), node=dead).statuses["workers"].waiting
    assert row.message.endswith("volumes still attached: shop/data (pvc-1)")


def test_volumes_are_looked_at_where_no_pod_holds_the_drain_and_nowhere_else():
    def asked(*pods, since=NOW - 10, **drain):
        return emptied(
            world(os(drain=drain), [(cordoned(since=since), staged())], pods={"node-1": pods}), NOW
        )

    assert asked() == ["node-1"]
    assert asked(pod("logs", controller="DaemonSet")) == ["node-1"]
    assert asked(pod("web")) == []
    assert asked(pod("web", deleted_at=NOW + 9)) == []
    assert asked(pod("cache", empty_dir=True), deleteEmptyDir=False) == []
    assert asked(pod("web"), since=NOW - 61, timeout="1m", onTimeout="Skip") == []
    hung = {"since": NOW - 61, "timeout": "1m", "onTimeout": "Force"}
    assert asked(pod("web", deleted_at=NOW - 30), **hung) == ["node-1"]
    assert asked(pod("web", deleted_at=NOW - 29), **hung) == []


# -- reading it -------------------------------------------------------------------------------------------


def test_a_pod_s_claims_are_those_that_it_names_and_those_that_are_made_for_it():
    volumes = [
        {"name": "a", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}},
        {"name": "c", "configMap": {"name": "x"}},
    ]
    meta = {"name": "web-1", "namespace": "shop", "uid": "u"}
    assert pod_view({"metadata": meta, "spec": {"volumes": volumes}}).claims == ("data", "web-1-scratch")


def attachment(name, node, volume="", attached=True):
    source = {"persistentVolumeName": volume} if volume else {"inlineVolumeSpec": {}}
    spec = {"attacher": "csi.example", "nodeName": node, "source": source}
    return {"metadata": {"name": name}, "spec": spec, "status": {"attached": attached}}


def test_an_attachment_names_its_volume_and_a_volume_its_claim():
    assert attachment_view(attachment("csi-1", "n1", "pvc-1"), "shop/data") == DATA
    assert attachment_view(attachment("csi-2", "n1")) == AttachmentView("csi-2")
    new = {"metadata": {"name": "csi-3"}, "spec": {"nodeName": "n1", "source": {}}}
    assert not attachment_view(new).attached
    assert claim_of({"spec": {"claimRef": {"namespace": "shop", "name": "data"}}}) == "shop/data"
    assert claim_of({"spec": {}}) == ""


class Counting(MemoryCluster):
    """Counts what is read, by verb and kind."""

    def __init__(self, store, forbidden=()):
        super().__init__(store)
        self.forbidden, self.reads = forbidden, []

    def list(self, kind, **options):
        self._read("list", kind)
        return super().list(kind, **options)

    def get(self, kind, name, **options):
        self._read("get", kind)
        return super().get(kind, name, **options)

    def _read(self, verb, kind):
        self.reads.append((verb, kind.plural))
        if kind in self.forbidden:
            raise Forbidden("not allowed", status=403)


@pytest.fixture
def store():
    made = Store(lambda: NOW)
    api = MemoryCluster(made)
    bound = {"claimRef": {"namespace": "shop", "name": "data"}}
    api.create(PERSISTENT_VOLUME, {"metadata": {"name": "pvc-1"}, "spec": bound})
    api.create(VOLUME_ATTACHMENT, attachment("csi-1", "n1", "pvc-1"))
    api.create(VOLUME_ATTACHMENT, attachment("csi-2", "n1", "pvc-lost"))
    api.create(VOLUME_ATTACHMENT, attachment("csi-3", "n2", "pvc-1"))
    return made


def test_attachments_are_listed_once_and_then_looked_at_one_by_one_until_they_are_gone(store):
    cluster = Counting(store)
    volumes = Volumes(cluster)
    seen = volumes.of(["n1"], NOW)
    assert seen == {"n1": (DATA, AttachmentView("csi-2", "pvc-lost"))}
    assert cluster.reads == [("list", "volumeattachments"), *[("get", "persistentvolumes")] * 2]
    cluster.reads.clear()
    assert volumes.of(["n1"], NOW + 0.1) == seen
    assert cluster.reads == []
    cluster.delete(VOLUME_ATTACHMENT, "csi-2")
    assert volumes.of(["n1"], NOW + 1) == {"n1": (DATA,)}
    assert cluster.reads == [("get", "volumeattachments")] * 2
    assert volumes.of([], NOW + 2) == {}
    cluster.reads.clear()
    assert volumes.of(["n1", "n3"], NOW + 3) == {"n1": (DATA,), "n3": ()}
    assert cluster.reads.count(("list", "volumeattachments")) == 1, (
        "a node that comes again is looked for anew"
    )


def test_a_role_that_does_not_grant_it_leaves_the_node_unknown_and_stops_nobody(store):
    assert Volumes(Counting(store, (VOLUME_ATTACHMENT,))).of(["n1"], NOW) == {}
    assert Volumes(Counting(store, (PERSISTENT_VOLUME,))).of(["n1"], NOW) == {}


def test_a_pass_over_nodes_that_still_have_pods_asks_for_no_volume(store):
    cluster, cache = Counting(store), Cache()
    release = {"version": "2", "source": "file:///r", "digest": NEW}
    spec = {"release": release, "rollout": {"drain": {"onTimeout": "Wait"}}}
    cache.put(OS, cluster.create(OS, {"metadata": {"name": "workers"}, "spec": spec}))
    note = cordon_text(CordonNote("workers", NEW, NOW - 10, ours=True))
    meta = {"name": "n1", "labels": {}, "annotations": {CORDON_ANNOTATION: note}}
    made = cluster.create(NODE, {"metadata": meta, "spec": {"unschedulable": True}, "status": {}})
    cache.put(NODE, made)
    owner = [{"kind": "Node", "name": "n1", "uid": made["metadata"]["uid"]}]
    orders = {"metadata": {"name": "n1", "ownerReferences": owner}, "spec": {"os": "workers", "goal": "None"}}
    cache.put(OSINSTANCE, cluster.create(OSINSTANCE, orders))
    web = {"metadata": {"name": "web-1", "namespace": "shop"}, "spec": {"nodeName": "n1"}}
    store.commit(POD, cluster.create(POD, web))
    gather = Gather(cluster, cache, lambda _: Resolution())
    cluster.reads.clear()
    assert gather.world(NOW).attachments == {}
    assert cluster.reads == [("list", "pods")]
    store.commit(POD, store.find(POD, "web-1", "shop"), "DELETED")
    assert [one.name for one in gather.world(NOW + 1).attachments["n1"]] == ["csi-1", "csi-2"]

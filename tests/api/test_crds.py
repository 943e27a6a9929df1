"""What a person writes wrongly is refused by the API server itself, naming the field and the fix."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import yaml

from os_operator.core.parse import os_view
from warmroot import errors, nodeconfig
from warmroot.api import crdgen
from warmroot.api.nodeconfig import NodeConfig
from warmroot.kube.cluster import CRD, OS, OSINSTANCE

pytestmark = pytest.mark.api

PAGE = Path(__file__).parents[2] / "docs" / "node-configuration.md"
DIGEST = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def kinds(cluster):
    for content in crdgen.render().values():
        document = yaml.safe_load(content)
        cluster.apply(CRD, document, manager="test")
        _established(cluster, document["metadata"]["name"])
    return cluster


def _established(cluster, name: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        conditions = cluster.get(CRD, name).get("status", {}).get("conditions") or []
        if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
            return
        time.sleep(0.1)
    raise AssertionError(f"{name} was not established in 30 s")


def _os(name: str = "bad-input", *, release: dict | None = None, **rollout) -> dict:
    return {
        "apiVersion": OS.api_version,
        "kind": "OS",
        "metadata": {"name": name},
        "spec": {
            "release": {"version": "1", "source": "https://releases.example/os"} | (release or {}),
            "rollout": rollout,
        },
    }


def rule(**expression) -> dict:
    return {"selector": {"matchExpressions": [expression]}, "action": "Skip"}


WINDOW = {"cron": "0 1 * * 6", "duration": "4h"}


@pytest.mark.parametrize(
    ("rollout", "field", "fix"),
    [
        ({"maxUnavailable": "ten"}, "spec.rollout.maxUnavailable", "percentage from 1% to 100%"),
        ({"maxUnavailable": "101%"}, "spec.rollout.maxUnavailable", "percentage from 1% to 100%"),
        ({"maxUnavailable": 0}, "spec.rollout.maxUnavailable", "1 or more"),
        ({"waves": [{"name": "a", "nodes": "200%"}]}, "spec.rollout.waves", "percentage from 1% to 100%"),
        ({"waves": [{"name": "a"}, {"name": "a"}]}, "spec.rollout.waves[1]", "Duplicate"),
        (
            {"waves": [{"name": "a", "nodes": 1, "selector": {"matchLabels": {"tier": "canary"}}}]},
            "spec.rollout.waves[0]",
            "not both",
        ),
        ({"topologyKey": "a zone"}, "spec.rollout.topologyKey", "should match"),
        ({"failure": {"action": "Hope"}}, "spec.rollout.failure.action", '"Halt", "Rollback"'),
        ({"windows": [WINDOW | {"cron": "0 25 * * 6"}]}, "spec.rollout.windows[0]", "five fields"),
        ({"windows": [WINDOW | {"cron": "0 1 31 2 *"}]}, "spec.rollout.windows[0]", "never open"),
        ({"windows": [WINDOW | {"duration": "0h"}]}, "spec.rollout.windows[0]", "longer than nothing"),
        ({"windows": [WINDOW | {"timeZone": "Mars/Base"}]}, "spec.rollout.windows[0]", "IANA name"),
        ({"drain": {"timeout": "soon"}}, "spec.rollout.drain.timeout", "should match"),
        (
            {"drain": {"onTimeout": "Shout"}},
            "spec.rollout.drain.onTimeout",
            '"Wait", "Skip", "Force", "Abort"',
        ),
        (
            {"drain": {"podRules": [{"selector": {}, "action": "Keep"}]}},
            "spec.rollout.drain.podRules[0].action",
            '"Drain", "Skip", "WaitCompleted"',
        ),
        (
            {"drain": {"podRules": [{"action": "Skip"}]}},
            "spec.rollout.drain.podRules[0].selector",
            "Required",
        ),
        (
            {"drain": {"podRules": [rule(key="app", operator="In")]}},
            "spec.rollout.drain.podRules[0].selector.matchExpressions[0]",
            "In and NotIn need values",
        ),
        (
            {"drain": {"podRules": [rule(key="app", operator="Exists", values=["a"])]}},
            "spec.rollout.drain.podRules[0].selector.matchExpressions[0]",
            "Exists and DoesNotExist take none",
        ),
        (
            {"drain": {"podRules": [{"selector": {}, "action": "Skip"}, rule(key="a", operator="Exists")]}},
            "spec.rollout.drain",
            "only the last one may have an empty selector",
        ),
    ],
)
def test_a_bad_rollout_is_refused_by_field_and_fix(kinds, rollout, field, fix):
    with pytest.raises(errors.Invalid) as refused:
        kinds.create(OS, _os(**rollout))

    assert field in refused.value.message
    assert fix in refused.value.message


def test_an_unknown_field_is_refused_by_name(kinds):
    with pytest.raises(errors.ClusterError, match=r"maxUnavailble"):
        kinds.apply(OS, _os(maxUnavailble=1), manager="test")


@pytest.mark.parametrize(
    "release", [{"source": "http://mirror.example"}, {"mirrors": ["http://mirror.example"]}]
)
def test_plain_http_without_a_digest_is_refused(kinds, release):
    with pytest.raises(errors.Invalid, match="pin the digest or use https"):
        kinds.apply(OS, _os(release=release), manager="test")


def test_plain_http_with_a_digest_is_accepted_and_defaults_are_filled_in(kinds):
    wanted = _os("pinned", release={"source": "http://mirror.example", "digest": DIGEST})

    stored = kinds.apply(OS, wanted, manager="test")
    kinds.delete(OS, "pinned")

    assert stored["spec"]["rollout"]["maxUnavailable"] == 1
    assert stored["spec"]["rollout"]["drain"]["timeout"] == "15m"
    assert stored["spec"]["rollout"]["health"]["readySeconds"] == 60


def test_an_order_to_reboot_without_an_id_is_refused(kinds):
    order = {
        "apiVersion": OSINSTANCE.api_version,
        "kind": "OSInstance",
        "metadata": {"name": "node-1"},
        "spec": {
            "os": "workers",
            "goal": "Activate",
            "release": {"version": "1", "digest": DIGEST, "sources": ["https://releases.example"]},
        },
    }

    with pytest.raises(errors.Invalid, match=r"spec\.reboot is needed"):
        kinds.apply(OSINSTANCE, order, manager="test")


def _configured(**config) -> dict:
    made = _os("settings")
    made["spec"]["config"] = config
    return made


def test_the_settings_of_the_documentation_are_kept_as_they_were_written(kinds):
    """What only a kubelet or containerd knows is not pruned, and has the revision that a node computes."""
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    written = yaml.safe_load(example)

    made = kinds.create(OS, written)

    assert made["spec"]["config"]["containerd"] == written["spec"]["config"]["containerd"]
    assert made["spec"]["config"]["kubelet"] == written["spec"]["config"]["kubelet"]
    view = os_view(made)
    assert (view.problem, view.config.text) == ("", NodeConfig.model_validate(made["spec"]["config"]).text())
    assert nodeconfig.parse(view.config.text).files[0].restart == ("chrony.service",)
    kinds.delete(OS, written["metadata"]["name"])


@pytest.mark.parametrize(
    ("config", "field", "fix"),
    [
        ({"sysctl": {"vm.swappiness": 1}}, "spec.config.sysctl.vm.swappiness", "string"),
        ({"files": [{"path": "/root/x", "content": ""}]}, "spec.config.files[0].path", "/etc"),
        ({"files": [{"path": "/etc/x", "content": ""}] * 2}, "spec.config.files[1]", "Duplicate"),
        (
            {"files": [{"path": "/etc/x", "content": "", "mode": "4755"}]},
            "spec.config.files[0].mode",
            "0[0-7]",
        ),
        ({"limits": [{"domain": "*", "type": "x", "item": "nofile", "value": "1"}]}, "type", '"soft"'),
    ],
)
def test_bad_settings_are_refused_by_field_and_fix(kinds, config, field, fix):
    with pytest.raises(errors.Invalid) as refused:
        kinds.create(OS, _configured(**config))

    assert field in refused.value.message
    assert fix in refused.value.message


def test_a_section_that_does_not_exist_is_refused_by_name(kinds):
    with pytest.raises(errors.ClusterError, match="grub"):
        kinds.apply(OS, _configured(grub=["quiet"]), manager="test")


def test_orders_name_the_revision_of_their_settings_and_may_name_it_alone(kinds):
    item = {"apiVersion": OSINSTANCE.api_version, "kind": "OSInstance", "metadata": {"name": "settings"}}

    with pytest.raises(errors.Invalid) as refused:
        kinds.create(OSINSTANCE, item | {"spec": {"os": "workers", "config": "{}"}})

    assert "needs spec.configRevision" in refused.value.message
    kept = {"os": "workers", "configRevision": "sha256:" + "5" * 64}
    assert kinds.create(OSINSTANCE, item | {"spec": kept})["spec"]["configRevision"] == kept["configRevision"]


def test_pod_rules_of_every_form_are_taken_as_they_are_written(kinds):
    rules = [
        {"selector": {"matchLabels": {"app": "batch"}}, "action": "WaitCompleted"},
        rule(key="tier", operator="NotIn", values=["spare", "canary"]),
        rule(key="keep", operator="DoesNotExist"),
        {"selector": {}, "action": "Drain"},
    ]
    stored = kinds.create(OS, _os("pod-rules", drain={"podRules": rules}))
    kinds.delete(OS, "pod-rules")
    assert [one["action"] for one in stored["spec"]["rollout"]["drain"]["podRules"]] == [
        "WaitCompleted", "Skip", "Skip", "Drain",
    ]  # fmt: skip
    assert os_view(stored).problem == ""

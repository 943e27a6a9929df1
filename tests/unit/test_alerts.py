"""Alerts and dashboards ask for what our programs really export; each alert has its cases and its line."""

import json
import re
import time
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from jboost_server.controller.metrics import Metrics as Controller
from jboost_server.core.control.world import Accuse, Release, Start, WriteStatus
from jboost_server.core.injection.reason import Reason
from jboost_server.core.outcome import Outcome
from jboost_server.settings import Policy
from jboost_server.store.directory import DirectoryStore
from jboost_server.web.app import create_app
from jboost_server.web.metrics import Metrics as Service
from jboost_server.web.service import Settings
from jboost_server.web.tenancy import Local
from jboost_server.webhook.app import Metrics as Webhook
from os_operator.shell.metrics import Metrics as Operator
from tests.jboost.server_world import SIGNER
from tests.unit.test_operator_metrics import STATES
from warmroot import errors
from warmroot.api.javacache import CacheState
from warmroot.api.reasons import WaitReason

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/metrics.md").read_text()
CASES = {"Warmroot": "alert_cases.yaml", "Jboost": "jboost_alert_cases.yaml"}
"""By what the names of alerts begin with."""


def rules(which):
    text = (ROOT / f"deploy/alerts/{which.lower()}.rules.yaml").read_text()
    return yaml.safe_load(text)["groups"][0]["rules"]


RULES = [one for which in CASES for one in rules(which)]
DASHBOARDS = [json.loads(path.read_text()) for path in sorted((ROOT / "deploy/dashboards").glob("*.json"))]
PANELS = [
    (one["title"], each["expr"]) for board in DASHBOARDS for one in board["panels"] for each in one["targets"]
]
EXPRESSIONS = [*((rule["alert"], rule["expr"]) for rule in RULES), *PANELS]
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


@pytest.fixture(scope="module")
def exported():
    """Series and their labels, as the registries have them; a process's own figures are left out."""
    found = {}
    registries = [Service().registry, Webhook().registry, Controller().registry, CollectorRegistry()]
    Operator(registries[-1])
    for registry in registries:
        for one in registry._collector_to_names:
            for suffix in _SUFFIXES.get(getattr(one, "_type", ""), ()):
                labels = set(one._labelnames) | ({"le"} if suffix == "_bucket" else set())
                found[one._name + suffix] = labels
    return found


@pytest.fixture(scope="module")
def possible(tmp_path_factory):
    """What each label can be, where that is a closed list."""
    store = DirectoryStore(tmp_path_factory.mktemp("store"))
    app = create_app(
        Settings(store, SIGNER, Local(), clock=time.time, monotonic=time.monotonic, policy=Policy())
    )
    reasons = {one.reason for one in vars(errors).values() if hasattr(one, "reason")}
    java = {
        "state": {one.value for one in CacheState},
        "outcome": {
            *(one.value for one in Outcome),
            "Done",
            *(one for one in reasons if isinstance(one, str)),
        },
        "reason": {one.value for one in Reason},
        "route": set(app.openapi()["paths"]),
        "action": {one.__name__ for one in (Accuse, Release, Start, WriteStatus)},
    }
    nodes = {"state": STATES, "reason": {one.value for one in WaitReason}}
    return {"jboost": java, "warmroot": nodes}


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS, ids=[name for name, _ in EXPRESSIONS])
def test_what_is_asked_of_prometheus_is_exported_with_these_labels_and_values(
    name, expression, exported, possible
):
    asked = re.findall(r"((?:jboost|warmroot)_\w+)(?:\{([^}]*)\})?", expression)
    assert asked, name
    for series, chosen in asked:
        assert series in exported, series
        closed = possible[series.partition("_")[0]]
        for label, value in re.findall(r'(\w+)(?:=|!=|=~|!~)"([^"]*)"', chosen):
            assert label in exported[series], (series, label)
            if label in closed and not value.startswith("$"):
                assert set(value.split("|")) <= closed[label], (series, value)


@pytest.mark.parametrize("which", CASES)
def test_the_page_names_each_alert_and_no_other(which):
    rows = re.findall(rf"^\| `({which}\w+)` \|", PAGE, re.MULTILINE)
    assert rows == [rule["alert"] for rule in rules(which)]


@pytest.mark.parametrize("which", CASES)
def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(which):
    cases = yaml.safe_load(Path(__file__).with_name(CASES[which]).read_text())["tests"]
    asked = [one for case in cases for one in case["alert_rule_test"]]
    firing = {one["alertname"] for one in asked if one.get("exp_alerts")}
    silent = {one["alertname"] for one in asked if not one.get("exp_alerts")}
    assert firing == silent == {rule["alert"] for rule in rules(which)}


def test_a_label_that_an_alert_names_is_one_of_its_series(exported):
    for rule in RULES:
        used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        names = re.findall(r"(?:jboost|warmroot)_\w+", rule["expr"])
        assert names
        assert used <= {label for name in names for label in exported[name]}, rule["alert"]


def test_a_dashboard_shows_each_metric_that_somebody_should_look_at(exported):
    """What no panel shows is named here, with the reason."""
    shown = set(re.findall(r"(?:jboost|warmroot)_\w+", " ".join(one for _, one in PANELS)))
    base = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in shown}
    unseen = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in exported} - base
    assert unseen == {
        "jboost_lookups",  # the outcomes, as pods report them, say more
        "jboost_recordings",
        "jboost_controller_pass_seconds",  # an alert watches it, and the next one
        "jboost_webhook_certificate_end_seconds",
        "warmroot_silences",
        "warmroot_actions",
    }


def test_panels_lie_beside_one_another_and_have_names_of_their_own():
    for board in DASHBOARDS:
        places = [tuple(one["gridPos"].values()) for one in board["panels"]]
        assert len(set(places)) == len({one["title"] for one in board["panels"]}) == len(places)
        for height, width, x, y in places:
            assert x + width <= 24
            assert sum(x < ox + ow and ox < x + width and y < oy + oh and oy < y + height
                       for oh, ow, ox, oy in places) == 1  # fmt: skip

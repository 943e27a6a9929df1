"""`docs/java-controller.md` and `deploy/jboost/controller*.yaml` say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from prometheus_client import generate_latest

from jboost_server.cli import app
from jboost_server.controller.act import CONFIG_MAP, JOB, NETWORK_POLICY
from jboost_server.controller.main import LEASE, Options
from jboost_server.controller.metrics import Metrics
from jboost_server.core.control import builder
from jboost_server.web.tenancy import CONTROL_AUDIENCE
from tests.injected import INSTALLATION
from warmroot.api import crdgen, javacache
from warmroot.kube.cluster import EVENT, JAVA_CACHE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "java-controller.md").read_text()
SOURCE = Path(javacache.__file__).read_text()


def documents(name: str) -> list[dict]:
    return list(yaml.safe_load_all((ROOT / "deploy" / "jboost" / name).read_text()))


def said(kind: str) -> list[tuple[str, str]]:
    """Members of an enum, each with its docstring."""
    body = SOURCE.split(f"class {kind}(StrEnum):")[1].split("\n\n\n")[0]
    return re.findall(r'^    [A-Z_]+ = "(\w+)"\n    """(.*?)"""$', body, re.MULTILINE)


def test_the_page_has_every_state_and_reason_in_the_words_of_the_code():
    states = re.findall(r"^\| `(\w+)` \| ([^|]*?) \|$", PAGE, re.MULTILINE)
    reasons = re.findall(r"^\| `(\w+)` \| ([^|]*?) \| [^|]* \|$", PAGE, re.MULTILINE)
    assert sorted(states) == sorted(said("CacheState"))
    assert [one for one in reasons if one[0] in set(javacache.CacheReason)] == said("CacheReason")
    assert len(said("CacheReason")) == len(javacache.CacheReason)


def test_the_page_has_every_figure_and_option():
    metrics = Metrics()
    exported = set(re.findall(r"^# TYPE (jboost_\w+) ", generate_latest(metrics.registry).decode(), re.M))
    named = set(re.findall(r"^\| `(jboost_\w+)` \|", PAGE, re.MULTILINE))
    assert named == {name for name in exported if not name.endswith("_created")}
    (command,) = [one for one in app.registered_commands if one.callback.__name__ == "controller"]
    for option in re.findall(r"`--([a-z-]+)`", PAGE):
        if option != "controller":
            assert option.replace("-", "_") in command.callback.__annotations__, option
    assert f"(`{Options(INSTALLATION).metrics}`)" in PAGE
    assert f"`--builders` ({Options(INSTALLATION).builders})" in PAGE


def test_the_columns_of_the_page_are_those_of_the_kind():
    (kind,) = [one for one in crdgen.DEFINITIONS if one.kind == "JavaCache"]
    shown = [column.name.upper() for column in kind.columns if not column.priority]
    (head,) = [line for line in PAGE.splitlines() if line.startswith("NAME ")]
    assert head.split() == ["NAME", *shown]


def test_the_controller_may_do_what_its_code_does_and_nothing_else():
    rules = {
        one["metadata"]["name"]: [
            (rule["resources"], rule["verbs"], rule.get("resourceNames")) for rule in one["rules"]
        ]
        for one in documents("controller-rbac.yaml")
        if "rules" in one
    }
    assert rules == {
        "warmroot-jboost-controller": [
            ([JAVA_CACHE.plural], ["list", "watch"], None),
            ([f"{JAVA_CACHE.plural}/status"], ["update"], None),
            ([JOB.plural], ["list", "watch"], None),
            ([EVENT.plural], ["create"], None),
        ],
        "warmroot-jboost-builders": [
            (["pods"], ["list"], None),
            (["pods/eviction"], ["create"], None),
            ([JOB.plural], ["create"], None),
            ([CONFIG_MAP.plural], ["create"], None),
            ([NETWORK_POLICY.plural], ["create"], None),
            ([NETWORK_POLICY.plural], ["patch"], [builder.POLICY]),
        ],
        "jboost-controller": [
            (["leases"], ["create"], None),
            (["leases"], ["get", "update"], [LEASE]),
        ],
    }


def test_the_service_believes_the_account_that_the_controller_runs_under():
    deployment = documents("controller.yaml")[0]
    spec = deployment["spec"]["template"]["spec"]
    (server,) = [one for one in documents("server.yaml") if one["kind"] == "Deployment"]
    args = server["spec"]["template"]["spec"]["containers"][0]["args"]
    account = f"{deployment['metadata']['namespace']}:{spec['serviceAccountName']}"
    assert f"--controller={account}" in args
    (token,) = spec["volumes"][0]["projected"]["sources"]
    assert token["serviceAccountToken"]["audience"] == CONTROL_AUDIENCE
    mount = spec["containers"][0]["volumeMounts"][0]["mountPath"]
    assert str(Options(INSTALLATION).token) == f"{mount}/token"


def test_the_controller_reaches_the_service_through_its_policy():
    policy = documents("network.yaml")[0]
    peers = policy["spec"]["ingress"][0]["from"]
    deployment = documents("controller.yaml")[0]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert {"podSelector": {"matchLabels": labels}} in peers

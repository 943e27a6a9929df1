"""`docs/java-injection.md` and `deploy/jboost/webhook*.yaml` say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from jboost_server.cli import app
from jboost_server.core.injection import choose, parts, reason
from jboost_server.core.injection.installation import Installation
from jboost_server.web.tenancy import AUDIENCE
from jboost_server.webhook.keeping import CONFIGURATION
from warmroot.kube.cluster import JAVA_CACHE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "java-injection.md").read_text()


def documents(name: str) -> list[dict]:
    return list(yaml.safe_load_all((ROOT / "deploy" / "jboost" / name).read_text()))


def hook() -> dict:
    (found,) = (one for one in documents("webhook.yaml") if one["kind"] == CONFIGURATION.kind)
    (one,) = found["webhooks"]
    return one


def test_the_page_has_every_reason_in_the_words_of_the_code():
    table = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)
    source = Path(reason.__file__).read_text()
    said = re.findall(r'^    [A-Z_]+ = "(\w+)"\n    """(.*?)"""$', source, re.MULTILINE)

    assert [(name, meaning) for name, meaning, _ in table] == said
    assert [name for name, _ in said] == [one.value for one in reason.Reason]


def test_the_object_of_the_page_is_one_and_its_defaults_are_those_of_the_model():
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)

    spec = choose.cache_of(yaml.safe_load(example)).spec

    assert f"(`{spec.budget.lookup}`)" in PAGE
    assert f"(`{spec.budget.fetch}`)" in PAGE
    assert Installation("image").room == "1Gi"


def test_the_page_names_what_is_added_and_options_that_exist():
    for name in (*parts.VOLUMES, parts.FETCH, choose.CACHE, choose.INJECT):
        assert f"`{name}" in PAGE, name
    commands = {one.name or one.callback.__name__: one.callback for one in app.registered_commands}
    known = set(commands["inject"].__annotations__)
    for option in re.findall(r"`--([a-z-]+)`", PAGE):
        assert option.replace("-", "_") in known, option


def test_the_webhook_keeps_nobody_out_and_stays_away_from_the_cluster_itself():
    one = hook()
    spaces = next(each for each in one["namespaceSelector"]["matchExpressions"])

    assert (one["failurePolicy"], one["timeoutSeconds"] <= 2) == ("Ignore", True)
    assert one["rules"] == [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"],
         "scope": "Namespaced"}
    ]  # fmt: skip
    assert (spaces["key"], spaces["operator"]) == ("kubernetes.io/metadata.name", "NotIn")
    assert {"kube-system", "warmroot-jboost"} <= set(spaces["values"])
    (opted,) = one["objectSelector"]["matchExpressions"]
    assert opted == {"key": choose.INJECT, "operator": "NotIn", "values": ["false"]}


def test_the_webhook_may_do_what_its_code_does_and_nothing_else():
    rules = [rule for one in documents("webhook-rbac.yaml") for rule in one.get("rules", ())]

    assert [(rule["resources"], rule["verbs"], rule.get("resourceNames")) for rule in rules] == [
        ([JAVA_CACHE.plural], ["list", "watch"], None),
        ([CONFIGURATION.plural], ["get", "update"], ["warmroot-jboost"]),
        (["secrets"], ["get", "update"], ["jboost-webhook"]),
        (["secrets"], ["create"], None),
    ]


def test_pods_show_the_token_that_the_service_asks_for():
    assert parts.AUDIENCE == AUDIENCE

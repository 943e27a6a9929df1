"""`jboost inject`: what the webhook would do with a file, without a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from jboost_server.cli import app
from tests.injected import container, patched, pod
from warmroot.errors import UserError

GOLDEN = Path(__file__).parent / "injected"
CACHE = {
    "apiVersion": "warmroot.io/v1alpha1",
    "kind": "JavaCache",
    "metadata": {"name": "orders", "namespace": "shop"},
    "spec": {"selector": {"matchLabels": {"app": "orders"}}},
}


def template(**spec) -> dict:
    one = pod(**spec)
    return {"metadata": {"labels": one["metadata"]["labels"]}, "spec": one["spec"]}


def workload(kind: str, spec: dict, namespace: str = "shop") -> dict:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": "orders", "namespace": namespace},
        "spec": spec,
    }


WORKLOADS = [
    pod(meta={"name": "orders", "namespace": "shop", "labels": {"app": "orders"}}),
    *(workload(kind, {"template": template()}) for kind in ("Deployment", "StatefulSet", "DaemonSet", "Job")),
    workload("CronJob", {"jobTemplate": {"spec": {"template": template()}}}),
]


@pytest.fixture
def call(tmp_path):
    """The command's output, with these documents as its file."""

    def inject(*documents: dict, options: tuple[str, ...] = (), caches: tuple[dict, ...] = (CACHE,)) -> str:
        (tmp_path / "file.yaml").write_text(yaml.safe_dump_all(documents))
        (tmp_path / "caches.yaml").write_text(yaml.safe_dump_all(caches))
        words = [
            "inject",
            "-f",
            str(tmp_path / "file.yaml"),
            "--cache",
            str(tmp_path / "caches.yaml"),
            *options,
        ]
        result = CliRunner().invoke(app, words)
        if result.exception:
            raise result.exception
        return result.stdout

    return inject


@pytest.mark.parametrize("one", WORKLOADS, ids=lambda one: one["kind"])
def test_the_patch_of_every_kind_makes_what_is_printed_as_yaml(call, one):
    (found,) = json.loads(call(one, options=("-o", "json")))
    (printed,) = yaml.safe_load_all(call(one, options=("-o", "yaml")))

    assert (found["kind"], found["namespace"], found["name"]) == (one["kind"], "shop", "orders")
    assert found["reason"] == "Injected"
    assert patched(one, found["patch"]) == printed != one
    assert "/jboost/run/app/java.opts" in json.dumps(printed)


def test_a_diff_takes_one_line_away_and_says_why_a_pod_is_left(call):
    own = {"name": "JDK_JAVA_OPTIONS", "value": "-Xmx1g"}
    warm = workload(
        "Deployment", {"template": {**template(), "spec": {"containers": [container(env=[own])]}}}
    )
    cold = workload("Job", {"template": template(hostNetwork=True)})

    said = call(warm, cold).splitlines()

    removed = [line for line in said if line.startswith("-") and not line.startswith("---")]
    assert [line.strip("- ") for line in removed] == ["value: -Xmx1g"]
    assert said[-1].startswith("# Job shop/orders: HostNetwork: ")


def test_what_holds_no_pods_is_printed_as_it_was_and_not_judged(call):
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "orders"}}

    assert list(yaml.safe_load_all(call(service, CACHE, options=("-o", "yaml")))) == [service, CACHE]
    assert call(service) == ""


def test_a_java_cache_counts_in_its_own_namespace_and_one_without_a_namespace_everywhere(call):
    one = workload("Deployment", {"template": template()}, namespace="other")
    anywhere = CACHE | {"metadata": {"name": "orders"}}

    assert "NotSelected" in call(one)
    assert "Injected" in call(one, caches=(anywhere,))
    assert "Injected" in call(WORKLOADS[1], CACHE, caches=())


def test_items_of_a_list_are_looked_at_one_by_one(call):
    listed = {"apiVersion": "v1", "kind": "List", "items": WORKLOADS[:2]}

    assert [one["kind"] for one in json.loads(call(listed, options=("-o", "json")))] == ["Pod", "Deployment"]


@pytest.mark.parametrize(
    ("documents", "caches", "said"),
    [
        ((workload("Deployment", {}),), (CACHE,), "Deployment orders has no pod that can be read"),
        ((workload("Job", {"template": {"spec": {"containers": []}}}),), (CACHE,), "Job orders"),
        ((), (CACHE | {"spec": {"selecter": {}}},), "selecter"),
        (("text",), (), "no manifest"),
    ],
)
def test_what_can_not_be_read_is_refused_by_name(call, documents, caches, said):
    with pytest.raises(UserError, match=said):
        call(*documents, caches=caches)


def test_a_file_that_is_not_there_is_said_to_be_missing():
    result = CliRunner().invoke(app, ["inject", "-f", "/none.yaml"])

    assert isinstance(result.exception, UserError)
    assert "/none.yaml can't be read" in str(result.exception)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*-before.yaml")), ids=lambda path: path.stem)
def test_a_manifest_becomes_what_was_read_and_found_good(path):
    """The files beside it were looked at line by line; a change of them is a change for users."""
    after = path.with_name(path.name.replace("before", "after"))

    result = CliRunner().invoke(app, ["inject", "-f", str(path), "-o", "yaml"])

    assert result.stdout == after.read_text()


def test_there_are_manifests_to_compare():
    assert len(list(GOLDEN.glob("*-before.yaml"))) == 3

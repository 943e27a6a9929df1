"""What the demo makes carries its label, holds against the API models, and is the same to any YAML reader."""

from __future__ import annotations

from testbed.demo import objects
from testbed.demo.cli import _name
from testbed.demo.objects import LABEL, Pace, Run
from warmroot.api.os import OSSpec

RUN = Run("bcdf", 5)


def test_everything_that_is_made_carries_the_run_s_label():
    made = objects.installation(RUN) + objects.workload(RUN)
    assert {item["metadata"]["labels"][LABEL] for item in made} == {"bcdf"}
    assert made[0]["kind"] == "Namespace"


def test_our_pods_go_to_our_machines_and_tolerate_only_our_taint():
    pods = [
        item["spec"]["template"]
        for item in objects.installation(RUN) + objects.workload(RUN)
        if item["kind"] in ("DaemonSet", "Deployment")
    ]
    assert [pod["spec"]["nodeSelector"] for pod in pods] == [{LABEL: "bcdf"}] * 2
    assert [pod["spec"]["tolerations"] for pod in pods] == [[{"key": LABEL, "operator": "Exists"}]] * 2


def test_the_os_object_holds_against_the_model():
    body = objects.os_object(
        RUN, version="2", source="http://127.0.0.1:1", digest="sha256:" + "0" * 64, pace=Pace()
    )
    assert OSSpec.model_validate(body["spec"]).rollout.max_unavailable == 2


def test_a_run_s_name_is_never_a_number_or_a_word_to_a_yaml_reader():
    for _ in range(200):
        assert set(_name()) <= set("bcdfghjklmnpqrstvwxz")

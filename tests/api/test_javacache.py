"""What is wrong in a JavaCache is refused by the API server, naming the field and the fix."""

from __future__ import annotations

import pytest

from warmroot import errors
from warmroot.kube.cluster import JAVA_CACHE

pytestmark = pytest.mark.api


def java_cache(namespace: str, name: str = "orders", **spec) -> dict:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": JAVA_CACHE.api_version, "kind": "JavaCache", "metadata": meta, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "field", "fix"),
    [
        ({"containers": ["app", "web", "app"]}, "spec", "names one container twice"),
        ({"containers": ["An App"]}, "spec.containers[0]", "should match"),
        ({"containers": list("abcdefghi")}, "spec.containers", "at most 8"),
        ({"mode": "On"}, "spec.mode", '"Auto", "Off"'),
        ({"mode": False}, "spec.mode", "string"),
        ({"budget": {"lookup": "0s"}}, "spec.budget", "lookup is from 1ms to 1m"),
        ({"budget": {"fetch": "61s"}}, "spec.budget", "fetch is from 1ms to 1m"),
        ({"budget": {"fetch": "1h"}}, "spec.budget.fetch", "should match"),
        ({"training": {"recorders": 11}}, "spec.training.recorders", "less than or equal to 10"),
        (
            {"selector": {"matchExpressions": [{"key": "app", "operator": "In"}]}},
            "spec.selector.matchExpressions[0]",
            "In and NotIn need values",
        ),
    ],
)
def test_a_bad_java_cache_is_refused_by_field_and_fix(kinds, namespace, spec, field, fix):
    with pytest.raises(errors.Invalid) as refused:
        kinds.create(JAVA_CACHE, java_cache(namespace, **spec))

    assert field in refused.value.message
    assert fix in refused.value.message


@pytest.mark.parametrize("name", ["archives", "a" * 129])
def test_a_name_that_the_cache_service_has_no_group_for_is_refused(kinds, namespace, name):
    with pytest.raises(errors.Invalid, match="128 characters or fewer, and not archives"):
        kinds.create(JAVA_CACHE, java_cache(namespace, name))


def test_the_smallest_object_has_every_default(kinds, namespace):
    stored = kinds.create(JAVA_CACHE, java_cache(namespace))

    assert stored["spec"] == {
        "mode": "Auto",
        "containers": [],
        "budget": {"lookup": "300ms", "fetch": "2s"},
        "training": {"recorders": 0},
    }


def test_a_field_that_does_not_exist_is_refused_by_name(kinds, namespace):
    with pytest.raises(errors.ClusterError, match="promotion"):
        kinds.apply(JAVA_CACHE, java_cache(namespace, promotion={"minGain": "10%"}), manager="test")

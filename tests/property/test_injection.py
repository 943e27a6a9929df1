"""Promises of the injection that hold for every pod: it adds, and what it added can be told from the rest."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from jboost_server.core.injection.inject import inject, without
from jboost_server.core.injection.installation import Installation
from jboost_server.core.injection.patch import diff
from jboost_server.core.injection.reason import Reason
from tests.injected import AGENT, AGENT_IMAGE, SPACE, cache, patched

NAMES = st.sampled_from(["app", "web", "proxy", "a-b"])
TEXTS = st.sampled_from(["", "-Xmx1g", "@/opts", "$(A)", "$(JAVA_TOOL_OPTIONS)", "$$(JAVA_TOOL_OPTIONS)"])
SOURCES = st.one_of(
    st.fixed_dictionaries({"value": TEXTS}),
    st.just({"valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}),
)
VARIABLES = st.builds(
    lambda name, source: {"name": name, **source},
    st.sampled_from(["JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "A", "B"]),
    SOURCES,
)
QUANTITIES = st.dictionaries(
    st.sampled_from(["cpu", "memory", "example.com/gpu"]), st.sampled_from(["1", "2Gi"])
)
RESOURCES = st.fixed_dictionaries({}, optional={"requests": QUANTITIES, "limits": QUANTITIES})
SECURITY = st.dictionaries(st.sampled_from(["runAsUser", "runAsGroup"]), st.integers(0, 3), min_size=1)
MOUNTS = st.lists(
    st.builds(
        lambda name, path: {"name": name, "mountPath": path},
        st.sampled_from(["tmp", "data"]),
        st.sampled_from(["/tmp", "/data", "/opt/jboost"]),
    ),
    min_size=1,
    max_size=3,
)
COMMANDS = st.sampled_from([["java", "-jar", "/a.jar"], ["tini", "--", "/jdk/bin/java"], ["sh"], ["java"]])


def containers(more: dict) -> st.SearchStrategy:
    return st.builds(
        lambda name, rest: {"name": name, "image": "i", **rest},
        NAMES,
        st.fixed_dictionaries(
            {},
            optional={
                "command": COMMANDS,
                "args": st.lists(TEXTS, min_size=1, max_size=2),
                "env": st.lists(VARIABLES, min_size=1, max_size=4),
                "resources": RESOURCES,
                "securityContext": SECURITY,
                "volumeMounts": MOUNTS,
                "imagePullPolicy": st.just("Always"),
                **more,
            },
        ),
    )


def distinct(items: st.SearchStrategy, least: int) -> st.SearchStrategy:
    return st.lists(items, min_size=least, max_size=3, unique_by=lambda one: one["name"])


PODS = st.builds(
    lambda meta, spec: {"metadata": meta, "spec": spec},
    st.fixed_dictionaries(
        {"labels": st.just({"app": "orders"})},
        optional={"annotations": st.dictionaries(st.sampled_from(["a/b", "c~d"]), TEXTS, min_size=1)},
    ),
    st.fixed_dictionaries(
        {"containers": distinct(containers({}), 1)},
        optional={
            "initContainers": distinct(containers({"restartPolicy": st.just("Always")}), 1),
            "volumes": distinct(st.fixed_dictionaries({"name": st.sampled_from(["tmp", "data"])}), 1),
            "securityContext": SECURITY,
            "hostNetwork": st.booleans(),
            "priorityClassName": st.just("high"),
            "imagePullSecrets": st.just([{"name": "pull"}]),
        },
    ),
)
CACHES = st.builds(
    lambda names, agent: cache(containers=names, agent=agent),
    st.lists(NAMES, max_size=3, unique=True),
    st.sampled_from(["", AGENT.name]),
)
INSTALLATIONS = st.builds(
    lambda image, agent: Installation(AGENT_IMAGE, image_volumes=image, agent_map=agent),
    st.booleans(),
    st.sampled_from(["", AGENT.name]),
)


@given(PODS, CACHES, INSTALLATIONS, st.booleans())
def test_without_what_is_ours_the_pod_is_what_it_was(one, found, installation, record):
    result = inject(one, SPACE, [found], installation, record=record)

    assert without(result.pod) == one
    assert patched(one, result.patch) == result.pod
    assert (result.reason is Reason.INJECTED) == bool(result.patch)


@given(PODS, CACHES, INSTALLATIONS)
def test_a_recorder_stays_one_whoever_asks_again(one, found, installation):
    first = inject(one, SPACE, [found], installation, record=True)
    second = inject(first.pod, SPACE, [found], installation)

    assert (second.patch, second.pod) == ((), first.pod)


@given(PODS, CACHES, INSTALLATIONS, st.booleans())
def test_twice_is_once(one, found, installation, record):
    first = inject(one, SPACE, [found], installation, record=record)
    second = inject(first.pod, SPACE, [found], installation)

    assert second.patch == ()
    assert second.pod == first.pod
    assert second.reason is (Reason.ALREADY_INJECTED if first.patch else first.reason)


@given(PODS, CACHES, INSTALLATIONS, st.booleans())
def test_the_same_pod_is_given_the_same_patch(one, found, installation, record):
    assert inject(one, SPACE, [found], installation, record=record) == inject(
        copy.deepcopy(one), SPACE, [found], installation, record=record
    )


@given(PODS, CACHES, INSTALLATIONS, st.booleans())
def test_no_container_of_ours_asks_for_more_than_one_of_the_pods(one, found, installation, record):
    result = inject(one, SPACE, [found], installation, record=record)

    theirs = [each.get("resources") or {} for each in one["spec"]["containers"]]
    for each in result.pod["spec"].get("initContainers") or ():
        if each["name"].startswith(("jboost-agent", "jboost-fetch")):
            assert (each.get("resources") or {}) in theirs
        if each["name"].startswith("jboost-record"):
            said = [(part, name) for one in theirs for part, values in one.items() for name in values]
            asked = each.get("resources") or {}
            assert {(part, name) for part, values in asked.items() for name in values} <= set(said)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b/c", "~d", "1"]), inner)
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_a_patch_makes_the_one_of_the_other(before, after):
    """Compared as text: for Python, True is 1."""
    assert repr(_sorted(patched(before, diff(before, after)))) == repr(_sorted(after))


def _sorted(value):
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value

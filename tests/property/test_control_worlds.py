"""Promises of the controller over many steps of a cluster, and over every pod that a builder is made like."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jboost_server.core.control.builder import job, job_name
from jboost_server.core.control.parse import MAX_WORDS
from jboost_server.core.control.plan import plan
from jboost_server.core.control.shape import SCRATCH, shapes_of
from jboost_server.core.control.world import Build, Phase, Refusal, Start, Told
from jboost_server.core.injection.installation import Installation, bytes_of
from jboost_server.core.progress import Stage
from tests.control_worlds import (
    K1,
    K2,
    NAME,
    NOW,
    cache,
    injected,
    key,
    serving,
    shapes,
    violations,
    wanted,
    world,
)
from tests.injected import AGENT, AGENT_IMAGE, container, pod
from tests.injected import cache as chosen
from warmroot.api.javacache import MAX_KEYS, CacheReason, JavaCacheStatus

OTHER = ("shop", "other")
SHAPES = shapes(injected(), injected(pod(container(image="shop/orders:2")), uid="pod-2"))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("time"), st.sampled_from([1, 60, 400, 4000, 90_000])),
        st.tuples(st.just("ends"), st.tuples(st.integers(0, 3), st.sampled_from(["Complete", "Failed"]))),
        st.tuples(st.just("tells"), st.lists(st.sampled_from([K1, K2]), unique=True)),
        st.tuples(st.just("lag"), st.booleans()),
        st.tuples(st.just("refuses"), st.booleans()),
        st.tuples(st.just("pods"), st.integers(0, 2)),
    ),
    max_size=40,
)
BUILDERS = st.integers(0, 3)


class Cluster:
    """Jobs by name, as the API server keeps them; a leader that lags sees them as they were."""

    def __init__(self, builders: int) -> None:
        self.builders, self.now = builders, NOW
        self.jobs: dict[str, Build] = {}
        self.seen: dict[str, Build] = {}
        self.lags = self.refuses = False
        self.wanted: list[str] = []
        self.pods = 2

    def do(self, what: str, value: Any) -> None:
        match what:
            case "time":
                self.now += value
                self.lags &= value <= 400  # after that long the Lease is another's
                self.jobs = {
                    n: one for n, one in self.jobs.items() if not one.ended or self.now < one.ended + 86_400
                }
            case "ends":
                at, phase = value
                active = [name for name, one in self.jobs.items() if one.phase is Phase.ACTIVE]
                if at < len(active):
                    over = dataclasses.replace(self.jobs[active[at]], phase=Phase(phase), ended=self.now)
                    self.jobs[active[at]] = over
            case "tells":
                self.wanted = value
            case "lag":
                self.lags = value
            case "refuses":
                self.refuses = value
            case "pods":
                self.pods = value

    def one_pass(self) -> list[Start]:
        if not self.lags:
            self.seen = dict(self.jobs)
        keys = tuple(map(wanted, self.wanted))
        caches = {name: cache(name) for name in (NAME, OTHER)}
        refusal = {NAME: Refusal(CacheReason.NOT_GRANTED, "no", self.now)} if self.refuses else {}
        seen = world(
            builds=tuple(self.seen.values()),
            caches=caches,
            told={name: Told(self.now, keys) for name in caches},
            shapes=dict.fromkeys(caches, SHAPES[: self.pods]),
            refusals=refusal,
        )
        begun = plan(seen, self.now, self.builders).starts
        for one in begun:
            name = job_name(one.cache.name, one.key.digest, one.attempt)
            made = Build(one.cache.name, one.key.digest, one.attempt, one.shape.digest, Phase.ACTIVE)
            self.jobs.setdefault(name, made)
        return list(begun)


@given(BUILDERS, STEPS)
def test_a_key_never_has_two_builders_even_if_the_leader_sees_the_past(builders, steps):
    cluster = Cluster(builders)
    for what, value in steps:
        cluster.do(what, value)
        begun = cluster.one_pass()
        active = [(one.cache, one.key) for one in cluster.jobs.values() if one.phase is Phase.ACTIVE]
        assert len(active) == len(set(active))
        assert len({(one.cache.name, one.key.digest) for one in begun}) == len(begun)
        if begun and not cluster.lags:
            assert len(active) <= builders


@given(STEPS)
def test_what_is_wanted_is_built_once_time_goes_on_and_nothing_is_in_the_way(steps):
    cluster = Cluster(4)
    for what, value in steps:
        cluster.do(what, value)
        cluster.one_pass()
    for what, value in (("lag", False), ("refuses", False), ("pods", 2), ("tells", [K1])):
        cluster.do(what, value)
    for _ in range(4):
        cluster.do("ends", (0, "Failed"))
    cluster.do("time", 90_000)
    cluster.one_pass()
    assert any(one.key == K1 and one.phase is Phase.ACTIVE for one in cluster.jobs.values())


KINDS = st.lists(st.tuples(st.sampled_from(Stage), st.integers(0, 9), st.booleans()), min_size=1, max_size=4)
ROUNDS = st.lists(st.tuples(st.integers(0, 30), KINDS), min_size=1, max_size=3)
"""Of each round how many keys there are, and of which kinds they are by turns."""


def told(number, stage, count, want):
    """A key whose words are as long as they may be told, and no more."""
    counts = {"hits": count, "misses": {"missing": 9 - count}}
    make = serving if stage is Stage.SERVING else key
    more = {} if stage is Stage.SERVING else {"stage": stage}
    return make(f"{number:064x}", why="w" * MAX_WORDS, wanted=want, **counts, **more)


@given(ROUNDS, BUILDERS)
def test_a_status_is_bounded_and_rests_when_nothing_changes(rounds, builders):
    status = JavaCacheStatus()
    for at, (count, kinds) in enumerate(rounds):
        keys = [told(number, *kinds[number % len(kinds)]) for number in range(count)]
        seen = world(*keys, caches={NAME: cache(status=status)})
        status = plan(seen, NOW + 2000 * at, builders).statuses[NAME]
        assert len(status.keys) <= MAX_KEYS
        assert len(str(status.wire())) < 64 * 1024
        assert JavaCacheStatus.model_validate(status.wire()) == status
        again = dataclasses.replace(seen, caches={NAME: cache(status=status)})
        assert plan(again, NOW + 2000 * at + 1, builders).writes == ()


SECURITY = st.fixed_dictionaries(
    {},
    optional={
        "runAsUser": st.integers(0, 2),
        "runAsGroup": st.integers(0, 2),
        "runAsNonRoot": st.booleans(),
        "seccompProfile": st.sampled_from([{"type": "Unconfined"}, {"type": "RuntimeDefault"}]),
        "seLinuxOptions": st.just({"type": "spc_t", "level": "s0"}),
        "appArmorProfile": st.sampled_from([{"type": "Unconfined"}, {"type": "RuntimeDefault"}]),
    },
)
OF_CONTAINER = st.fixed_dictionaries(
    {},
    optional={
        "privileged": st.booleans(),
        "allowPrivilegeEscalation": st.booleans(),
        "readOnlyRootFilesystem": st.booleans(),
        "capabilities": st.sampled_from([{"add": ["NET_ADMIN"]}, {"drop": ["ALL"]}]),
        "procMount": st.just("Unmasked"),
    },
)
VOLUMES = st.sampled_from(
    [
        {"hostPath": {"path": "/"}},
        {"persistentVolumeClaim": {"claimName": "c"}},
        {"csi": {"driver": "d"}},
        {"emptyDir": {}},
        {"secret": {"secretName": "s"}},
        {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        {"ephemeral": {"volumeClaimTemplate": {}}},
    ]
)
POD_SPECS = st.builds(
    lambda own, more, pods, volumes, hosts: pod(
        container(
            securityContext=own | more,
            volumeMounts=[{"name": f"v{at}", "mountPath": f"/v{at}"} for at in range(len(volumes))],
            ports=[{"containerPort": 80, "hostPort": 80}],
        ),
        securityContext=pods | {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]},
        volumes=[{"name": f"v{at}"} | volume for at, volume in enumerate(volumes)],
        **hosts,
    ),
    OF_CONTAINER,
    SECURITY,
    SECURITY,
    st.lists(VOLUMES, max_size=4),
    st.dictionaries(st.sampled_from(["hostPID", "hostIPC", "shareProcessNamespace"]), st.booleans()),
)


@given(POD_SPECS, st.booleans(), st.sampled_from([None, AGENT.name]))
def test_no_builder_is_weaker_than_its_pod_or_than_the_restricted_standard(one, image, agent):
    before = copy.deepcopy(one)
    (shape,) = shapes_of([injected(one)], chosen())
    installation = Installation(AGENT_IMAGE, image_volumes=image, agent_map=AGENT.name)
    made = job(Start(cache(status=JavaCacheStatus(agent=agent)), wanted(), 1, shape), installation)
    spec = made["spec"]["template"]["spec"]

    assert one == before
    assert violations(spec) == []
    (built,) = spec["containers"]
    own = one["spec"]["containers"][0]["securityContext"]
    assert built["securityContext"].get("readOnlyRootFilesystem", False) >= own.get(
        "readOnlyRootFilesystem", False
    )
    assert not {"sysctls"} & set(spec["securityContext"])
    folders = [each["emptyDir"]["sizeLimit"] for each in spec["volumes"] if "emptyDir" in each]
    assert all(bytes_of(size) <= max(bytes_of("1Gi"), bytes_of(SCRATCH)) for size in folders)

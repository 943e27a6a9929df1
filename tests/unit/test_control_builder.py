"""The Job of a build: in its own tenant, bounded in time and disk, kept from everything but the service."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from jboost_agent import build
from jboost_server.core.control import builder
from jboost_server.core.control.builder import AUDIENCE, DEADLINE, KEPT, job, job_name, policy
from jboost_server.core.control.queue import LONGEST_PAUSE
from jboost_server.core.control.world import Start
from jboost_server.core.injection.choose import CACHE, INJECT
from jboost_server.settings import Policy
from jboost_server.web.tenancy import BUILD_AUDIENCE
from tests.control_worlds import K1, K2, NAME, cache, injected, made_of, shapes, violations, wanted
from tests.injected import AGENT, INSTALLATION, container, pod
from warmroot.api.javacache import JavaCacheStatus
from warmroot.errors import UserError


def template(job):
    return job["spec"]["template"]["spec"]


def test_the_applications_own_image_builds_with_its_own_command():
    app = container(
        image="shop/orders:7", command=["/jdk/bin/java", "-Xmx1g", "-jar", "/app.jar"], args=["--x"]
    )
    (built,) = template(made_of(pod(app)))["containers"]
    assert built["image"] == "shop/orders:7"
    assert built["command"] == [
        *("/jdk/bin/java", "-jar", "/jboost/agent/agent.jar", "build", "--server", INSTALLATION.server),
        *("--group", "orders", "--dir", "/jboost/run", "--token", "/jboost/token/token"),
        *("--ready-log", r"Started \S+ in [0-9.]+ seconds"),
        *("--", "/jdk/bin/java", "-Xmx1g", "-jar", "/app.jar", "--x"),
    ]
    assert "args" not in built


def test_the_agent_knows_every_option_that_a_builder_gives_it():
    source = Path(build.__file__).with_name("src") / "io/warmroot/jboost/BuildOptions.java"
    known = set(re.findall(r'"(--[a-z-]+)"', source.read_text()))
    for probes in ({}, {"readinessProbe": {"httpGet": {"port": 80}}}):
        (built,) = template(made_of(pod(container(**probes))))["containers"]
        words = built["command"][: built["command"].index("--")]
        assert {word for word in words if word.startswith("--")} <= known


def test_it_meets_the_restricted_standard_though_the_application_does_not():
    loose = container(
        securityContext={"privileged": True, "runAsUser": 0, "capabilities": {"add": ["SYS_ADMIN"]}},
        volumeMounts=[{"name": "host", "mountPath": "/host"}],
        ports=[{"containerPort": 80, "hostPort": 80}],
    )
    spec = pod(loose, hostPID=True, volumes=[{"name": "host", "hostPath": {"path": "/"}}])
    assert violations(spec["spec"])
    assert violations(template(made_of(spec))) == []


def test_it_mounts_the_agent_that_its_namespace_has():
    (shape,) = shapes(injected())
    found = cache(status=JavaCacheStatus(agent=AGENT.name))
    spec = template(job(Start(found, wanted(), 1, shape), replace(INSTALLATION, agent_map=AGENT.name)))
    (volume,) = (one for one in spec["volumes"] if one["name"] == "jboost-agent")
    assert volume["configMap"] == {"name": AGENT.name}
    assert "initContainers" not in spec


def test_its_time_and_its_disk_are_bounded():
    job = made_of(
        pod(
            container(volumeMounts=[{"name": "d", "mountPath": "/d"}]),
            volumes=[{"name": "d", "hostPath": {}}],
        )
    )
    assert job["spec"]["activeDeadlineSeconds"] == DEADLINE == Policy().order
    assert job["spec"]["backoffLimit"] == 0
    folders = [one["emptyDir"] for one in template(job)["volumes"] if "emptyDir" in one]
    assert len(folders) == 3
    assert all("sizeLimit" in one for one in folders)


def test_an_ended_job_stays_for_longer_than_the_longest_pause():
    assert made_of()["spec"]["ttlSecondsAfterFinished"] == KEPT > LONGEST_PAUSE


def test_an_eviction_is_no_failure():
    (rule,) = made_of()["spec"]["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")


def test_it_has_a_builders_token_and_none_of_the_api_server():
    spec = template(made_of())
    tokens = [
        source["serviceAccountToken"]
        for one in spec["volumes"]
        for source in one.get("projected", {}).get("sources", ())
    ]
    assert [one["audience"] for one in tokens] == [f"{AUDIENCE}/orders"]
    assert AUDIENCE == BUILD_AUDIENCE
    assert spec["automountServiceAccountToken"] is False


def test_no_service_no_webhook_and_no_cache_takes_it_for_the_application():
    job = made_of()
    meta = job["spec"]["template"]["metadata"]
    assert "app" not in meta["labels"]
    assert meta["labels"][INJECT] == "false"
    assert CACHE not in meta.get("annotations", {})


def test_it_runs_on_the_architecture_of_its_key():
    on = {arch: template(made_of(arch=arch)).get("nodeSelector") for arch in ("amd64", "aarch64", "riscv64")}
    assert on == {
        "amd64": {"kubernetes.io/arch": "amd64"},
        "aarch64": {"kubernetes.io/arch": "arm64"},
        "riscv64": None,
    }


def test_it_goes_with_its_java_cache():
    job = made_of()
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("JavaCache", "orders", "uid-of-orders")
    assert "blockOwnerDeletion" not in owner


def test_names_follow_from_cache_key_and_attempt_and_fit_into_a_label():
    long = ("shop", "a" * 29 + ".b-" + "c" * 90)
    names = {
        job_name(NAME, K1, 1),
        job_name(NAME, K1, 2),
        job_name(NAME, K2, 1),
        job_name(("other", "orders"), K1, 1),
        job_name(long, K1, 1),
    }
    assert len(names) == 5
    assert job_name(NAME, K1, 1) == job_name(NAME, K1, 1)
    assert all(len(name) <= 55 and "." not in name and "--" not in name for name in names)


def test_a_builder_reaches_the_service_and_names_and_nobody_reaches_it():
    spec = policy("shop", "http://jboost.warmroot-jboost.svc:8780")["spec"]
    assert spec["podSelector"] == {"matchLabels": {builder.BUILDER: "true"}}
    assert (spec["policyTypes"], "ingress" in spec) == (["Ingress", "Egress"], False)
    service, names = spec["egress"]
    label = service["to"][0]["namespaceSelector"]["matchLabels"]
    assert label == {"kubernetes.io/metadata.name": "warmroot-jboost"}
    assert service["ports"] == [{"protocol": "TCP", "port": 8780}]
    assert {one["port"] for one in names["ports"]} == {53}
    assert made_of()["spec"]["template"]["metadata"]["labels"][builder.BUILDER] == "true"


@pytest.mark.parametrize(
    ("server", "cidr"), [("http://10.0.0.1:80", "10.0.0.1/32"), ("https://[fd00::1]", "fd00::1/128")]
)
def test_a_service_at_an_address_is_reached_at_that_alone(server, cidr):
    assert policy("shop", server)["spec"]["egress"][0]["to"] == [{"ipBlock": {"cidr": cidr}}]


def test_a_service_of_which_nobody_knows_where_it_is_is_refused():
    with pytest.raises(UserError, match="does not say where it is"):
        policy("shop", "https://jboost.example.com")

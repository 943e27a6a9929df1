"""What a builder is made of: all that is in a key, nothing that does harm, and the same name for the same."""

import pytest

from jboost_server.core.control.shape import MAX_SHAPES, NOBODY, SCRATCH, STARTED
from jboost_server.local import run
from tests.control_worlds import injected, shapes
from tests.injected import container, pod

DATA = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}


def shape_of(one=None):
    (found,) = shapes(injected(one))
    return found


def test_it_has_the_applications_image_command_variables_and_limits():
    app = container(
        env=[{"name": "JAVA_TOOL_OPTIONS", "value": "-Xshare:auto"}, {"name": "A", "value": "b"}],
        resources={"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}},
        workingDir="/app",
    )
    found = shape_of(pod(app, serviceAccountName="orders", nodeSelector={"pool": "java"}))
    for part in ("image", "env", "resources", "workingDir"):
        assert found.container[part] == app[part], part
    assert found.words == ("java", "-jar", "/app/app.jar")
    assert (found.pod["serviceAccountName"], found.pod["nodeSelector"]) == ("orders", {"pool": "java"})


def test_pods_of_one_template_have_one_shape_and_it_knows_them_all():
    first, second = injected(uid="a"), injected(uid="b", made="2027-02-01T00:00:00Z")
    token = {"name": "kube-api-access-x", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}
    second["spec"]["volumes"] = [*second["spec"]["volumes"], token]
    second["spec"]["nodeName"] = "node-1"
    mount = {"name": token["name"], "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    second["spec"]["containers"][0]["volumeMounts"].append(mount)
    (found,) = shapes(first, second)
    assert (found.pods, found.newest) == ({"a", "b"}, "2027-02-01T00:00:00Z")


def test_another_image_is_another_shape_and_the_newest_comes_first():
    old = injected(pod(container(image="shop/orders:1")), uid="a")
    new = injected(pod(container(image="shop/orders:2")), uid="b", made="2027-02-01T00:00:00Z")
    assert [one.container["image"] for one in shapes(old, new)] == ["shop/orders:2", "shop/orders:1"]


def test_no_more_shapes_are_told_apart_than_are_tried():
    pods = [injected(pod(container(image=f"shop/orders:{number}"))) for number in range(MAX_SHAPES + 3)]
    assert len(shapes(*pods)) == MAX_SHAPES


def test_pods_that_were_not_injected_or_are_another_caches_have_none():
    other = injected()
    other["metadata"]["annotations"] = {"jboost.warmroot.io/injected": "other"}
    assert shapes(pod() | {"metadata": {"uid": "a", "creationTimestamp": ""}}, other) == ()


def test_data_and_tokens_stay_where_they_are():
    mounts = [
        {"name": "data", "mountPath": "/data"},
        {"name": "host", "mountPath": "/host"},
        {"name": "settings", "mountPath": "/etc/app"},
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "none", "mountPath": "/none"},
    ]
    volumes = [
        DATA,
        {"name": "host", "hostPath": {"path": "/"}},
        {"name": "settings", "configMap": {"name": "settings", "defaultMode": 420}},
        {"name": "tmp", "emptyDir": {"medium": "Memory"}},
        {"name": "unused", "secret": {"secretName": "s"}},
    ]
    found = shape_of(pod(container(volumeMounts=mounts), volumes=volumes))
    assert found.pod["volumes"] == [
        {"name": "data", "emptyDir": {"sizeLimit": SCRATCH}},
        {"name": "host", "emptyDir": {"sizeLimit": SCRATCH}},
        volumes[2],
        {"name": "tmp", "emptyDir": {"sizeLimit": SCRATCH, "medium": "Memory"}},
    ]
    assert found.container["volumeMounts"] == mounts[:4]


def test_devices_are_not_held_by_a_build():
    asked = {"limits": {"cpu": "1", "nvidia.com/gpu": "1"}, "requests": {"example.com/fast": "1"}}
    found = shape_of(pod(container(resources=asked)))
    assert found.container["resources"] == {"limits": {"cpu": "1"}}


@pytest.mark.parametrize(
    ("pods", "own", "user"),
    [
        ({"runAsUser": 10001}, {}, 10001),
        ({"runAsUser": 10001}, {"runAsUser": 10002}, 10002),
        ({"runAsUser": 0}, {}, NOBODY),
        ({"runAsNonRoot": True}, {}, None),
        ({}, {}, NOBODY),
        ({"runAsNonRoot": True}, {"runAsNonRoot": False}, NOBODY),
    ],
)
def test_it_runs_as_the_application_but_never_as_root(pods, own, user):
    found = shape_of(pod(container(securityContext=own), securityContext=pods))
    assert found.container["securityContext"].get("runAsUser") == user
    assert found.container["securityContext"]["runAsNonRoot"] is True


def test_what_is_stronger_in_the_application_stays():
    own = {
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "Localhost", "localhostProfile": "tight"},
        "seLinuxOptions": {"level": "s0:c1", "type": "spc_t"},
    }
    kept = shape_of(pod(container(securityContext=own), hostUsers=False))
    assert kept.container["securityContext"]["readOnlyRootFilesystem"] is True
    assert kept.container["securityContext"]["seccompProfile"] == own["seccompProfile"]
    assert kept.container["securityContext"]["seLinuxOptions"] == {"level": "s0:c1"}
    assert kept.pod["hostUsers"] is False


@pytest.mark.parametrize(
    ("probes", "ready"),
    [
        ({}, ("--ready-log", STARTED)),
        ({"readinessProbe": {"tcpSocket": {"port": 80}}}, ("--ready-log", STARTED)),
        (
            {"readinessProbe": {"httpGet": {"path": "/health", "port": 8080}}},
            ("--ready-url", "http://127.0.0.1:8080/health"),
        ),
        (
            {
                "readinessProbe": {"httpGet": {"port": "http"}},
                "ports": [{"name": "http", "containerPort": 81}],
            },
            ("--ready-url", "http://127.0.0.1:81/"),
        ),
        ({"readinessProbe": {"httpGet": {"port": "none"}}}, ("--ready-log", STARTED)),
        (
            {"readinessProbe": {"httpGet": {"port": 8443, "scheme": "HTTPS"}}},
            ("--ready-log", STARTED),
        ),
        (
            {
                "startupProbe": {"httpGet": {"port": 1}},
                "readinessProbe": {"httpGet": {"port": 2}},
            },
            ("--ready-url", "http://127.0.0.1:1/"),
        ),
    ],
)
def test_it_is_ready_when_its_own_probe_says_so(probes, ready):
    assert shape_of(pod(container(**probes))).ready == ready


def test_the_line_of_the_log_is_that_of_jboost_run():
    assert STARTED == run.STARTED

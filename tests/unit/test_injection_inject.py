"""What the webhook adds to a pod, and for which named reason it leaves others as they are."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path

import pytest

from jboost_agent import build
from jboost_server.core.injection.inject import Injection, inject, without
from jboost_server.core.injection.installation import Installation, bytes_of
from jboost_server.core.injection.reason import Reason
from tests.injected import AGENT_IMAGE, INSTALLATION, SPACE, cache, container, patched, pod
from warmroot.errors import UserError

OPTIONS = "JDK_JAVA_OPTIONS"


def done(one: dict, *caches, installation: Installation = INSTALLATION) -> Injection:
    before = copy.deepcopy(one)
    result = inject(one, SPACE, caches or (cache(),), installation)
    assert one == before, "the pod that was given is not ours to change"
    return result


def injected(one: dict, *caches, installation: Installation = INSTALLATION) -> dict:
    """The pod as it becomes."""
    result = done(one, *caches, installation=installation)
    assert result.reason is Reason.INJECTED, result.why
    assert patched(one, result.patch) == result.pod
    return result.pod


def by_name(items: list[dict], name: str) -> dict:
    (found,) = (one for one in items if one["name"] == name)
    return found


def fetcher(one: dict, name: str = "jboost-fetch") -> dict:
    return by_name(one["spec"]["initContainers"], name)


def app(one: dict, name: str = "app") -> dict:
    return by_name(one["spec"]["containers"], name)


def env(one: dict) -> dict:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in one.get("env", ())}


LEFT = [
    (pod(meta={"labels": {"app": "other"}}), Reason.NOT_SELECTED),
    (pod(meta={"labels": {}}), Reason.NOT_SELECTED),
    (pod(meta={"annotations": {"jboost.warmroot.io/cache": "none"}}), Reason.UNKNOWN_CACHE),
    (pod(meta={"annotations": {"jboost.warmroot.io/inject": "false"}}), Reason.OPTED_OUT),
    (pod(meta={"labels": {"app": "orders", "jboost.warmroot.io/inject": "false"}}), Reason.OPTED_OUT),
    (pod(os={"name": "windows"}), Reason.WINDOWS),
    (pod(nodeSelector={"kubernetes.io/os": "windows"}), Reason.WINDOWS),
    (pod(meta={"annotations": {"kubernetes.io/config.mirror": "1"}}), Reason.STATIC_POD),
    (pod(hostNetwork=True), Reason.HOST_NETWORK),
    (pod(initContainers=[{"name": "jboost-fetch", "image": "x"}]), Reason.NAME_TAKEN),
    (pod(volumes=[{"name": "jboost-keys", "configMap": {"name": "jboost-keys"}}]), Reason.NAME_TAKEN),
    (pod({"name": "app", "image": "shop/orders:1"}), Reason.ENTRYPOINT_UNKNOWN),
    (pod({"name": "app", "image": "shop/orders:1", "args": ["-jar", "a.jar"]}), Reason.ENTRYPOINT_UNKNOWN),
    (pod(container(command=["sh", "-c", "exec java -jar app.jar"])), Reason.NOT_JAVA),
    (pod(container(command=["tini", "--", "python3", "-m", "http.server"])), Reason.NOT_JAVA),
    (pod(container(command=["javaws", "-jar", "app.jar"])), Reason.NOT_JAVA),
    (pod(container(volumeMounts=[{"name": "v", "mountPath": "/jboost/"}])), Reason.PATH_TAKEN),
    (pod(container(volumeMounts=[{"name": "v", "mountPath": "/jboost/run"}])), Reason.PATH_TAKEN),
    (pod(container(args=["$(JDK_JAVA_OPTIONS)"])), Reason.REFERENCED),
    (
        pod(container(env=[{"name": "JAVA_TOOL_OPTIONS", "value": "$(JDK_JAVA_OPTIONS) -Dx"}])),
        Reason.REFERENCED,
    ),
    (pod(container(resources={"limits": {"ephemeral-storage": "1Gi"}})), Reason.DISK_LIMIT),
    (pod(container(resources={"limits": {"ephemeral-storage": "soon"}})), Reason.DISK_LIMIT),
]


@pytest.mark.parametrize(
    ("one", "reason"), LEFT, ids=[f"{at}-{reason}" for at, (_, reason) in enumerate(LEFT)]
)
def test_a_pod_that_must_not_be_touched_is_left_for_its_one_reason(one, reason):
    result = done(one)

    assert (result.reason, result.patch, result.pod) == (reason, (), one)
    assert result.why


@pytest.mark.parametrize(
    ("caches", "reason"),
    [
        ((cache(mode="Off"),), Reason.OFF),
        ((cache(containers=["web"]),), Reason.NO_CONTAINER),
        ((cache("a"), cache("b")), Reason.CONFLICTING),
        ((cache(namespace="other"),), Reason.NOT_SELECTED),
        ((cache(selector=None),), Reason.NOT_SELECTED),
        (
            (cache(selector={"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),),
            Reason.NOT_SELECTED,
        ),
    ],
)
def test_a_pod_without_one_java_cache_that_is_on_is_left(caches, reason):
    assert done(pod(), *caches).reason is reason


def test_a_reason_that_only_the_server_knows_comes_from_no_pod():
    made = {reason for _, reason in LEFT}
    made |= {Reason.OFF, Reason.NO_CONTAINER, Reason.CONFLICTING, Reason.INJECTED, Reason.ALREADY_INJECTED}

    assert set(Reason) - made == {Reason.MISTAKE, Reason.UNREADABLE, Reason.NOTHING_GAINED}


def test_an_annotation_names_one_of_several_and_one_that_selects_nothing():
    one = pod(meta={"annotations": {"jboost.warmroot.io/cache": "b"}})

    named = injected(one, cache("a"), cache("b", selector=None))

    assert "b" in fetcher(named)["command"]
    assert named["metadata"]["annotations"]["jboost.warmroot.io/injected"] == "b"


def test_an_empty_selector_selects_every_pod_of_its_namespace():
    assert injected(pod(meta={"labels": {}}), cache(selector={}))


def test_the_agent_runs_the_applications_own_image_command_folder_and_limits():
    one = pod(
        container(
            command=["/opt/jdk/bin/java", "-Xmx1g"],
            args=["-jar", "/app/app.jar", "--port", "$(PORT)"],
            workingDir="/app",
            imagePullPolicy="Always",
            env=[{"name": "PORT", "value": "8080"}],
            envFrom=[{"configMapRef": {"name": "settings"}}],
            resources={"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}, "claims": [{"name": "gpu"}]},
            securityContext={"runAsUser": 1000, "readOnlyRootFilesystem": True},
            volumeMounts=[{"name": "jars", "mountPath": "/app/lib"}],
        )
    )

    made = fetcher(injected(one))

    same = ("image", "imagePullPolicy", "workingDir", "env", "envFrom", "securityContext")
    assert {name: made[name] for name in same} == {name: app(one)[name] for name in same}
    assert made["resources"] == {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
    assert made["command"][:4] == ["/opt/jdk/bin/java", "-jar", "/jboost/agent/agent.jar", "fetch"]
    assert made["command"][made["command"].index("--") + 1 :] == [*app(one)["command"], *app(one)["args"]]
    assert made["volumeMounts"][0] == {"name": "jars", "mountPath": "/app/lib"}


def test_a_start_waits_as_long_as_the_java_cache_says():
    command = fetcher(injected(pod(), cache(budget={"lookup": "1s500ms", "fetch": "1m"})))["command"]

    assert command[command.index("--lookup-ms") + 1] == "1500"
    assert command[command.index("--fetch-ms") + 1] == "60000"


def test_the_application_gets_one_variable_and_one_read_only_folder():
    made = app(injected(pod()))

    assert made["env"] == [{"name": OPTIONS, "value": "@/jboost/run/app/java.opts"}]
    assert made["volumeMounts"] == [{"name": "jboost", "mountPath": "/jboost/run", "readOnly": True}]


@pytest.mark.parametrize(
    "own",
    [
        {"name": OPTIONS, "value": "-Xmx1g"},
        {"name": OPTIONS, "valueFrom": {"configMapKeyRef": {"name": "java", "key": "options"}}},
    ],
)
def test_the_pods_own_options_go_to_the_agent_which_writes_them_first(own):
    around = [{"name": "A", "value": "1"}], [{"name": "B", "value": "2"}]
    one = pod(container(env=[*around[0], own, *around[1]]))

    made = injected(one)

    ours = {"name": OPTIONS, "value": "@/jboost/run/app/java.opts"}
    assert app(made)["env"] == [*around[0], ours, *around[1]]
    aside = {**own, "name": "JBOOST_JDK_JAVA_OPTIONS"}
    assert fetcher(made)["env"] == [*around[0], aside, *around[1], {"name": OPTIONS, "value": ""}]


def test_a_java_agent_in_a_variable_is_known_to_the_agent_and_does_not_act_in_its_jvm():
    tool = {"name": "JAVA_TOOL_OPTIONS", "value": "-javaagent:/otel/agent.jar"}

    made = injected(pod(container(env=[tool])))

    assert app(made)["env"][0] == tool
    assert env(fetcher(made)) == {"JBOOST_JAVA_TOOL_OPTIONS": tool["value"], "JAVA_TOOL_OPTIONS": ""}


def test_what_refers_to_a_variable_that_was_put_aside_finds_it_there():
    variables = [
        {"name": "JAVA_TOOL_OPTIONS", "value": "-Da=1"},
        {"name": OPTIONS, "value": "$(JAVA_TOOL_OPTIONS) $$(JAVA_TOOL_OPTIONS) $(_JAVA_OPTIONS)"},
        {"name": "B", "value": "$(JAVA_TOOL_OPTIONS)"},
    ]
    mounts = [{"name": "v", "mountPath": "/v", "subPathExpr": "$(JAVA_TOOL_OPTIONS)/x"}]
    one = pod(container(env=variables, args=["$(JAVA_TOOL_OPTIONS)"], volumeMounts=mounts))

    made = fetcher(injected(one))

    assert env(made) == {
        "JBOOST_JAVA_TOOL_OPTIONS": "-Da=1",
        "JBOOST_JDK_JAVA_OPTIONS": "$(JBOOST_JAVA_TOOL_OPTIONS) $$(JAVA_TOOL_OPTIONS) $(_JAVA_OPTIONS)",
        "B": "$(JBOOST_JAVA_TOOL_OPTIONS)",
        OPTIONS: "",
        "JAVA_TOOL_OPTIONS": "",
    }
    assert made["command"][-1] == "$(JBOOST_JAVA_TOOL_OPTIONS)"
    assert made["volumeMounts"][0]["subPathExpr"] == "$(JBOOST_JAVA_TOOL_OPTIONS)/x"
    assert without(injected(one)) == one


def test_what_prepares_files_runs_before_the_agent_and_sidecars_stay_where_they_are():
    before = [
        {"name": "mesh", "image": "mesh", "restartPolicy": "Always"},
        {"name": "unpack", "image": "unpack"},
    ]

    made = injected(pod(initContainers=before))

    names = [one["name"] for one in made["spec"]["initContainers"]]
    assert names == ["mesh", "unpack", "jboost-agent", "jboost-fetch"]


def test_only_the_first_container_starts_warm_unless_the_pod_has_a_default_one():
    sidecar = container("proxy", command=["envoy"])

    assert "env" not in app(injected(pod(container(), sidecar)), "proxy")
    annotated = pod(
        sidecar, container(), meta={"annotations": {"kubectl.kubernetes.io/default-container": "app"}}
    )
    assert app(injected(annotated))["env"]


def test_several_containers_have_an_agent_and_a_folder_each():
    one = pod(container("a"), container("b"), container("c"))

    made = injected(one, cache(containers=["c", "a"]))

    assert [each["name"] for each in made["spec"]["initContainers"]] == [
        "jboost-agent", "jboost-fetch", "jboost-fetch-2",
    ]  # fmt: skip
    assert env(app(made, "a"))[OPTIONS] == "@/jboost/run/a/java.opts"
    assert env(app(made, "c"))[OPTIONS] == "@/jboost/run/c/java.opts"
    assert "/jboost/run/c" in fetcher(made, "jboost-fetch-2")["command"]
    assert app(made, "b") == app(one, "b")


def test_of_several_containers_one_that_is_not_java_is_left_and_named():
    one = pod(container("a", command=["sh"]), container("b"))

    result = done(one, cache(containers=["a", "b"]))

    assert result.reason is Reason.INJECTED
    assert app(result.pod, "a") == app(one, "a")
    assert "container a starts sh, not java" in result.why


def test_a_wrapper_that_starts_java_is_looked_through():
    made = fetcher(
        injected(pod(container(command=["/sbin/tini", "-g", "--", "java", "-jar", "/app/app.jar"])))
    )

    assert made["command"][0] == "java"
    assert made["command"][made["command"].index("--") + 1 :] == ["java", "-jar", "/app/app.jar"]


def test_the_copying_container_is_locked_and_has_the_applications_user_unless_that_is_root():
    def user(own: dict, pods: dict) -> int:
        made = injected(pod(container(securityContext=own), securityContext=pods))
        context = by_name(made["spec"]["initContainers"], "jboost-agent")["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        return context["runAsUser"]

    assert user({"runAsUser": 7}, {"runAsUser": 8}) == 7
    assert user({}, {"runAsUser": 8}) == 8
    assert user({}, {}) == user({"runAsUser": 0}, {}) == 65532


def test_no_container_of_ours_asks_for_more_than_the_application():
    asked = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}

    made = injected(pod(container(resources=asked)))

    assert [one["resources"] for one in made["spec"]["initContainers"]] == [asked, asked]


def test_a_cluster_with_image_volumes_needs_no_copying_container():
    made = injected(pod(), installation=replace(INSTALLATION, image_volumes=True))

    assert [one["name"] for one in made["spec"]["initContainers"]] == ["jboost-fetch"]
    assert by_name(made["spec"]["volumes"], "jboost-agent")["image"] == {
        "reference": AGENT_IMAGE, "pullPolicy": "IfNotPresent",
    }  # fmt: skip


def test_keys_that_are_not_there_keep_no_pod_from_starting():
    keys = by_name(injected(pod())["spec"]["volumes"], "jboost-keys")

    assert keys["configMap"] == {"name": "jboost-keys", "optional": True}


def test_what_another_webhook_changed_in_the_application_reaches_the_agent_the_second_time():
    first = injected(pod())
    changed = copy.deepcopy(first)
    changed["spec"]["containers"][0]["image"] = "mirror/shop/orders:1"
    changed["spec"]["containers"][0]["env"].insert(0, {"name": "JAVA_TOOL_OPTIONS", "value": "-Dx=1"})
    changed["spec"]["initContainers"][0]["image"] = "mirror/jboost-agent:0.1.0"
    changed["spec"]["initContainers"].append({"name": "late", "image": "late"})

    again = injected(changed)

    assert fetcher(again)["image"] == "mirror/shop/orders:1"
    assert env(fetcher(again))["JBOOST_JAVA_TOOL_OPTIONS"] == "-Dx=1"
    assert by_name(again["spec"]["initContainers"], "jboost-agent")["image"] == "mirror/jboost-agent:0.1.0"
    assert [one["name"] for one in again["spec"]["initContainers"]] == [
        "late",
        "jboost-agent",
        "jboost-fetch",
    ]


def test_a_pod_that_was_injected_is_not_touched_when_a_reason_to_leave_it_comes_later():
    first = injected(pod())
    first["spec"]["hostNetwork"] = True

    assert done(first).reason is Reason.HOST_NETWORK


def test_a_template_that_only_copied_our_annotation_is_injected_like_any_other():
    one = pod(meta={"annotations": {"jboost.warmroot.io/injected": "orders"}})

    assert fetcher(injected(one))


def test_of_a_variable_that_is_there_twice_the_one_that_counts_is_replaced():
    twice = [{"name": OPTIONS, "value": "-Da"}, {"name": OPTIONS, "value": "-Db"}]
    one = pod(container(env=twice))

    made = injected(one)

    assert [each["value"] for each in app(made)["env"]] == ["-Da", "@/jboost/run/app/java.opts"]
    assert without(made) == one


@pytest.mark.parametrize(
    "one", [None, {}, {"spec": {}}, {"spec": {"containers": [{}]}}, {"spec": {"containers": [3]}}]
)
def test_what_is_no_pod_is_said_to_be_none(one):
    with pytest.raises(ValueError, match=r"spec\.containers"):
        inject(one, SPACE, [cache()], INSTALLATION)


@pytest.mark.parametrize(
    "wrong",
    [
        {"server": "jboost:8780"},
        {"server": "http://$(X)"},
        {"agent_pull": "Often"},
        {"room": "0"},
        {"room": "x"},
    ],
)
def test_an_installation_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UserError):
        Installation(AGENT_IMAGE, **wrong)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1Gi", 2**30),
        ("1.5k", 1500),
        ("1e3", 1000),
        ("2e-1", 0),
        ("1E", 10**18),
        ("500m", 0),
        (7, 7),
        ("Gi", None),
        ("1 Gi", None),
    ],
)
def test_a_quantity_is_read_as_kubernetes_writes_it(text, count):
    assert bytes_of(text) == count


# -- recorders ---------------------------------------------------------------------------------------------


def recording(*containers: dict, **spec) -> dict:
    result = inject(pod(*containers, **spec), SPACE, [cache()], INSTALLATION, record=True)
    assert result.reason is Reason.INJECTED, result.why
    return result.pod


def recorder(one: dict, name: str = "jboost-record") -> dict:
    return by_name(one["spec"]["initContainers"], name)


def test_a_recorder_is_a_native_sidecar_behind_all_that_looks_for_an_archive():
    one = recording()
    names = [each["name"] for each in one["spec"]["initContainers"]]
    assert names == ["jboost-agent", "jboost-fetch", "jboost-record"]
    assert recorder(one)["restartPolicy"] == "Always"
    assert fetcher(one)["command"][fetcher(one)["command"].index("--") - 1] == "--record"


def test_it_runs_the_applications_image_as_its_user_without_its_variables_and_volumes():
    app_ = container(
        image="shop/orders:7",
        securityContext={"runAsUser": 7},
        env=[{"name": "JAVA_TOOL_OPTIONS", "value": "-javaagent:a.jar"}, {"name": "SECRET", "value": "s"}],
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
    )
    side = recorder(recording(app_, volumes=[{"name": "data", "emptyDir": {}}]))
    assert (side["image"], side["securityContext"]) == ("shop/orders:7", {"runAsUser": 7})
    assert side["env"] == [{"name": name} for name in (OPTIONS, "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS")]
    assert [one["name"] for one in side["volumeMounts"]] == ["jboost-agent", "jboost", "jboost-token"]


def test_it_waits_until_the_applications_own_probe_says_that_it_is_ready():
    probed = container(readinessProbe={"httpGet": {"path": "/health", "port": 8080}})
    command = recorder(recording(probed))["command"]
    assert command[command.index("--ready-url") + 1] == "http://127.0.0.1:8080/health"
    assert "--ready-url" not in recorder(recording())["command"]


def test_the_agent_knows_every_option_that_a_recorder_gives_it():
    source = agent_sources() / "RecordOptions.java"
    known = set(re.findall(r'"(--[a-z-]+)"', source.read_text()))
    probed = container(readinessProbe={"httpGet": {"port": 80}})
    words = recorder(recording(probed))["command"]
    assert {word for word in words if word.startswith("--")} <= known


def agent_sources() -> Path:
    return Path(build.__file__).with_name("src") / "io/warmroot/jboost"


def test_the_application_of_a_recorder_may_write_what_it_records():
    mounts = {one["name"]: one for one in app(recording())["volumeMounts"]}
    assert "readOnly" not in mounts["jboost"]


def test_it_is_small_and_bounded_where_the_application_is():
    limits = container(resources={"limits": {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": "1"}})
    assert recorder(recording(limits))["resources"] == {"limits": {"cpu": "500m", "memory": "256Mi"}}
    assert "resources" not in recorder(recording())


def test_each_container_that_starts_warm_has_a_recorder_of_its_own():
    found = inject(
        pod(container("app"), container("web")),
        SPACE,
        [cache(containers=["app", "web"])],
        INSTALLATION,
        record=True,
    ).pod
    dirs = [recorder(found, name)["command"] for name in ("jboost-record", "jboost-record-2")]
    assert [one[one.index("--dir") + 1] for one in dirs] == ["/jboost/run/app", "/jboost/run/web"]

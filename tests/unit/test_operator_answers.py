"""What comes back from a check is an answer with its own reason: none is taken for success or for silence."""

import json

import pytest

from os_operator.core import answers, cel, promql
from os_operator.core.world import Answer
from warmroot.api.health import (
    CheckReason,
    HttpCheck,
    JavaCachesCheck,
    ObjectCheck,
    PodsCheck,
    PrometheusCheck,
)

HOLDS = Answer()


# -- pods --------------------------------------------------------------------------------------------------


def pods(ready, others=0, **changes):
    check = PodsCheck.model_validate({"namespace": "shop", "selector": {}, "onNode": True} | changes)
    made = [pod(f"web-{n}", "True") for n in range(ready)]
    made += [pod(f"new-{n}", "False") for n in range(others)]
    return check, made


def pod(name, ready, phase="Running", **meta):
    status = {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name} | meta, "status": status}


@pytest.mark.parametrize(
    ("ready", "others", "least", "holds"),
    [
        (3, 0, "100%", True), (2, 1, "100%", False), (2, 1, "50%", True), (1, 2, "50%", False),
        (2, 9, 2, True), (1, 9, 2, False), (1, 0, 2, False), (1, 99, "1%", True),
    ],
)  # fmt: skip
def test_at_least_min_ready_of_the_pods_must_be_ready_and_a_share_rounds_up(ready, others, least, holds):
    assert answers.pods(*pods(ready, others, minReady=least)).holds is holds


def test_no_pod_found_is_a_failure_with_a_reason_of_its_own():
    answer = answers.pods(*pods(0))
    assert answer.reason is CheckReason.NO_PODS
    assert answer.detail == "no pod in shop matches the selector on this node"


def test_pods_that_ended_or_go_are_none_of_those_found():
    check, made = pods(1)
    gone = pod("old", "False", deletionTimestamp="2027-01-15T08:00:00Z")
    made += [gone, pod("job", "False", "Succeeded"), pod("evicted", "False", "Failed")]
    assert answers.pods(check, made) == HOLDS
    assert answers.pods(check, made[1:]).reason is CheckReason.NO_PODS


def test_the_answer_names_the_pods_that_are_not_ready():
    answer = answers.pods(*pods(1, 5))
    assert answer.reason is CheckReason.PODS_NOT_READY
    assert answer.detail == (
        "1 of 6 pods on this node are Ready, 6 must, and not new-0, new-1, new-2 and 2 more"
    )


# -- http --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (200, None),
        (204, CheckReason.WRONG_STATUS),
        (503, CheckReason.WRONG_STATUS),
        (302, CheckReason.REDIRECTED),
    ],
)
def test_only_the_expected_status_holds(code, reason):
    check = HttpCheck.model_validate({"url": "https://{nodeIP}/healthz"})
    assert answers.status(check, "https://10.0.0.1/healthz", code).reason is reason


def test_a_redirect_holds_where_it_is_what_is_expected():
    check = HttpCheck.model_validate({"url": "http://x/", "expect": 301})
    assert answers.status(check, "http://x/", 301) == HOLDS


def test_what_follows_a_path_is_not_told():
    check = HttpCheck.model_validate({"url": "https://x/a?token=abc#part"})
    told = answers.status(check, check.url, 401).detail
    assert "https://x/a answered 401" in told
    assert "abc" not in told


# -- prometheus --------------------------------------------------------------------------------------------


def judged(result, kind="vector", status=200, **bounds):
    check = PrometheusCheck.model_validate({"url": "http://p", "query": "up"} | (bounds or {"max": 0.5}))
    body = {"status": "success", "data": {"resultType": kind, "result": result}}
    return promql.judge(check, status, json.dumps(body).encode())


def vector(*values):
    return [{"metric": {"n": str(n)}, "value": [1800000000.1, value]} for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("result", "kind", "bounds", "reason"),
    [
        (vector("0.1", "0.5"), "vector", {"max": 0.5}, None),
        (vector("0.1", "0.51", "0"), "vector", {"max": 0.5}, CheckReason.OUT_OF_BOUNDS),
        (vector("1", "0.99", "7"), "vector", {"min": 1}, CheckReason.OUT_OF_BOUNDS),
        (vector("1", "7"), "vector", {"min": 1}, None),
        (vector("+Inf"), "vector", {"max": 9}, CheckReason.OUT_OF_BOUNDS),
        (vector("-Inf"), "vector", {"max": 9}, None),
        (vector("0", "NaN"), "vector", {"max": 9}, CheckReason.NOT_A_NUMBER),
        ([1800000000, "0"], "scalar", {"max": 0}, None),
        ([1800000000, "1"], "scalar", {"max": 0}, CheckReason.OUT_OF_BOUNDS),
        ([1800000000, "NaN"], "scalar", {"min": 0}, CheckReason.NOT_A_NUMBER),
        ([], "vector", {"max": 9}, CheckReason.NO_SAMPLE),
        ([1800000000, "text"], "string", {"max": 9}, CheckReason.WRONG_TYPE),
        ([{"metric": {}, "values": [[1, "0"]]}], "matrix", {"max": 9}, CheckReason.WRONG_TYPE),
        ([{"metric": {}, "histogram": [1, {"count": "1"}]}], "vector", {"max": 9}, CheckReason.WRONG_TYPE),
        (vector("many"), "vector", {"max": 9}, CheckReason.BAD_ANSWER),
        ([7], "vector", {"max": 9}, CheckReason.BAD_ANSWER),
    ],
)
def test_the_worst_sample_counts_and_what_is_no_number_fails(result, kind, bounds, reason):
    assert judged(result, kind, **bounds).reason is reason


def test_the_answer_has_the_worst_value_and_the_bound():
    assert judged(vector("0.1", "0.7512345")).detail == "0.7512 is above max 0.5"


def test_prometheus_own_refusal_is_told():
    body = {"status": "error", "errorType": "bad_data", "error": 'parse error: unexpected "}"\nmore'}
    check = PrometheusCheck.model_validate({"url": "http://p", "query": "up", "max": 1})
    answer = promql.judge(check, 400, json.dumps(body).encode())
    assert answer == Answer(CheckReason.QUERY_FAILED, 'bad_data: parse error: unexpected "}"')


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[1]", b'{"status":"success"}', b'"x"', b"[" * 100000, b"\xff\xfe", b'{"status": 7}',
     b'{"status":"success","data":{"resultType":"vector","result":7}}'],
)  # fmt: skip
def test_garbage_in_prometheus_place_is_a_failure(body):
    check = PrometheusCheck.model_validate({"url": "http://p", "query": "up", "max": 1})
    assert promql.judge(check, 200, body).reason in (CheckReason.BAD_ANSWER, CheckReason.QUERY_FAILED)


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ('up{instance="{nodeIP}:9100"}', 'up{instance="10.0.0.1:9100"}'),
        ('up{node="{nodeName}"}', 'up{node="a.example"}'),
        ('up{node=~"{nodeName}"}', r'up{node=~"a\\.example"}'),
        ("up{node=~ `{nodeName}|b`}", r"up{node=~ `a\.example|b`}"),
        ("up{node!~'{nodeName}.*'}", r"up{node!~'a\\.example.*'}"),
        ("sum(up)", "sum(up)"),
    ],
)
def test_a_node_stands_in_a_query_for_itself_and_for_nothing_else(query, asked):
    assert promql.problem(query) == ""
    assert promql.with_node(query, "a.example", "10.0.0.1") == asked


def test_an_ipv6_address_has_brackets_before_a_port_and_only_there():
    query = promql.with_node('a{i="{nodeIP}:1"} or b{i="{nodeIP}"}', "n", "fd00::1")
    assert query == 'a{i="[fd00::1]:1"} or b{i="fd00::1"}'


@pytest.mark.parametrize("name", ['"} or vector(0) #', "x`} or `", "a\\"])
def test_nothing_that_a_node_is_called_leaves_its_quotes(name):
    quoted = promql.with_node('up{node="{nodeName}"}', name, "")
    inside = quoted.removeprefix('up{node="').removesuffix('"}')
    assert json.loads(f'"{inside}"') == name


# -- CEL ---------------------------------------------------------------------------------------------------

SEEN = {
    "metadata": {"name": "csi", "labels": {"a/b": "c"}},
    "status": {"phase": "Ready", "ready": 3, "ok": True, "ratio": 0.5,
               "conditions": [{"type": "Up", "status": "True"}]},
}  # fmt: skip


def said(text):
    check = ObjectCheck.model_validate(
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "namespace": "s", "name": "csi", "cel": text}
    )
    assert cel.problem(text) == ""
    return answers.value(check, cel.evaluate(text, SEEN))


@pytest.mark.parametrize(
    "text",
    [
        "object.status.phase == 'Ready'", "object.status.ready >= 3", "object.status.ok",
        "object.status.conditions.exists(c, c.type == 'Up' && c.status == 'True')",
        "object.metadata.labels['a/b'] == 'c'", "!has(object.status.gone) || object.status.gone == 1",
        "object.status.ratio < 1.0",
    ],
)  # fmt: skip
def test_an_expression_that_is_true_holds(text):
    assert said(text) == HOLDS


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("object.status.phase == 'Failed'", CheckReason.NOT_TRUE),
        ("object.status.gone == 1", CheckReason.NO_FIELD),
        ("object.status.gone.deeper", CheckReason.NO_FIELD),
        ("object.status.phase", CheckReason.NOT_A_BOOL),
        ("object.status.conditions", CheckReason.NOT_A_BOOL),
        ("object.status.conditions[7].status == 'True'", CheckReason.CEL_FAILED),
        ("object.status.ready / 0 == 1", CheckReason.CEL_FAILED),
        ("object.status.ready > 'x'", CheckReason.CEL_FAILED),
    ],
)
def test_an_expression_that_is_not_true_fails_with_a_reason_and_is_never_waited_for(text, reason):
    """Elsewhere an absent field made a rollout wait for ever, in silence."""
    assert said(text).reason is reason


def test_the_answer_names_object_and_field():
    assert said("object.status.gone == 1").detail == 'DaemonSet csi: Key not found in map : "gone"'


def test_what_loops_too_often_is_refused_by_the_library():
    loops = "object.l.all(a, object.l.all(b, object.l.all(c, a + b + c >= 0)))"
    evaluated = cel.evaluate(loops, {"l": list(range(200))})
    check = ObjectCheck.model_validate({"apiVersion": "v1", "kind": "Node", "name": "n", "cel": "true"})
    assert answers.value(check, evaluated).reason is CheckReason.CEL_TOO_DEAR


@pytest.mark.parametrize(
    "text", ["(" * 500 + "true" + ")" * 500, "object" + ".a" * 500, "1+" * 400 + "1 > 0"]
)
def test_what_nests_too_deep_does_not_compile(text):
    assert cel.problem(text)


def test_a_number_that_cel_does_not_have_is_a_failure():
    assert cel.evaluate("object.n > 1", {"n": 2**80}).kind == cel.FAILED


def test_a_missing_rule_is_named():
    answer = answers.forbidden("get", "apps", "daemonsets", "storage")
    rule = '{apiGroups: ["apps"], resources: [daemonsets], verbs: [get]}'
    assert answer.reason is CheckReason.FORBIDDEN
    assert answer.detail == f"the operator may not; give it a Role in namespace storage with {rule}"
    assert "a ClusterRole with" in answers.forbidden("get", "", "nodes", None).detail


# -- JavaCaches --------------------------------------------------------------------------------------------


def caches(*found, **changes):
    check = JavaCachesCheck.model_validate({"namespace": "shop", "minCoverage": "80%"} | changes)
    return answers.java_caches(check, found)


def java_cache(
    name="orders", ready="True", reason="Serving", coverage=95, seen=1, mode="Auto", degraded=None
):
    conditions = [
        {"type": "Ready", "status": ready, "reason": reason, "message": "2 of 3 recordings are there"},
        {"type": "Degraded", "status": "False", "reason": "Healthy"} | (degraded or {}),
    ]
    status = {"observedGeneration": seen, "conditions": conditions, "coverage": coverage}
    return {
        "metadata": {"namespace": "shop", "name": name, "generation": 1},
        "spec": {"mode": mode},
        "status": {key: value for key, value in status.items() if value is not None},
    }


def test_caches_that_serve_enough_of_their_starts_hold():
    assert caches(java_cache(), java_cache("carts", coverage=80)) == HOLDS
    assert caches(java_cache(coverage=0), java_cache("carts"), names=["carts"]) == HOLDS


@pytest.mark.parametrize(
    ("cache", "reason", "said"),
    [
        (java_cache(ready="False", reason="Learning"), CheckReason.CACHE_NOT_SERVING, "Learning, 2 of 3"),
        (
            java_cache(coverage=79),
            CheckReason.LOW_COVERAGE,
            "79% of the recent starts were from an archive, 80% must",
        ),
        (java_cache(coverage=None), CheckReason.CACHE_UNKNOWN, "no pod has reported a start"),
        (java_cache(seen=0), CheckReason.CACHE_UNKNOWN, "its controller has not looked at it"),
        (
            java_cache(
                degraded={"status": "True", "reason": "ServiceUnavailable", "message": "no connection"}
            ),
            CheckReason.CACHE_UNKNOWN,
            "no connection",
        ),
        (java_cache() | {"status": {"observedGeneration": 1}}, CheckReason.CACHE_UNKNOWN, "not looked"),
    ],
)
def test_a_cache_that_does_not_serve_or_can_not_be_judged_is_a_failure_with_its_own_reason(
    cache, reason, said
):
    answer = caches(cache)
    assert answer.reason is reason
    assert answer.detail.startswith("JavaCache shop/orders: ")
    assert said in answer.detail


def test_a_cache_that_did_harm_to_one_key_is_judged_by_its_coverage():
    harmed = {"status": "True", "reason": "Quarantined"}
    assert caches(java_cache(degraded=harmed)) == HOLDS
    assert caches(java_cache(coverage=10, degraded=harmed)).reason is CheckReason.LOW_COVERAGE


def test_caches_that_are_off_are_left_out_unless_they_are_named():
    off = java_cache("carts", mode="Off", reason="Off")
    assert caches(java_cache(), off) == HOLDS
    assert caches(off).reason is CheckReason.NO_CACHE
    assert caches(off, names=["carts"]).reason is CheckReason.CACHE_NOT_SERVING


def test_no_cache_is_a_failure_too():
    assert caches() == Answer(CheckReason.NO_CACHE, "there is no JavaCache in shop that is not off")
    absent = caches(java_cache(), names=["carts"])
    assert absent == Answer(CheckReason.NO_CACHE, "there is no JavaCache shop/carts")


def test_the_first_that_fails_is_named_and_the_others_are_counted():
    answer = caches(*(java_cache(name, coverage=1) for name in ("c", "a", "b")))
    assert answer.detail.startswith("JavaCache shop/a: 1%")
    assert answer.detail.endswith("; 2 more do not hold")

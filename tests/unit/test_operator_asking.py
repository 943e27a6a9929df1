"""Checks are asked of real servers, the worst among them: none costs more than its timeout."""

import asyncio
import base64
import gzip
import json
import signal
import ssl
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from os_operator.core import cel
from os_operator.core.world import Answer
from os_operator.shell.checks import Asking, in_time
from os_operator.shell.sandbox import Sandbox
from testbed.controlplane.pki import Authority
from tests import hostile
from tests.sim.memory_cluster import MemoryCluster, Store
from tests.unit.operator_worlds import NOW, question
from warmroot.api.health import CheckReason
from warmroot.errors import ClusterError, Forbidden, NetworkError, NotFound
from warmroot.kube.cluster import POD, SECRET, Kind

HOLDS = Answer()
SYSTEM = "warmroot-system"
ROOT = Path(__file__).resolve().parents[2]


def asked(wanted, cluster=None):
    async def go():
        opened = Asking(cluster, SYSTEM)
        try:
            return await in_time(wanted, opened.ask)
        finally:
            await opened.close()

    return asyncio.run(go())


def get(port, timeout="5s", path="/", scheme="http", **more):
    url = f"{scheme}://{{nodeIP}}:{port}{path}"
    return question(timeout=timeout, http={"url": url} | more)


# -- servers that mean well --------------------------------------------------------------------------------


def test_a_server_that_answers_as_expected_holds_and_gets_the_node_in_its_url():
    seen = []

    def behave(connection):
        seen.append(hostile.request(connection).split(b"\r\n")[0])
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with hostile.server(behave) as server:
        assert asked(get(server.port, path="/of/{nodeName}?a=%20b", expect=204)) == HOLDS
    assert seen == [b"GET /of/node-1?a=%20b HTTP/1.1"]


def test_another_status_fails():
    with hostile.server(hostile.answer("503 Service Unavailable")) as server:
        told = asked(get(server.port, path="/healthz?token=abc"))
    where = f"http://127.0.0.1:{server.port}/healthz"
    assert told == Answer(CheckReason.WRONG_STATUS, f"{where} answered 503 instead of 200")


def test_nobody_who_listens_is_unreachable():
    with hostile.server(hostile.answer("200 OK")) as server:
        pass
    assert asked(get(server.port)).reason is CheckReason.UNREACHABLE


def test_a_name_that_nobody_has_is_unreachable_and_is_told():
    told = asked(question(http={"url": "http://nobody.invalid/"}))
    assert told.reason is CheckReason.UNREACHABLE
    assert "http://nobody.invalid/" in told.detail


def test_a_node_without_an_address_is_told_and_nobody_is_asked():
    told = asked(replace(get(1), address=""))
    assert told == Answer(CheckReason.NO_ADDRESS, "Node node-1 has no InternalIP")


# -- servers that do not -----------------------------------------------------------------------------------


def hang(connection):
    connection.recv(65536)
    connection.recv(65536)


def drip(connection):
    """A header a byte at a time, for ever: every read of it is in time."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


def endless_header(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"x" * 65536)


def endless_body(connection):
    hostile.request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def endless_interim(connection):
    while True:
        connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")
        time.sleep(0.02)


def garbage(connection):
    connection.sendall(b"\x15\x03\x01\x00\x02\x02\x16" * 10)


def nothing(connection):
    hostile.request(connection)


@pytest.mark.parametrize("behave", [hang, drip, endless_interim])
def test_a_server_that_never_comes_to_its_answer_costs_the_timeout(behave):
    with hostile.server(behave) as server:
        began = time.monotonic()
        told = asked(get(server.port, timeout="300ms"))
        assert time.monotonic() - began < 3
    assert told == Answer(CheckReason.TIMED_OUT, "no answer within 0.3 s")


@pytest.mark.parametrize("behave", [endless_header, garbage, nothing])
def test_what_is_no_http_is_a_failure(behave):
    with hostile.server(behave) as server:
        assert asked(get(server.port)).reason is CheckReason.BAD_ANSWER


def test_an_endless_body_is_not_read():
    with hostile.server(endless_body) as server:
        assert asked(get(server.port)) == HOLDS


def test_a_redirect_is_not_followed():
    with hostile.server(hostile.answer("200 OK")) as goal:
        away = hostile.answer("302 Found", b"", f"Location: http://127.0.0.1:{goal.port}/")
        with hostile.server(away) as server:
            assert asked(get(server.port)).reason is CheckReason.REDIRECTED
        assert goal.taken == 0


def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    with hostile.server(hostile.answer("200 OK")) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        with hostile.server(hostile.answer("200 OK")) as server:
            assert asked(get(server.port)) == HOLDS
        assert proxy.taken == 0


# -- TLS ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    return Authority.new()


@pytest.fixture
def tls(authority, tmp_path):
    credential = authority.server("server", ["127.0.0.1"])
    (tmp_path / "cert.pem").write_bytes(credential.certificate)
    (tmp_path / "key.pem").write_bytes(credential.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


@pytest.fixture
def api():
    return MemoryCluster(Store(lambda: NOW))


def ca(api, name, certificates):
    data = {"ca.crt": base64.b64encode(certificates).decode()}
    api.create(SECRET, {"metadata": {"name": name, "namespace": SYSTEM}, "data": data})


def test_a_server_is_believed_if_the_secret_vouches_for_it(authority, tls, api):
    ca(api, "ours", authority.credential.certificate)
    with hostile.server(hostile.answer("200 OK"), tls) as server:
        assert asked(get(server.port, scheme="https", caSecret="ours"), api) == HOLDS


@pytest.mark.parametrize("secret", [None, "others"])
def test_a_server_of_another_authority_is_not_believed(tls, api, secret):
    ca(api, "others", Authority.new().credential.certificate)
    with hostile.server(hostile.answer("200 OK"), tls) as server:
        told = asked(get(server.port, scheme="https", **({"caSecret": secret} if secret else {})), api)
    assert told.reason is CheckReason.UNTRUSTED
    assert "certificate" in told.detail


def test_a_server_that_shakes_no_hand_costs_the_timeout():
    with hostile.server(hang) as server:
        assert asked(get(server.port, "300ms", scheme="https")).reason is CheckReason.TIMED_OUT


def test_a_secret_without_certificates_is_told(api):
    ca(api, "empty", b"no PEM")
    told = asked(get(1, scheme="https", caSecret="empty"), api)
    assert told == Answer(CheckReason.NO_CA, f"Secret empty in {SYSTEM} has no ca.crt with certificates")
    absent = asked(get(1, scheme="https", caSecret="absent"), api)
    assert absent == Answer(CheckReason.NO_CA, f"Secret absent in {SYSTEM} is not there")


# -- Prometheus, as its API's page says it answers ---------------------------------------------------------


def prometheus(result, kind="vector", seen=None):
    body = json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()

    def behave(connection):
        line = hostile.request(connection).split(b" ")[1].decode()
        if seen is not None:
            seen.append(line)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)

    return behave


def measure(port, timeout="5s", **more):
    wanted = {"url": f"http://127.0.0.1:{port}/prom/", "query": 'err{i="{nodeIP}:9"} > 0', "max": 0.5}
    return question(timeout=timeout, prometheus=wanted | more)


def test_a_query_is_asked_of_prometheus_instant_query_api_about_the_node():
    seen = []
    with hostile.server(prometheus([{"metric": {}, "value": [1, "0.2"]}], seen=seen)) as server:
        assert asked(measure(server.port)) == HOLDS
    sent = urlsplit(seen[0])
    assert sent.path == "/prom/api/v1/query"
    assert parse_qs(sent.query) == {"query": ['err{i="127.0.0.1:9"} > 0'], "timeout": ["5000ms"]}


def test_a_value_out_of_bounds_fails():
    with hostile.server(prometheus([{"metric": {}, "value": [1, "0.7"]}])) as server:
        assert asked(measure(server.port)) == Answer(CheckReason.OUT_OF_BOUNDS, "0.7 is above max 0.5")


def test_a_refused_query_is_told():
    body = b'{"status":"error","errorType":"bad_data","error":"invalid parameter"}'
    with hostile.server(hostile.answer("400 Bad Request", body)) as server:
        told = asked(measure(server.port))
    assert told == Answer(CheckReason.QUERY_FAILED, "bad_data: invalid parameter")


def test_an_endless_answer_is_read_up_to_a_bound():
    with hostile.server(endless_body) as server:
        assert asked(measure(server.port)).reason is CheckReason.TOO_LARGE


def test_a_packed_answer_is_not_unpacked():
    """A small answer may be a large one packed."""
    holds = {"status": "success", "data": {"resultType": "scalar", "result": [1, "0"]}}
    packed = gzip.compress(json.dumps(holds).encode())
    with hostile.server(hostile.answer("200 OK", packed, "Content-Encoding: gzip")) as server:
        assert asked(measure(server.port)).reason is CheckReason.BAD_ANSWER


# -- the API server ----------------------------------------------------------------------------------------


class Refusing:
    """An API server that refuses everything in one way."""

    def __init__(self, error):
        self.error = error

    def __getattr__(self, name):
        def refuse(*_, **__):
            raise self.error

        return refuse


DAEMONS = {"apiVersion": "apps/v1", "kind": "DaemonSet", "namespace": "storage", "name": "csi"}
OBJECT = question(object=DAEMONS | {"cel": "object.status.ok"})
PODS = question(pods={"namespace": "shop", "selector": {"matchLabels": {"app": "web"}}})


@pytest.mark.parametrize("wanted", [OBJECT, PODS], ids=["object", "pods"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Forbidden("no", status=403), CheckReason.FORBIDDEN),
        (NetworkError("no answer"), CheckReason.UNREACHABLE),
        (ClusterError("etcd is away", status=500), CheckReason.API_ERROR),
    ],
)
def test_what_the_api_server_refuses_is_a_failure(wanted, error, reason):
    class Knows(Refusing):
        def discover(self, *_):
            return Kind("apps", "v1", "daemonsets", "DaemonSet")

    told = asked(wanted, Knows(error))
    assert told.reason is reason
    if reason is CheckReason.FORBIDDEN:
        assert "apiGroups" in told.detail


def test_an_unknown_kind_is_told():
    told = asked(OBJECT, Refusing(NotFound("no", status=404)))
    assert told == Answer(CheckReason.NO_KIND, "the API server knows no kind DaemonSet of apps/v1")


def test_pods_of_the_node_are_asked_for_by_label(api):
    calls = []

    class Watched(MemoryCluster):
        def list(self, kind, **how):
            calls.append((kind, how))
            return super().list(kind, namespace=how["namespace"], fields=how["fields"])

    assert asked(PODS, Watched(api.store)).reason is CheckReason.NO_PODS
    assert calls == [(POD, {"namespace": "shop", "labels": "app=web", "fields": "spec.nodeName=node-1"})]


# -- CEL in its own process --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sandbox():
    made = Sandbox()
    yield made
    made.close()


def test_an_expression_is_evaluated_in_another_process(sandbox):
    assert sandbox.evaluate("object.a == 1", {"a": 1}).kind == cel.HOLDS
    assert sandbox.evaluate("object.b == 1", {"a": 1}).kind == cel.NO_FIELD


def test_what_takes_all_memory_costs_one_answer_and_the_next_one_comes(sandbox):
    joined = "+".join(["object.s"] * 25)
    bomb = f"object.l.all(a, size({joined}) > 0)"
    seen = {"l": list(range(5000)), "s": "x" * 500_000}
    assert sandbox.evaluate(bomb, seen).kind == cel.TOO_DEAR
    assert sandbox.evaluate("object.a == 1", {"a": 1}).kind == cel.HOLDS


def test_what_takes_too_long_is_ended_and_the_next_question_has_a_new_process():
    """Its process is halted: how fast this machine is makes no difference."""
    box = Sandbox(evaluation=0.2)
    try:
        assert box.evaluate("object.x == 1", {"x": 1}).kind == cel.HOLDS
        halted = box._process
        halted.send_signal(signal.SIGSTOP)
        said = box.evaluate("object.x == 1", {"x": 1})
        assert (said.kind, said.detail[:18]) == (cel.TOO_DEAR, "no answer in 0.2 s")
        assert halted.poll() is not None
        assert box._running() is not halted
    finally:
        box.close()


def test_a_server_that_never_answers_holds_no_process_up():
    code = """if True:
        import socket
        from os_operator.core import health
        from os_operator.core.health import Question
        from os_operator.shell.checks import Asking, Checks
        from warmroot.api.os import Health

        listener = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        checks = {"checks": [{"name": "a", "timeout": "1m", "http": {"url": url}}]}
        [check] = health.trials(Health.model_validate(checks), {}).checks
        asking = Checks(lambda: Asking(None, "x"), lambda: None, lambda: True)
        asking.ask([Question("n", "b", "", check)])
        listener.accept()
        asking.close()
    """
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=30, check=False)
    assert ended.returncode == 0

"""What a broken or strange answer becomes: a typed error, over either transport, without an API server."""

from __future__ import annotations

import contextlib
import gc
import json
import threading
import weakref
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from warmroot import errors
from warmroot.kube.cluster import NODE, RestCluster
from warmroot.kube.transport import KubernetesTransport, RequestsTransport, Response


@contextmanager
def answering(reply):
    """A server whose every answer `reply(handler)` writes; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self):
            self.raw_requestline = self.rfile.readline(65537)
            if self.raw_requestline and self.parse_request():
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.close_connection = True
                reply(self)
            else:
                self.close_connection = True

        def end_headers(self):
            self.send_header("Connection", "close")  # said, or a client takes the connection again
            super().end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def whole(body, status=200):
    """Answers with a body."""

    def reply(handler):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def cut(body):
    """Answers with a body of which the last bytes never come."""

    def reply(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) + 100))
        handler.end_headers()
        handler.wfile.write(body)

    return reply


@pytest.fixture(params=[RequestsTransport, KubernetesTransport], ids=["requests", "kubernetes"])
def against(request, tmp_path):
    """Runs a block against a server with given answers."""

    @contextmanager
    def run(reply):
        with answering(reply) as server:
            path = tmp_path / "kubeconfig"
            path.write_text(yaml.safe_dump(kubeconfig(server)))
            transport = request.param(str(path))
            yield RestCluster(transport)
            transport.close()

    return run


def kubeconfig(server):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "from-the-kubeconfig"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }


def test_an_answer_that_is_cut_short_is_a_network_error(against):
    with against(cut(b'{"metadata": {')) as cluster, pytest.raises(errors.NetworkError):
        cluster.get(NODE, "any")


def test_a_watch_that_is_cut_short_is_a_network_error_after_what_came(against):
    event = b'{"type":"ADDED","object":{"metadata":{"name":"n"}}}\n'
    seen = []
    with against(cut(event + b'{"type":"ADD')) as cluster, pytest.raises(errors.NetworkError):
        seen.extend(item.object["metadata"]["name"] for item in cluster.watch(NODE, "1"))
    assert seen == ["n"]


def test_something_else_than_json_is_a_network_error_that_shows_it(against):
    with (
        against(whole(b"<html>Please log in")) as cluster,
        pytest.raises(errors.NetworkError, match="Please log in"),
    ):
        cluster.get(NODE, "any")


def test_something_else_than_json_in_a_watch_is_a_network_error(against):
    with against(whole(b"<html>\n")) as cluster, pytest.raises(errors.NetworkError, match="html"):
        list(cluster.watch(NODE, "1"))


def test_a_refusal_without_json_keeps_its_text_and_status(against):
    with against(whole(b"upstream is down", 503)) as cluster:
        with pytest.raises(errors.ClusterError, match="upstream is down") as refused:
            cluster.get(NODE, "any")
        assert refused.value.status == 503
        with pytest.raises(errors.ClusterError, match="upstream is down"):
            list(cluster.watch(NODE, "1"))


def test_an_error_inside_a_watch_keeps_its_message(against):
    status = {
        "kind": "Status",
        "code": 410,
        "reason": "Expired",
        "message": "too old resource version: 1 (9)",
    }
    line = json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
    with against(whole(line)) as cluster, pytest.raises(errors.Gone, match=r"too old .* 1 \(9\)"):
        list(cluster.watch(NODE, "1"))


def test_a_watch_that_ends_without_a_newline_still_gives_its_last_event(against):
    with against(whole(b'{"type":"DELETED","object":{"metadata":{}}}')) as cluster:
        assert [event.type for event in cluster.watch(NODE, "1")] == ["DELETED"]


def test_a_watch_shorter_than_a_second_asks_for_one_second_not_for_ever(against):
    asked = []

    def reply(handler):
        asked.append(handler.path)
        whole(b"")(handler)

    with against(reply) as cluster:
        assert list(cluster.watch(NODE, "1", timeout=0.2)) == []
    assert "timeoutSeconds=1" in asked[0].partition("?")[2].split("&")


def test_the_kubeconfigs_token_wins_over_a_netrc_file(against, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    sent = []

    def reply(handler):
        sent.append(handler.headers["Authorization"])
        whole(b"{}")(handler)

    with against(reply) as cluster:
        cluster.get(NODE, "any")
    assert sent == ["Bearer from-the-kubeconfig"]


def test_a_token_file_that_is_gone_is_a_network_error_and_no_crash(tmp_path):
    config = kubeconfig("http://127.0.0.1:1")
    config["users"][0]["user"] = {"tokenFile": "token"}
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    transport = RequestsTransport(str(path))

    with pytest.raises(errors.NetworkError, match="token"):
        transport.request("GET", "/version")
    with pytest.raises(errors.NetworkError, match="token"), transport.stream("/x", query={}, timeout=1):
        pass

    transport.close()


def test_how_long_a_busy_server_wants_to_be_left_alone_is_told(against):
    def reply(handler):
        body = b"Too many requests, please try again later.\n"
        handler.send_response(429)
        handler.send_header("Retry-After", "7")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with against(reply) as cluster, pytest.raises(errors.TooManyRequests, match="try again") as refused:
        cluster.get(NODE, "any")
    assert refused.value.retry_after == 7.0


@pytest.mark.parametrize("text", ["", "-1", "soon", "99999999", "Sun, 06 Nov 1994 08:49:37 GMT"])
def test_a_time_that_is_no_number_of_seconds_is_no_time(text, against):
    def reply(handler):
        handler.send_response(429)
        if text:
            handler.send_header("Retry-After", text)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with against(reply) as cluster, pytest.raises(errors.TooManyRequests) as refused:
        cluster.get(NODE, "any")
    assert refused.value.retry_after == 0.0


def test_who_was_refused_is_let_go_at_once():
    """Not by the collector of cycles, which may take a connection's files in the wrong order."""

    class Refuses:
        def request(self, *_, **__):
            return Response(404, b"{}")

    cluster = RestCluster(Refuses())
    seen = weakref.ref(cluster)
    gc.disable()
    try:
        with contextlib.suppress(errors.NotFound):
            cluster.get(NODE, "node-1")
        del cluster
        assert seen() is None
    finally:
        gc.enable()

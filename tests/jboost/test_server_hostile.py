"""What nobody sends by mistake, over real sockets: each has a named error, and nothing of it is kept."""

import contextlib
import json
import os
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from jboost_server import views
from jboost_server.catalogue import Catalogue
from jboost_server.core.layout import KeyPlace
from jboost_server.core.lookup import Scope
from jboost_server.settings import Caps, Policy
from jboost_server.store.directory import DirectoryStore
from jboost_server.web import bodies
from jboost_server.web.hosts import LOOPBACK
from jboost_server.web.tenancy import Local, shared_token
from tests.jboost.faulty_store import FaultyStore
from tests.jboost.server_world import CLASSES, GROUP, SIGNER, Client, Names, digest, reason, running
from tests.jboost.test_server_loop import AOT, ARCHIVE
from tests.jboost_world import KEY, SCOPE
from tests.waiting import until
from warmroot.errors import NoLease, UserError

SMALL = Policy(fresh=0.0, recorders=4, caps=Caps(class_list=20_000, aot=10_000, archive=2**20))


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def client(store):
    with running(store, policy=SMALL) as client:
        yield client


def kept(store, what="/recordings/"):
    return [stat.name for stat in store.list() if what in stat.name]


def parts(store):
    return list((store._root / ".new").glob("*.part"))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "EmptyRecording"),
        (b"# nothing\n", "EmptyRecording"),
        (b"@lambda-proxy Hello\njava/lang/Object\n", "BadLine"),
        (b"com/x/Y id: 1 super: 0 source: /etc/passwd\n", "ForeignSource"),
        (b"com/x/Y id: 1 super: 0 source: /app/../app/app.jar\n", "ForeignSource"),
        (b"a" * 4097 + b"\n", "LineTooLong"),
        (b"a" * 15_000, "LineTooLong"),
        (b"@jvmti java/lang/Object\n", "UnknownTag"),
        (b"@cp java/lang/Object 1 2\n", "UnknownTag"),
        (b"\xff\xfe\x00\x01\n" * 100, "NotText"),
        (b"java/lang/Object\x00\n", "BadLine"),
        (b"@lambda-form-invoker [LF_RESOLVE] java.lang.invoke.Invokers$Holder invoker LI_L\n", "BadLine"),
        (b"$Proxy12 id: 0\n", "EmptyRecording"),
    ],
)
def test_a_hostile_class_list_is_refused_and_the_lease_is_still_good(client, store, data, error):
    lease = client.lease()
    assert reason(client.record(lease, data)) == (400, error)
    assert (kept(store), parts(store)) == ([], [])
    assert client.record(lease).status_code == 201


def test_an_empty_binary_recording_is_refused(client, store):
    assert reason(client.record(client.lease(AOT), b"", AOT)) == (400, "EmptyRecording")
    assert kept(store) == []


@pytest.mark.parametrize(("key", "size"), [(KEY, 20_001), (AOT, 10_001)])
def test_what_is_larger_than_its_cap_is_refused(client, store, key, size):
    data = (CLASSES * (size // len(CLASSES) + 1))[:size]
    assert reason(client.record(client.lease(key), data, key)) == (413, "TooLarge")
    assert kept(store) == []


def test_an_archive_larger_than_its_cap_or_empty_is_refused(client, store):
    client.record(client.lease())
    client.record(client.lease())
    client.record(client.lease(), b"a/B\n")
    client.record(client.lease(), b"a/C\n")
    order = client.order().json()["order"]["id"]
    assert reason(client.upload(order, bytes(2**20 + 1))) == (413, "TooLarge")
    assert reason(client.upload(order, b""))[0] == 400
    assert kept(store, "/archives/") == []


def test_an_upload_of_another_digest_is_refused(client, store):
    assert reason(client.record(client.lease(), name="e" * 64)) == (400, "WrongDigest")
    assert (kept(store), parts(store)) == ([], [])


def raw(client, head, body=b"", *, shut=True):
    """The answer's head and body to bytes that no HTTP library would send."""
    with socket.create_connection(client.address, timeout=20) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
        if shut:
            connection.shutdown(socket.SHUT_WR)
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
            head_, end, rest = data.partition(b"\r\n\r\n")
            if end and f"content-length: {len(rest)}".encode() in head_.lower():
                break
    return data


def target(client, lease, data=CLASSES):
    return f"/v1/recordings/{digest(data)}?group={GROUP}&key={KEY.digest}&lease={lease}"


def test_an_upload_that_is_cut_leaves_nothing_and_can_be_sent_again(client, store):
    lease = client.lease()
    raw(
        client,
        f"PUT {target(client, lease)} HTTP/1.1\nHost: x\nContent-Length: {len(CLASSES)}\n",
        CLASSES[:9],
    )
    until(lambda: not parts(store), what="the service hears that the sender hung up")
    assert kept(store) == []
    assert client.record(lease).status_code == 201


def test_an_upload_that_stalls_is_cut(client, store, monkeypatch):
    monkeypatch.setattr(bodies, "STALL", 0.2)
    head = f"PUT {target(client, client.lease())} HTTP/1.1\nHost: x\nContent-Length: {len(CLASSES)}\n"
    answer = raw(client, head, CLASSES[:9], shut=False)
    assert b"UploadCut" in answer
    assert (kept(store), parts(store)) == ([], [])


def test_lookups_are_answered_while_uploads_hang_beyond_their_limit(client, store):
    """Threads for them would be gone several times over."""
    head = f"PUT {target(client, client.lease())} HTTP/1.1\nHost: x\nContent-Length: {len(CLASSES)}\n"
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            connection = stack.enter_context(socket.create_connection(client.address, timeout=20))
            connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + CLASSES[:9])
        until(lambda: len(parts(store)) == 16, what="as many uploads as may are being written")
        for number in range(20):
            assert client.lookup(record=True, group=f"other-{number}")["outcome"] == "learning"
        assert len(parts(store)) == 16


def test_lookups_are_answered_while_many_wait_for_a_compressed_archive(tmp_path):
    """The store stands still while the first of them reads the archive."""
    looked_for, go_on = [], threading.Event()

    def fault(method, name):
        if not hanging or "/archives/" not in name:
            return
        if method == "stat" and name.endswith(".zst"):
            looked_for.append(name)
        if method == "get" and "." not in name:
            assert go_on.wait(60)

    hanging = False
    store = FaultyStore(DirectoryStore(tmp_path / "store"), fault=fault)
    with running(store) as client, ThreadPoolExecutor(60) as pool:
        name = client.publish(ARCHIVE)
        hanging = True
        readers = [pool.submit(Client(client.url).archive, name, Accept_Encoding="zstd") for _ in range(60)]
        try:
            until(lambda: len(looked_for) >= 60, what="all have asked")
            for number in range(20):
                assert client.lookup(record=True, group=f"other-{number}")["outcome"] == "learning"
            assert not any(each.done() for each in readers)
        finally:
            go_on.set()
        assert {each.result().headers["Content-Encoding"] for each in readers} == {"zstd"}


@pytest.mark.parametrize("length", ["", "Transfer-Encoding: chunked\n"])
def test_an_upload_without_a_length_is_refused_before_it_is_read(client, length):
    """An endless one, too: nothing waits for its end."""
    body = b"5\r\njava/\r\n" * 10 if length else b""
    head = f"PUT {target(client, client.lease())} HTTP/1.1\nHost: x\n{length}"
    answer = raw(client, head, body, shut=False)
    assert answer.startswith(b"HTTP/1.1 400") and b"Content-Length" in answer
    assert (b"connection: close" in answer) == bool(length)


def test_a_lookup_without_an_end_is_refused_at_its_cap(client):
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = "POST /v1/lookup HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n"
    with socket.create_connection(client.address, timeout=20) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n")
        with contextlib.suppress(ConnectionError):  # the service hangs up, and what it said is read then
            for _ in range(200):
                connection.sendall(chunk)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413") and b"TooLarge" in answer
    assert client.lookup()["outcome"] == "missing"


@pytest.mark.parametrize("group", ["..", "a/b", "", "archives", "Großes", "-a", "a" * 129, "a\x00b"])
def test_a_group_that_is_no_name_is_refused(client, store, group):
    sent = {"group": group, "key": KEY.tree(), "record": True}
    assert reason(client.ask("POST", "/v1/lookup", json=sent)) == (400, "BadRequest")
    assert list(store.list()) == []


@pytest.mark.parametrize(
    "path",
    [
        "/v1/archives/../../etc/passwd",
        "/v1/archives/%2e%2e%2f" + "a" * 64,
        "/v1/archives/" + "A" * 64,
        "/v1/recordings/..%2f..%2fx?group=a&key=b&lease=c",
        "/v1/builds/..%2f/input",
        "/v1/builds/" + "ff" * 100 + "/input",
        "/v1/builds/" + "0" * 96 + "2e2e2f/input",
    ],
)
def test_a_name_that_could_leave_its_folder_is_none(client, path):
    method = "PUT" if "recordings" in path else "GET"
    answer = raw(client, f"{method} {path} HTTP/1.1\nHost: x\nContent-Length: 0\n", shut=False)
    assert answer[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 404", b"HTTP/1.1 405"}
    assert b'"reason"' in answer


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "BadRequest"),
        (b"[]", "BadRequest"),
        (b"null", "BadRequest"),
        (b"{", "BadRequest"),
        (b"\xff", "BadRequest"),
        (b"[" * 100_000, "BadRequest"),
        (b'{"group": "orders"}', "BadRequest"),
        (json.dumps({"group": GROUP, "key": KEY.tree(), "record": True, "more": 1}).encode(), "BadRequest"),
        (json.dumps({"group": GROUP, "key": KEY.tree(), "record": "yes"}).encode(), "BadRequest"),
        (json.dumps({"group": GROUP, "key": {}, "record": True}).encode(), "BadKey"),
        (json.dumps({"group": 1, "key": KEY.tree(), "record": True}).encode(), "BadRequest"),
        (json.dumps({"group": "\ud800", "key": KEY.tree(), "record": True}).encode(), "BadRequest"),
    ],
)
def test_a_lookup_that_is_none_is_refused(client, body, error):
    assert reason(client.ask("POST", "/v1/lookup", data=body)) == (400, error)


@pytest.mark.parametrize("flag", ["-XX:OnError=rm -rf /", "-javaagent:/x.jar", "-agentpath:/x.so", "@/etc/x"])
def test_flags_that_load_or_run_something_never_reach_a_pod(client, flag):
    client.record(client.lease())
    for _ in range(3):
        client.record(client.lease(), b"a/%d\n" % _)
    order = client.order().json()["order"]["id"]
    client.upload(order, ARCHIVE)
    sent = {"digest": digest(ARCHIVE), "flags": [flag], "plain": [100] * 5, "warm": [50] * 5}
    assert reason(client.ask("POST", f"/v1/builds/{order}/result", json=sent)) == (400, "BadRequest")
    assert client.lookup()["outcome"] == "missing"


@pytest.mark.parametrize(
    "starts", [[0] * 5, [-1] * 5, [1.5] * 5, ["1"] * 5, [True] * 5, [10**9] * 5, [9] * 101]
)
def test_starts_that_are_no_milliseconds_are_refused(client, starts):
    for number in range(4):
        client.record(client.lease(), b"a/%d\n" % number)
    order = client.order().json()["order"]["id"]
    client.upload(order, ARCHIVE)
    answer = client.result(order, ARCHIVE, plain=starts)
    assert reason(answer) == (400, "BadRequest")
    assert client.result(order, ARCHIVE).json()["state"] == "serving"


def test_a_recording_for_another_groups_key_needs_its_own_lease(client):
    lease = client.lease()
    assert reason(client.record(lease, group="billing")) == (403, "NoLease")
    assert reason(client.record(lease, key=AOT)) == (403, "NoLease")
    for odd in ("", "x", "0" * 32, "99" + "0" * 30, "../" + "0" * 29):
        assert reason(client.record(odd)) == (403, "NoLease")


def test_one_lease_brings_one_recording(client):
    lease = client.lease()
    client.record(lease)
    assert reason(client.record(lease, b"another/Class\n")) == (403, "NoLease")


def test_of_uploads_under_one_lease_at_the_same_time_one_is_kept(tmp_path):
    """Each was begun while the lease had no recording yet."""
    store = DirectoryStore(tmp_path / "store")
    catalogue = Catalogue(store, SIGNER, SMALL, clock=lambda: 0.0, monotonic=lambda: 0.0)
    found = catalogue.lookup(SCOPE, KEY, record=True, pod="pod")
    place, lease, second = KeyPlace(SCOPE, KEY.digest), found.recorder.lease, b"another/Class\n"

    def send(data, chunks):
        return catalogue.record(place, lease, digest(data), len(data), chunks, run=(60, 10))

    def chunks():
        yield CLASSES
        send(second, [second])

    with pytest.raises(NoLease):
        send(CLASSES, chunks())
    assert [name for name, _ in catalogue.recordings(place)] == [digest(second)]
    assert len(kept(store)) == 2


def test_a_tenant_has_no_more_groups_than_its_cap(store):
    with running(store, policy=Policy(fresh=0.0, caps=Caps(groups=2))) as client:
        for group in ("one", "two"):
            client.lease(group=group)
        for _ in range(2):
            answer = client.lookup(record=True, group="three")
            assert answer["recorder"] is None
            assert "2 groups of local are known, no more may be" in answer["why"][-1]
        assert client.lookup(AOT, record=True, group="one")["outcome"] == "learning"
        assert kept(store, "/three/") == []


def test_groups_that_there_are_not_take_no_memory_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "MAX_GROUPS", 3)
    store = DirectoryStore(tmp_path / "store")
    found = views.Views(store, SIGNER, fresh=60.0, monotonic=lambda: 0.0)
    for number in range(10):
        found.get(Scope("shop", f"none-{number}"))
    known = [number for number in range(10) if found.peek(Scope("shop", f"none-{number}"))]
    assert known == [7, 8, 9]


def test_reports_of_strangers_leave_nothing_behind(client, store):
    assert client.outcome("hit", "e" * 64, total=1, preflight=1).status_code == 204
    assert client.outcome("preflight", "e" * 64).status_code == 204
    for odd in ({"outcome": "won"}, {"archive": "x"}, {"ms": {"total": "1"}}, {"ms": []}, {"more": 1}):
        sent = {"group": GROUP, "key": KEY.digest, "archive": "", "outcome": "hit", "why": "", "ms": {}} | odd
        assert reason(client.ask("POST", "/v1/outcomes", json=sent)) == (400, "BadRequest")
    assert list(store.list()) == []


def test_words_of_strangers_hold_nothing_that_a_terminal_obeys(client):
    client.record(client.lease())
    for number in range(3):
        client.record(client.lease(), b"a/%d\n" % number)
    order = client.order().json()["order"]["id"]
    answer = client.ask("POST", f"/v1/builds/{order}/result", json={"failed": "no\ud800\x1b[2J"})
    assert answer.json()["why"] == "no??[2J"
    sent = {"group": GROUP, "key": KEY.digest, "archive": "", "outcome": "gc", "why": "\ud800\n", "ms": {}}
    assert client.ask("POST", "/v1/outcomes", json=sent).status_code == 204


def test_a_web_page_that_gives_its_name_our_address_is_refused(store):
    with running(store, hosts=LOOPBACK) as client:
        assert client.lookup()["outcome"] == "missing"
        for host in ("evil.example", "evil.example:8780", "", "[", "127.0.0.1.evil.example"):
            answer = client.ask("GET", "/v1/status", headers={"Host": host})
            assert answer.status_code in {400, 401} and b"groups" not in answer.content
        port = client.address[1]
        assert client.ask("GET", "/v1/status", headers={"Host": f"localhost:{port}"}).status_code == 200


def test_a_group_learns_no_more_keys_than_its_cap(store):
    with running(store, policy=Policy(fresh=0.0, caps=Caps(keys=1))) as client:
        client.lease()
        answer = client.lookup(AOT, record=True)
        assert answer["recorder"] is None and "no more may be" in answer["why"][-1]


def test_without_a_token_where_one_is_needed_nothing_is_told(store):
    with running(store, tenants=Names()) as client:
        paths = (
            ("POST", "/v1/lookup"),
            ("GET", "/v1/status"),
            ("GET", f"/v1/archives/{'a' * 64}"),
            ("PUT", f"/v1/recordings/{'a' * 64}?group=a&key={'a' * 64}&lease=b"),
            ("POST", "/v1/builds"),
            ("POST", "/v1/outcomes"),
        )
        for method, path in paths:
            answer = client.ask(method, path)
            assert reason(answer) == (401, "NoToken"), path
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert client.ask("GET", "/healthz").status_code == 200


def test_a_pod_gets_nothing_signed(store):
    """It may look up and record, but what would run in every pod of the group is for builders to bring."""
    with running(store, tenants=Names()) as client:
        pod, builder = Client(client.url, "shop/pod"), Client(client.url, "shop/builder")
        assert pod.record(pod.lease()).status_code == 201
        order = builder.order().json()["order"]["id"]
        for refused in (
            pod.order(),
            pod.ask("GET", f"/v1/builds/{order}/input"),
            pod.upload(order, ARCHIVE),
            pod.result(order, ARCHIVE),
        ):
            assert reason(refused) == (403, "NotBuilder")
            assert "build.jboost.warmroot.io" in refused.json()["error"]["hint"]
        assert kept(store, "/archives/") == []
        builder.upload(order, ARCHIVE)
        assert builder.result(order, ARCHIVE).json()["state"] == "serving"
        assert pod.archive(digest(ARCHIVE)).content == ARCHIVE


def test_a_shared_token_is_wanted_where_there_is_one(store):
    with running(store, tenants=Local("sixteen letters!")) as client:
        assert reason(client.ask("GET", "/v1/status")) == (401, "NoToken")
        assert reason(Client(client.url, "seventeen letters").ask("GET", "/v1/status")) == (401, "WrongToken")
        assert Client(client.url, "sixteen letters!").lookup()["outcome"] == "missing"


def test_an_empty_shared_token_lets_nobody_in(store):
    with running(store, tenants=Local("")) as client:
        assert reason(client.ask("GET", "/v1/status")) == (401, "NoToken")
        assert reason(Client(client.url, " ").ask("GET", "/v1/status")) == (401, "NoToken")


@pytest.mark.parametrize("content", [None, b"", b"  \n", b"fifteen letters\n", b"\xff" * 32])
def test_a_file_that_holds_no_token_is_refused_with_what_to_do(tmp_path, content):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        shared_token(path)
    assert str(path) in refused.value.message and refused.value.hint


def test_a_shared_token_is_read_without_the_files_last_newline(tmp_path):
    (tmp_path / "token").write_text("sixteen letters!\n")
    assert shared_token(tmp_path / "token") == "sixteen letters!"


def test_a_namespace_named_as_the_archives_folder_is_refused(store):
    with running(store, tenants=Names()) as client:
        client.token = "archives/pod"
        assert reason(client.ask("GET", "/v1/status")) == (400, "BadRequest")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_what_was_there_is_served_on(small_disk):
    store = DirectoryStore(small_disk / "store")
    with running(store) as client:
        name = client.publish(bytes(300_000))
        lease = client.lease(AOT)
        large = os.urandom(900_000)
        assert reason(client.record(lease, large, AOT)) == (507, "StoreFull")
        assert parts(store) == []
        assert len(client.archive(name).content) == 300_000
        assert client.record(lease, b"small enough", AOT).status_code == 201

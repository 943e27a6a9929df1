"""`record` sends what was learned: repeated where that helps, bounded, and shown to the service alone."""

from __future__ import annotations

import hashlib
import re
import socket
import time
from pathlib import Path

import pytest

from tests.java_world import Java
from tests.jboost import agent_server, agent_tls
from tests.jboost.agent_recorder import Recorder
from tests.jboost.service import Service

pytestmark = pytest.mark.jvm


@pytest.fixture
def on17(agent: Path, jdk17: Path, tmp_path: Path, service: Service) -> Recorder:
    return Recorder(agent, jdk17, tmp_path / "run", service.url)


@pytest.mark.parametrize("faults", [["503"], ["cut"], ["cut", "503", "cut"]])
def test_an_upload_that_failed_is_repeated(on17: Recorder, service: Service, faults: list[str]) -> None:
    on17.decide("classlist")
    content = b"".join(b"app/Type%d\n" % number for number in range(200_000))
    on17.list.write_bytes(content)
    service.faults.extend(faults)
    assert "accepted" in on17.run()
    assert service.recordings == {hashlib.sha256(content).hexdigest(): content}
    assert service.cut_uploads == faults.count("cut")
    assert not on17.list.exists()


def test_an_upload_that_is_refused_is_not_repeated_and_leaves_the_file(
    on17: Recorder, service: Service
) -> None:
    on17.decide("classlist")
    on17.list.write_bytes(b"java/lang/Object\n")
    service.faults.append("403")
    words = on17.run()
    assert "NoLease" in words
    assert str(on17.list) in words
    assert on17.list.exists()
    assert len(service.requests) == 1


def test_a_refusal_is_heard_though_the_service_hangs_up_before_it_has_read_all(
    on17: Recorder, service: Service
) -> None:
    on17.decide("classlist")
    on17.list.write_bytes(b"java/lang/Object\n" * 2_000_000)
    service.faults.append("early")
    assert "TooLarge" in on17.run()
    assert len(service.requests) == 1


def test_a_service_that_does_not_answer_costs_no_more_than_the_bound(
    on17: Recorder, service: Service
) -> None:
    """It takes the connection and never reads: no time-out of a socket covers a write."""
    on17.decide("classlist")
    on17.list.write_bytes(b"java/lang/Object\n" * 1_000_000)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        on17.url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        begin = time.monotonic()
        words = on17.run("--upload-seconds", "1")
        assert time.monotonic() - begin < 1 + 20  # it takes a busy machine a while to start a JVM
    assert "not within 1 s" in words
    assert on17.list.exists()


def test_a_service_behind_tls_that_does_not_read_costs_no_more_than_the_bound(
    on17: Recorder, tmp_path: Path, java: Java, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing TLS waits for whoever writes on it, and that one waits for the service."""
    on17.decide("classlist")
    on17.list.write_bytes(b"java/lang/Object\n" * 1_000_000)
    with agent_tls.silent(tmp_path, java.jdk(17), shakes=True) as service:
        monkeypatch.setenv("JDK_JAVA_OPTIONS", service.trust)
        on17.url = service.url
        words = on17.run("--upload-seconds", "5")
        assert service.shaken.is_set()
    assert "not within 5 s" in words
    assert on17.list.exists()


def test_the_token_is_shown_and_only_to_the_service(on17: Recorder, tmp_path: Path, service: Service) -> None:
    on17.decide("classlist")
    on17.list.write_bytes(b"java/lang/Object\n")
    token = tmp_path / "token"
    token.write_text("a.b.c\n")
    with agent_server.serving(archives={"ready": b"well"}) as app:
        words = on17.run("--token", token, "--ready-url", f"{app.url}/v1/archives/ready")
        assert ["Authorization" in headers for _, _, headers in app.asked] == [False]
    assert service.tokens == ["Bearer a.b.c"]
    assert "a.b.c" not in words
    assert re.search(r"\d+ bytes", words)


def test_a_file_without_one_token_is_named_and_shown_to_nobody(
    on17: Recorder, tmp_path: Path, service: Service
) -> None:
    on17.decide("classlist")
    on17.list.write_bytes(b"java/lang/Object\n")
    (tmp_path / "token").write_text("secret-one\nsecret-two\n")
    words = on17.run("--token", tmp_path / "token")
    assert "NoToken" in words
    assert "secret" not in words
    assert service.requests == []

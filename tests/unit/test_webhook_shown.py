"""Whoever connects while a certificate is replaced sees the old one or the new one, and is never refused."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from jboost_server.webhook.app import Metrics
from jboost_server.webhook.certificates import Terms, renewed
from jboost_server.webhook.main import Shown

BEGIN = datetime.now(UTC)
NAMES = ("jboost-webhook.warmroot-jboost.svc",)
FIRST, SECOND = (renewed(None, NAMES, BEGIN, Terms()) for _ in range(2))
CONNECTIONS = 100


@pytest.fixture
def shown():
    one = Shown(Metrics())
    one.show(FIRST)
    return one


def certificate(shown: Shown, name: str | None) -> bytes:
    """What a client sees in one handshake, DER; it believes both authorities.

    Raises:
        ssl.SSLError: it was refused, or does not believe what it sees.
    """
    client = ssl.create_default_context(cadata=(FIRST.known + SECOND.known).decode())
    client.check_hostname = name is not None
    ours, theirs = socket.socketpair()
    refused: list[Exception] = []

    def answer() -> None:
        try:
            shown.context.wrap_socket(theirs, server_side=True).close()
        except OSError as error:
            refused.append(error)
            theirs.close()

    server = threading.Thread(target=answer)
    server.start()
    try:
        with ours, client.wrap_socket(ours, server_hostname=name) as link:
            return link.getpeercert(binary_form=True) or b""
    finally:
        server.join()
        assert not refused


@contextmanager
def replacing(shown: Shown) -> Iterator[None]:
    """Within this block a thread shows the one and the other, as fast as it can."""
    ended = threading.Event()

    def forever() -> None:
        while not ended.is_set():
            shown.show(SECOND)
            shown.show(FIRST)

    thread = threading.Thread(target=forever)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("name", [None, NAMES[0]], ids=["without a name", "by name"])
def test_a_new_connection_sees_the_newest(shown, name):
    before = certificate(shown, name)
    shown.show(SECOND)
    assert before == ssl.PEM_cert_to_DER_cert(FIRST.certificate.decode())
    assert certificate(shown, name) == ssl.PEM_cert_to_DER_cert(SECOND.certificate.decode())


def test_nobody_is_refused_while_it_is_replaced(shown):
    with replacing(shown):
        seen = {certificate(shown, NAMES[0]) for _ in range(CONNECTIONS)}
    assert len(seen) == 2

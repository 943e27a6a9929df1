"""A server on loopback that does to each connection what it is told, and counts them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

Behaviour = Callable[[socket.socket], None]


@dataclass
class Server:
    """Where it listens, and how many connections it has taken."""

    port: int
    taken: int = 0


@contextmanager
def server(behave: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Each connection is handled by `behave` in a thread of its own and closed after it."""
    listener = socket.create_server(("127.0.0.1", 0))
    told = Server(listener.getsockname()[1])
    open_: list[socket.socket] = []

    def one(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if tls is not None:
                with tls.wrap_socket(connection, server_side=True) as wrapped:
                    behave(wrapped)
            else:
                behave(connection)

    def serve() -> None:
        with contextlib.suppress(OSError):  # of the listener, at the end
            while True:
                connection = listener.accept()[0]
                open_.append(connection)
                told.taken += 1
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield told
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)
    for connection in open_:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def request(connection: socket.socket) -> bytes:
    """The head of a request."""
    data = b""
    while b"\r\n\r\n" not in data and (part := connection.recv(65536)):
        data += part
    return data


def answer(status: str, body: bytes = b"", *headers: str) -> Behaviour:
    """A plain HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    whole = "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def behave(connection: socket.socket) -> None:
        request(connection)
        connection.sendall(whole)

    return behave

"""A door in front of the API server: bytes pass, unless it is shut."""

from __future__ import annotations

import contextlib
import socket
import threading

_CHUNK = 65536


class Gate:
    """Listens on a port of loopback and passes every connection on to `target`."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._ends: set[socket.socket] = set()
        self._shut = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._serve()

    def shut(self) -> None:
        """Breaks every connection and refuses new ones."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            ends, self._ends, self._shut = self._ends, set(), True
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        """Lets connections through again, on the same port."""
        self._listener, self._shut = socket.create_server(("127.0.0.1", self.port)), False
        self._serve()

    def _serve(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # of the listener, when the gate is shut
            while True:
                near = listener.accept()[0]
                far = socket.create_connection(self._target, timeout=10)
                far.settimeout(None)
                with self._lock:
                    passes = not self._shut
                    self._ends |= {near, far} if passes else set()
                if not passes:
                    near.close()
                    far.close()
                    break
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._ends -= {source, sink}
        source.close()

"""An object store that fails on order, around any other: a service that dies, or an S3 that is unwell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from jboost_server.store.port import CHUNK, Content, ObjectStore, Stat
from warmroot.errors import StoreUnavailable, WriteLost


class Killed(BaseException):
    """The service died here. No error of ours: nothing may catch it."""


class FaultyStore:
    """Counts changes (writes and deletions). `die_at`: before that one (0 is the first) nothing goes on.

    `after`: it dies right after that change instead, so that nobody hears of it. `fault` may raise for any
    call: it gets the method's name and the object's.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        die_at: int | None = None,
        after: bool = False,
        fault: Callable[[str, str], None] = lambda method, name: None,
    ) -> None:
        self._store = store
        self._die_at = die_at
        self._after = after
        self.fault = fault
        self.changes = 0

    def stat(self, name: str) -> Stat:
        self.fault("stat", name)
        return self._store.stat(name)

    @contextmanager
    def get(
        self, name: str, start: int = 0, end: int | None = None, *, chunk: int = CHUNK
    ) -> Iterator[Content]:
        self.fault("get", name)
        with self._store.get(name, start, end, chunk=chunk) as content:
            yield content

    def list(self, prefix: str = "") -> Iterator[Stat]:
        self.fault("list", prefix)
        return self._store.list(prefix)

    def put_new(self, name: str, chunks: Iterable[bytes], size: int) -> Stat:
        self.fault("put_new", name)
        with self._change():
            return self._store.put_new(name, chunks, size)

    def put_over(self, name: str, chunks: Iterable[bytes], size: int, etag: str) -> Stat:
        self.fault("put_over", name)
        with self._change():
            return self._store.put_over(name, chunks, size, etag)

    def delete(self, name: str) -> None:
        self.fault("delete", name)
        with self._change():
            self._store.delete(name)

    @contextmanager
    def _change(self) -> Iterator[None]:
        number, self.changes = self.changes, self.changes + 1
        if number == self._die_at and not self._after:
            raise Killed
        yield
        if number == self._die_at:
            raise Killed


class OnlyAt:
    """The call with this number fails; 0 is the first."""

    def __init__(self, number: int, error: Exception) -> None:
        self.number = number
        self.error = error
        self.calls = 0

    def __call__(self, method: str, name: str) -> None:
        self.calls += 1
        if self.calls - 1 == self.number:
            raise self.error


def later() -> Exception:
    return StoreUnavailable("SlowDown")


def lost() -> Exception:
    return WriteLost("somebody else wrote first")

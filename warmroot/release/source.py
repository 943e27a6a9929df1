"""Where a release's bytes come from: a port of two reads, its adapters, and mirrors in order.

Nobody here decides whether bytes are right; that is `trust` and `verity`. A source only keeps the promise of
how many bytes come: no more (Endless), no fewer (Truncated), in a time that is worth waiting (NetworkError).
"""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from warmroot.errors import Endless, NetworkError, SourceError, Tampered, Truncated, Unknown, UserError

if TYPE_CHECKING:
    from requests import Response

CHUNK = 1024 * 1024
"""Bytes of the largest piece that a source hands out."""
_READ = 256 * 1024
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(?:\d+|\*)")
T = TypeVar("T")


class ReleaseSource(Protocol):
    """A place that serves a release repository. Paths are relative, with `/`."""

    @property
    def describe(self) -> str:
        """The address as a person may see it, without credentials."""

    def read(self, path: str, max_bytes: int) -> bytes:
        """A whole small file.

        Raises:
            Endless: longer than `max_bytes`.
            Truncated: it ended before its announced length.
            Unknown: there is no such file.
            NetworkError: nothing came, or too slowly.
        """

    def read_range(self, path: str, start: int, length: int) -> Iterator[bytes]:
        """Exactly `length` bytes from offset `start`, in pieces of at most `CHUNK` bytes.

        The errors come while iterating; pieces that came before stay valid.

        Raises:
            Tampered: other bytes than the asked ones were offered.
            Endless, Truncated, Unknown, NetworkError: as `read`.
        """


@dataclass(frozen=True)
class Patience:
    """How long a source may take: seconds to connect and without a byte, and the least bytes per second.

    The rate is judged over whole `window` seconds, so that a short stall is forgiven.
    """

    connect: float = 10.0
    silence: float = 30.0
    window: float = 30.0
    floor: int = 1024


@dataclass(frozen=True)
class Tls:
    """Paths of PEM files: the authority that signs the server, and our own certificate and key."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


class HttpSource:
    """http:// and https://, with ranges. Proxy settings come from the usual environment variables."""

    def __init__(self, url: str, *, tls: Tls = Tls(), patience: Patience = Patience()) -> None:
        import requests

        self._base = url.rstrip("/")
        self._patience = patience
        self._session = requests.Session()
        self._session.max_redirects = 5
        self._session.headers["Accept-Encoding"] = "identity"
        self._verify = tls.ca or True  # per request: requests lets REQUESTS_CA_BUNDLE override the session's
        if tls.certificate:
            self._session.cert = (tls.certificate, tls.key) if tls.key else tls.certificate

    @property
    def describe(self) -> str:
        """The address, without user and password."""
        parts = urlsplit(self._base)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def read(self, path: str, max_bytes: int) -> bytes:
        """See `ReleaseSource.read`."""
        with self._get(path, {}) as response:
            _refuse_status(response, self._at(path))
            announced = response.headers.get("Content-Length", "")
            if announced.isdigit() and int(announced) > max_bytes:
                raise Endless(f"{self._at(path)} announces {announced} bytes; {max_bytes} are allowed")
            data = bytearray()
            for piece in self._body(response):
                data += piece
                if len(data) > max_bytes:
                    raise Endless(f"{self._at(path)} is longer than the allowed {max_bytes} bytes")
            return bytes(data)

    def read_range(self, path: str, start: int, length: int) -> Iterator[bytes]:
        """See `ReleaseSource.read_range`.

        A server that ignores ranges is Tampered, not Truncated: what it offers are other bytes than the asked
        ones, and reading on until ours come by would let it decide how much we download.
        """
        if length <= 0:
            return
        where = f"{self._at(path)} bytes {start}-{start + length - 1}"
        with self._get(path, {"Range": f"bytes={start}-{start + length - 1}"}) as response:
            _refuse_status(response, where)
            _refuse_other_range(response, start, length, where)
            got = 0
            for piece in self._body(response):
                got += len(piece)
                if got > length:
                    raise Endless(f"{where}: more came")
                yield piece
            if got < length:
                raise Truncated(f"{where}: {got} bytes came")

    def _at(self, path: str) -> str:
        return f"{self.describe}/{path}"

    @contextmanager
    def _get(self, path: str, headers: dict[str, str]) -> Iterator[Response]:
        import requests
        import urllib3

        url = f"{self._base}/{quote(_inside(path))}"
        where, patience = self._at(path), self._patience
        try:
            with self._session.get(
                url,
                headers=headers,
                stream=True,
                timeout=(patience.connect, patience.silence),
                verify=self._verify,
            ) as response:
                yield response
        except requests.exceptions.SSLError as error:
            raise NetworkError(
                f"{where}: no trusted TLS connection: {error}",
                hint="name the authority that signed the server's certificate; check the node's clock",
            ) from error
        except urllib3.exceptions.IncompleteRead as error:
            raise Truncated(f"{where}: the connection ended early: {error}") from error
        except urllib3.exceptions.ProtocolError as error:
            if "IncompleteRead" in str(error):
                raise Truncated(f"{where}: the connection ended early: {error}") from error
            raise NetworkError(f"{where}: the connection broke: {error}") from error
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise NetworkError(f"{where}: no answer in time: {error}") from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            raise NetworkError(f"{where}: {error}") from error

    def _body(self, response: Response) -> Iterator[bytes]:
        """The body as it comes; `read1` returns with what is there, so that a trickle is seen as one."""
        began, in_window = time.monotonic(), 0
        while piece := response.raw.read1(_READ):
            yield piece
            in_window += len(piece)
            passed = time.monotonic() - began
            if passed < self._patience.window:
                continue
            if in_window < self._patience.floor * passed:
                raise NetworkError(
                    f"{self.describe} stalls: {in_window} bytes in {passed:.0f} s",
                    hint="it is tried again by itself; name a faster mirror if this stays",
                )
            began, in_window = time.monotonic(), 0


class FileSource:
    """A folder: a repository on a mounted disk, or one on its way to a server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def describe(self) -> str:
        """The folder as a URL."""
        return f"file://{quote(str(self._folder))}"

    def read(self, path: str, max_bytes: int) -> bytes:
        """See `ReleaseSource.read`."""
        with self._open(path) as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise Endless(f"{self.describe}/{path} is longer than the allowed {max_bytes} bytes")
        return data

    def read_range(self, path: str, start: int, length: int) -> Iterator[bytes]:
        """See `ReleaseSource.read_range`."""
        with self._open(path) as file:
            file.seek(start)
            left = length
            while left > 0:
                piece = file.read(min(CHUNK, left))
                if not piece:
                    raise Truncated(f"{self.describe}/{path}: {left} of {length} bytes are missing")
                left -= len(piece)
                yield piece

    @contextmanager
    def _open(self, path: str) -> Iterator[_Readable]:
        where = self._folder / _inside(path)
        try:
            if not stat.S_ISREG(where.stat().st_mode):
                raise Unknown(f"{self.describe}/{path} is not a file")
            with where.open("rb") as file:
                yield file
        except (FileNotFoundError, NotADirectoryError) as error:
            raise Unknown(f"{self.describe} has no {path}") from error
        except OSError as error:
            raise NetworkError(f"{self.describe}/{path} can't be read: {error.strerror}") from error


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, /) -> int: ...


class Mirrors:
    """Several sources of the same release, tried in order.

    Only what a single read shows falls through here. Whether the bytes are right is known later, so whoever
    finds them wrong asks the next of `sources` (`try_each`). `errors` keeps who failed how, newest last.
    """

    def __init__(self, sources: Sequence[ReleaseSource]) -> None:
        if not sources:
            raise UserError("no release source is named", hint="set spec.release.source")
        self.sources = tuple(sources)
        self.errors: list[tuple[str, SourceError | NetworkError]] = []

    @property
    def describe(self) -> str:
        """All of them, in order."""
        return ", ".join(source.describe for source in self.sources)

    def read(self, path: str, max_bytes: int) -> bytes:
        """See `ReleaseSource.read`."""
        return try_each(self.sources, lambda source: source.read(path, max_bytes), errors=self.errors)

    def read_range(self, path: str, start: int, length: int) -> Iterator[bytes]:
        """See `ReleaseSource.read_range`. The next mirror goes on where the last one stopped."""
        got = 0
        failed: list[tuple[str, SourceError | NetworkError]] = []
        for source in self.sources:
            try:
                for piece in source.read_range(path, start + got, length - got):
                    got += len(piece)
                    yield piece
            except (SourceError, NetworkError) as error:
                failed.append((source.describe, error))
                self.errors.append((source.describe, error))
            else:
                return
        raise worst(failed)


def try_each(
    sources: Sequence[ReleaseSource],
    action: Callable[[ReleaseSource], T],
    *,
    errors: list[tuple[str, SourceError | NetworkError]] | None = None,
) -> T:
    """What `action` returns for the first source for which it does not fail.

    `errors`, where given, gets who failed how.

    Raises:
        SourceError, NetworkError: all failed; see `worst`.
    """
    failed: list[tuple[str, SourceError | NetworkError]] = []
    for source in sources:
        try:
            return action(source)
        except (SourceError, NetworkError) as error:
            failed.append((source.describe, error))
            if errors is not None:
                errors.append((source.describe, error))
    raise worst(failed)


def worst(failed: Sequence[tuple[str, SourceError | NetworkError]]) -> SourceError | NetworkError:
    """One error for all: a lie before silence, silence before not knowing, and all of them in its message."""
    if len(failed) == 1:
        return failed[0][1]

    def rank(error: SourceError | NetworkError) -> int:
        return 1 if isinstance(error, NetworkError) else 2 if isinstance(error, Unknown) else 0

    chosen = min((error for _, error in failed), key=rank)
    message = "; ".join(f"{who}: {error.reason}: {error.message}" for who, error in failed)
    return type(chosen)(f"every source failed: {message}", hint=chosen.hint)


def open_source(url: str, *, tls: Tls = Tls(), patience: Patience = Patience()) -> ReleaseSource:
    """The source behind a URL.

    Raises:
        UserError: no such kind of source, or not a URL.
    """
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.hostname:
        return HttpSource(url, tls=tls, patience=patience)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return FileSource(Path(unquote(parts.path)))
    raise UserError(f"{url!r} is not a release source", hint="use https://HOST/PATH or file:///PATH")


def open_sources(urls: Sequence[str], *, tls: Tls = Tls(), patience: Patience = Patience()) -> Mirrors:
    """All of them as mirrors, in order.

    Raises:
        UserError: none is named, or one is no source.
    """
    return Mirrors([open_source(url, tls=tls, patience=patience) for url in urls])


def _inside(path: str) -> str:
    if any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path or "\\" in path:
        raise Tampered(f"{path!r} does not stay inside the repository")
    return path


def _refuse_status(response: Response, where: str) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    if status in (403, 404, 410):  # object stores answer 403 for what does not exist
        raise Unknown(f"{where} does not exist there (HTTP {status})")
    if status == 416:
        raise Truncated(f"{where} lies behind the end of the file")
    raise NetworkError(f"{where} answers HTTP {status}")


def _refuse_other_range(response: Response, start: int, length: int, where: str) -> None:
    if response.status_code == 200:
        whole = response.headers.get("Content-Length") == str(length)
        if start == 0 and whole:
            return
        raise Tampered(
            f"{where}: the server ignores ranges", hint="serve the repository with a server that knows Range"
        )
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != start or int(match[2]) >= start + length:
        offered = response.headers.get("Content-Range", "no Content-Range")
        raise Tampered(f"{where}: offered was {offered}")
    if int(match[2]) < start + length - 1:
        raise Truncated(f"{where}: the file ends at {int(match[2]) + 1}")

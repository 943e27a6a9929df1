"""Objects in an S3 bucket, through boto3 with conditional writes.

An upload is spooled to a temporary file first: S3 wants its length and checksum before its first byte, and
what arrives cut must never be begun. Each write carries a random mark as metadata. S3 may carry a write out
and lose the answer; botocore tries again, and that meets our own object: the mark tells.
"""

from __future__ import annotations

import errno
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING, Any, NoReturn

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
)

from jboost_server.store.port import CHUNK, Content, Stat, check_name, check_prefix, exactly
from warmroot.errors import BadRange, NoObject, StoreBroken, StoreFull, StoreUnavailable, WriteLost

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PRESIGNED = 300
"""Seconds for which an address is good that was signed for a reader."""
_SPOOL = 4 * 2**20
"""Bytes of an upload that are kept in memory; what is larger goes to a file."""
_MARK = "warmroot-write"
_LOST = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_ABSENT = {"NoSuchKey", "NotFound", "404"}
_LATER = {429, 500, 502, 503, 504}


class S3Store:
    """An `ObjectStore` in one bucket, below a prefix of keys (empty, or folders that end with `/`)."""

    def __init__(self, client: S3Client, bucket: str, prefix: str = "") -> None:
        check_prefix(prefix)
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def probe(self) -> None:
        """Proves that the server can be reached, and that it honours conditional writes: some ignore them.

        Raises:
            StoreUnavailable, StoreBroken: it can't be reached; it refuses, or it overwrites.
        """
        name = f"probe/{uuid.uuid4().hex}"
        try:
            stat = self.put_new(name, [b"1"], 1)
            self._must_lose(partial(self.put_new, name, [b"2"], 1))
            self._must_lose(partial(self.put_over, name, [b"3"], 1, "0" * 32))
            self.put_over(name, [b"4"], 1, stat.etag)
        finally:
            self.delete(name)

    def stat(self, name: str) -> Stat:
        """As the port says."""
        return self._head(name)[0]

    @contextmanager
    def get(
        self, name: str, start: int = 0, end: int | None = None, *, chunk: int = CHUNK
    ) -> Iterator[Content]:
        """As the port says."""
        check_name(name)
        whole = start == 0 and end is None
        if not whole and (start < 0 or (end is not None and end <= start)):
            raise BadRange(f"{name}: no bytes from {start} to {end}")
        with self._named_errors(name):
            wanted = "" if whole else f"bytes={start}-{'' if end is None else end - 1}"
            answer = (
                self._client.get_object(Bucket=self._bucket, Key=self._prefix + name, Range=wanted)
                if wanted
                else self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
            )
        body = answer["Body"]
        size = answer["ContentLength"] if whole else int(answer["ContentRange"].rpartition("/")[2])
        try:
            stat = Stat(name, size, _bare(answer["ETag"]), _time(answer))
            yield Content(stat, self._read(name, body.iter_chunks(chunk)))
        finally:
            body.close()

    def put_new(self, name: str, chunks: Iterable[bytes], size: int) -> Stat:
        """As the port says."""
        return self._put(name, chunks, size, None)

    def put_over(self, name: str, chunks: Iterable[bytes], size: int, etag: str) -> Stat:
        """As the port says."""
        return self._put(name, chunks, size, etag)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """As the port says."""
        check_prefix(prefix)
        with self._named_errors(f"bucket {self._bucket}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for item in page.get("Contents", ()):
                    name = item["Key"].removeprefix(self._prefix)
                    yield Stat(name, item["Size"], _bare(item["ETag"]), _time(item))

    def delete(self, name: str) -> None:
        """As the port says."""
        check_name(name)
        with self._named_errors(name):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def presigned(self, name: str) -> str:
        """As the port says: for `PRESIGNED` seconds. Signed here; the server is not asked.

        Raises:
            StoreBroken: there are no credentials to sign with.
        """
        check_name(name)
        with self._named_errors(name):
            return self._client.generate_presigned_url(
                "get_object",
                Params={"Bucket": self._bucket, "Key": self._prefix + name},
                ExpiresIn=PRESIGNED,
            )

    def _must_lose(self, write: Callable[[], Stat]) -> None:
        try:
            write()
        except WriteLost:
            return
        raise StoreBroken(
            f"the S3 server of bucket {self._bucket} ignores conditional writes",
            hint="use a server that knows If-None-Match and If-Match, or the directory store",
        )

    def _put(self, name: str, chunks: Iterable[bytes], size: int, etag: str | None) -> Stat:
        check_name(name)
        with tempfile.SpooledTemporaryFile(_SPOOL) as spool:
            for chunk in exactly(chunks, size):
                _spool(spool, chunk, name)
            spool.seek(0)
            mark = uuid.uuid4().hex
            try:
                with self._named_errors(name, conditional=True):
                    return Stat(name, size, self._send(name, spool, size, mark, etag))
            except WriteLost:
                if (ours := self._written_by(name, mark)) is not None:
                    return ours
                raise

    def _send(self, name: str, body: IO[bytes], size: int, mark: str, etag: str | None) -> str:
        send: Callable[..., dict[str, str]] = self._client.put_object  # type: ignore[assignment]
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": f'"{etag}"'}
        answer = send(
            Bucket=self._bucket,
            Key=self._prefix + name,
            Body=body,
            ContentLength=size,
            Metadata={_MARK: mark},
            **condition,
        )
        return _bare(answer["ETag"])

    def _written_by(self, name: str, mark: str) -> Stat | None:
        try:
            stat, found = self._head(name)
        except NoObject:
            return None
        return stat if found == mark else None

    def _head(self, name: str) -> tuple[Stat, str]:
        check_name(name)
        with self._named_errors(name):
            answer = self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)
        stat = Stat(name, answer["ContentLength"], _bare(answer["ETag"]), _time(answer))
        return stat, answer["Metadata"].get(_MARK, "")

    def _read(self, name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with self._named_errors(name):
            yield from chunks

    @contextmanager
    def _named_errors(self, what: str, *, conditional: bool = False) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            _raise(error, f"{what} in bucket {self._bucket}", conditional)
        except (ConnectionError, HTTPClientError, IncompleteReadError) as error:
            raise StoreUnavailable(f"{what} in bucket {self._bucket}: {error}") from error
        except BotoCoreError as error:
            raise StoreBroken(f"{what} in bucket {self._bucket}: {error}") from error


def _raise(error: ClientError, what: str, conditional: bool) -> NoReturn:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _LOST or (conditional and code in _ABSENT):  # If-Match on nothing is a 404
        raise WriteLost(f"{what}: somebody else wrote first") from error
    if code in _ABSENT:
        raise NoObject(f"there is no {what}") from error
    if status == 416:
        raise BadRange(f"{what} has no such range") from error
    if status == 507:
        raise StoreFull(f"{what}: {code}") from error
    if status in _LATER:
        raise StoreUnavailable(f"{what}: {code or status}") from error
    raise StoreBroken(f"{what}: {code or status}") from error


def _spool(spool: IO[bytes], chunk: bytes, name: str) -> None:
    try:
        spool.write(chunk)
    except OSError as error:
        kind = StoreFull if error.errno in {errno.ENOSPC, errno.EDQUOT} else StoreBroken
        raise kind(f"{name} can't be spooled in {tempfile.gettempdir()}: {error.strerror}") from error


def _time(answer: Mapping[str, Any]) -> int:
    return int(answer["LastModified"].timestamp()) if "LastModified" in answer else 0


def _bare(etag: str) -> str:
    return etag.strip('"')

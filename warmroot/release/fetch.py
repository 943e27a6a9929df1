"""The trust check as a short-lived child process, so that tuf's memory is given back.

`python -m warmroot.release.fetch` reads a request as JSON from standard input and answers with one JSON
object: the manifest, or the error by its reason. `fetch` is the parent's side and raises the same errors
that the check itself would. Only the child imports tuf.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from warmroot import errors
from warmroot.errors import Bug, NetworkError, UserError, WarmrootError
from warmroot.release.manifest import Manifest, decode, digest
from warmroot.release.source import ReleaseSource, Tls, open_source, try_each

TIMEOUT = 300.0
"""Seconds after which the check is given up as a network error."""


@dataclass(frozen=True)
class Request:
    """Which release, from where, believed by which root.

    `sources` are tried in order, each as a whole: a mirror that lies does not stop the next one. Either
    `digest`, or `version` with `product` and `arch`; with both, the release must have that digest.
    """

    store: str
    root: str
    sources: tuple[str, ...]
    product: str
    arch: str
    version: str | None = None
    digest: str | None = None
    tls: Tls = field(default_factory=Tls)


@dataclass(frozen=True)
class Fetched:
    """A manifest that may be believed, its bytes, its digest, and the source that served it."""

    manifest: Manifest
    data: bytes
    digest: str
    source: str


def fetch(request: Request, *, timeout: float = TIMEOUT) -> Fetched:
    """The manifest of a release, checked in a child process that has `timeout` seconds.

    Raises:
        SourceError, NetworkError, NodeError, UserError: as the check itself raises them.
        Bug: the child died without an answer.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "warmroot.release.fetch"],
            input=json.dumps(asdict(request)).encode(),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NetworkError(f"the release index did not come within {timeout:.0f} s") from error
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise Bug(f"the trust check ended with status {done.returncode} and no answer: {last}") from error
    if "reason" in answer:
        raise error_of(answer)
    data = answer["manifest"].encode()
    return Fetched(decode(data), data, digest(data), answer["source"])


def resolve(request: Request) -> Fetched:
    """The manifest of a release, checked in this process.

    Raises:
        SourceError, NetworkError, NodeError, UserError: what went wrong with every source.
    """
    from warmroot.release.trust import TrustedIndex

    if not request.sources:
        raise UserError("no release source is named", hint="set spec.release.source")
    try:
        root = Path(request.root).read_bytes()
    except OSError as error:
        raise errors.NodeError(f"the trust anchor {request.root} can't be read: {error.strerror}") from error

    def ask(source: ReleaseSource) -> Fetched:
        index = TrustedIndex(Path(request.store), root, source)
        if request.version:
            manifest, data = index.manifest(
                version=request.version, product=request.product, arch=request.arch
            )
        else:
            manifest, data = index.manifest_by_digest(request.digest or "")
        found = Fetched(manifest, data, digest(data), source.describe)
        _refuse_other(found, request)
        return found

    return try_each([open_source(url, tls=request.tls) for url in request.sources], ask)


def error_of(answer: dict[str, str]) -> WarmrootError:
    """The error that an answer carries, as the class it was."""
    kind = getattr(errors, answer["reason"], None)
    if not (isinstance(kind, type) and issubclass(kind, WarmrootError)):
        kind = Bug
    return kind(answer["message"], hint=answer["hint"])


def _refuse_other(found: Fetched, request: Request) -> None:
    if request.digest and found.digest != request.digest:
        raise errors.Tampered(
            f"{request.version} is {found.digest} there, but {request.digest} is pinned",
            hint="correct spec.release.digest, or find out who published another release under this version",
        )
    manifest = found.manifest
    if (manifest.product, manifest.arch) != (request.product, request.arch):
        raise errors.Unknown(
            f"{found.digest} is {manifest.product} for {manifest.arch}; this node runs {request.product} for"
            f" {request.arch}"
        )


def main() -> int:
    """Entry point of the child."""
    # Where it is installed tuf imports it, to sign with keys in AWS. We only verify, and it takes long.
    sys.modules["boto3"] = None  # type: ignore[assignment]
    try:
        asked = json.load(sys.stdin)
        asked["sources"], asked["tls"] = tuple(asked["sources"]), Tls(**asked["tls"])
        found = resolve(Request(**asked))
        answer = {"manifest": found.data.decode(), "source": found.source}
    except WarmrootError as error:
        answer = {"reason": error.reason, "message": error.message, "hint": error.hint}
    json.dump(answer, sys.stdout)
    return 1 if "reason" in answer else 0


if __name__ == "__main__":
    sys.exit(main())

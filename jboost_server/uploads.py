"""Checks of what a stranger uploads, made while it streams to the store.

Each takes chunks and gives them on; what is wrong is raised before the last one, so that the store keeps
nothing. No more is held than a chunk or two.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Collection, Iterable, Iterator

from jboost_server.core.classlist import Kind, parse
from jboost_server.core.merge import kept
from warmroot.errors import BadLine, EmptyRecording, WrongDigest

MAX_HELD = 2 * 2**20
"""Bytes of a class list that are held while its next class is looked for."""


def of_digest(chunks: Iterable[bytes], digest: str) -> Iterator[bytes]:
    """The chunks, if their sha256 is the one that was named.

    Raises:
        WrongDigest: it is not; after the last chunk, which a store does not take for the end.
    """
    hashed = hashlib.sha256()
    for chunk in chunks:
        hashed.update(chunk)
        yield chunk
    if hashed.hexdigest() != digest:
        raise WrongDigest(f"the bytes have sha256 {hashed.hexdigest()[:12]}…, not {digest[:12]}…")


def not_empty(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks, if there is one byte in them.

    Raises:
        EmptyRecording: there is none.
    """
    empty = True
    for chunk in chunks:
        empty = empty and not chunk
        yield chunk
    if empty:
        raise EmptyRecording("a recording of 0 bytes")


def class_list(chunks: Iterable[bytes], *, feature: int, class_path: Collection[str]) -> Iterator[bytes]:
    """The chunks, if they are a class list of this JDK with a class that is worth keeping.

    Raises:
        UploadError: one of its leaves says in which line they are not.
    """
    held: deque[bytes] = deque()

    def watched() -> Iterator[bytes]:
        size = 0
        for chunk in chunks:
            size = size + len(chunk) if held else len(chunk)
            if size > MAX_HELD:
                raise BadLine(f"more than {MAX_HELD} bytes of comments")
            held.append(chunk)
            yield chunk

    useful = False
    for entry in parse(watched(), feature=feature, class_path=class_path):
        useful = useful or (entry.kind is Kind.CLASS and kept(entry))
        while held:
            yield held.popleft()
    yield from held
    if not useful:
        raise EmptyRecording("a class list without a class that an archive could hold")


def drain(chunks: Iterable[bytes]) -> None:
    """Takes what is still sent, so that the sender reads its answer."""
    for _ in chunks:
        pass

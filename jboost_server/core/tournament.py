"""The tournament of binary recordings (24 and later), which can't be merged: one of them is the archive.

Before anything is built, a recording is worth what it saw: nearly everything, then requests served, then
time. The server never opens a recording, so its size tells how many classes and profiles are in it.
Requests come before time because an archive trained only by starting up is as fast to ready as one trained
by traffic, but serves fewer requests after it. Once caches are built and measured, the start decides as far
as it can be told from noise; among equals, traffic does again. The last good one stays until a measured one
is better by these rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from warmroot.canonical import check, check_integer

THIN = 90
"""Percent of the largest recording's size; below it a recording lacks parts of the application."""
NOISE = 3
"""Percent within which two measured starts are the same."""


@dataclass(frozen=True)
class Recording:
    """One run: the recording's size in bytes, the run's length in seconds, requests served in it.

    `start` is the median start of the cache built of it, in milliseconds; None before it was measured.
    """

    digest: str
    size: int
    seconds: int
    requests: int
    start: int | None = None

    def __post_init__(self) -> None:
        check(bool(self.digest), "a recording without a digest")
        check_integer("size", self.size, least=1)
        check_integer("seconds", self.seconds, least=0)
        check_integer("requests", self.requests, least=0)
        if self.start is not None:
            check_integer("start", self.start, least=1)


@dataclass(frozen=True)
class Place:
    """A recording and why it stands where it does."""

    recording: Recording
    because: str


@dataclass(frozen=True)
class Verdict:
    """The recording whose cache is served, None if none was measured, and why."""

    winner: Recording | None
    because: str


def rank(recordings: Iterable[Recording]) -> tuple[Place, ...]:
    """Recordings by what they saw, best first: the order in which to build.

    Raises:
        ValueError: one recording is there twice.
    """
    known = tuple(recordings)
    check(len({recording.digest for recording in known}) == len(known), "a recording is there twice")
    most = max((recording.size for recording in known), default=0)
    return tuple(Place(each, _seen(each, most)) for each in sorted(known, key=lambda r: _worth(r, most)))


def judge(recordings: Iterable[Recording], last_good: str | None = None) -> Verdict:
    """Whose cache to serve, given the digest of the recording that is served now.

    Raises:
        ValueError: one recording is there twice, or the last good one is not among them or not measured.
    """
    places = rank(recordings)
    measured = [place.recording for place in places if place.recording.start is not None]
    holder = next((recording for recording in measured if recording.digest == last_good), None)
    check(last_good is None or holder is not None, "the last good recording has no measured start")
    if not measured:
        return Verdict(None, "no cache was measured yet")
    fastest = min(_start(recording) for recording in measured)
    equals = [recording for recording in measured if not _slower(_start(recording), fastest)]
    best = equals[0]
    if holder is None:
        return Verdict(best, _reason(best, equals))
    if holder == best:
        return Verdict(holder, f"the last good one stays: {_reason(holder, equals)}")
    most = max(place.recording.size for place in places)
    return Verdict(best, f"replaces {holder.digest[:12]}: {_reason(best, equals)} ({_seen(best, most)})")


def _start(recording: Recording) -> int:
    assert recording.start is not None
    return recording.start


def _slower(start: int, than: int) -> bool:
    return start * 100 > than * (100 + NOISE)


def _thin(recording: Recording, most: int) -> bool:
    return recording.size * 100 < most * THIN


def _worth(recording: Recording, most: int) -> tuple[bool, int, int, int, str]:
    return (
        _thin(recording, most),
        -recording.requests,
        -recording.seconds,
        -recording.size,
        recording.digest,
    )


def _seen(recording: Recording, most: int) -> str:
    what = f"{recording.size} bytes, {recording.requests} requests in {recording.seconds} s"
    return f"{what}; fewer than {THIN} % of the {most} bytes of another" if _thin(recording, most) else what


def _reason(winner: Recording, equals: list[Recording]) -> str:
    if len(equals) == 1:
        return f"its start of {winner.start} ms is the fastest"
    return (
        f"its start of {winner.start} ms is among the {len(equals)} fastest, and of these it saw most traffic"
    )

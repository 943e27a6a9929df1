"""Several pods' class lists become one: what one pod's traffic missed, another's had.

Folding is a set operation. A recording has an identity and counts once, however often it is folded; the
content does not depend on the order, and the order of lines is that of first sight, so that one more pod does
not shuffle an archive. A fold that would pass the bound is refused whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from jboost_server.core.classlist import OLDEST, Entry, Kind, parse_line
from warmroot.canonical import Fields, check, check_integer, encode
from warmroot.errors import EmptyRecording, StoreBroken, TooLarge, UploadError

MAX_LINES = 500_000
"""Lines of one merge, of any support."""
MAX_TEXT = 16 * 2**20
"""Bytes of all lines of one merge, which is held in memory. No single recording is larger."""
MAX_RECORDINGS = 1_000
"""Recordings of one merge. Far fewer say all there is to say."""
_RECORDING = re.compile(r"[0-9a-f]{64}")
_NOISE = re.compile(
    r"(?:^|/)\$Proxy[0-9]+$"  # made at run time: "Cannot find" in a dump
    r"|[+/]0x[0-9a-f]+$"  # hidden classes are never archived by name
    r"|^jdk/internal/reflect/Generated[A-Za-z]+Accessor[0-9]+$"
    r"|^jdk/(?:jfr/events|internal/event)/[^/]+Event$"  # a dump skips JFR's events
)
_HEADER = "# merged by warmroot\n"


def kept(entry: Entry) -> bool:
    """Whether a line is worth anything in another pod's archive.

    `@cp` lines hold for exactly the jar bytes that were recorded, classes of custom loaders for ids that a
    merge does not keep, and noise for nothing.
    """
    if entry.kind in {Kind.PROXY, Kind.FORM}:
        return True
    return entry.kind is Kind.CLASS and not _NOISE.search(entry.text)


@dataclass(frozen=True)
class Merge:
    """What the recordings of one build key have in common and what they add to one another.

    `support` says in how many recordings a line was, in order of first sight. `recordings` are the sha256
    digests (hex) of the lists that are in it.
    """

    feature: int
    recordings: tuple[str, ...] = ()
    support: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        check_integer("feature", self.feature, least=OLDEST)
        check(len(set(self.recordings)) == len(self.recordings), "a recording is there twice")
        check(all(map(_RECORDING.fullmatch, self.recordings)), "a recording is not named by its sha256")

    def fold(
        self,
        recording: str,
        entries: Iterable[Entry],
        *,
        max_lines: int = MAX_LINES,
        max_text: int = MAX_TEXT,
        max_recordings: int = MAX_RECORDINGS,
    ) -> Merge:
        """The merge with one recording more; the very same if it has that one already.

        `entries` are consumed once and never held beyond the lines that the merge keeps.

        Raises:
            ValueError: `recording` is no sha256 in hex.
            TooLarge: the merge would pass a bound.
            EmptyRecording: the recording has no class that is worth keeping.
            UploadError: the entries' own refusal; this merge stands as it was.
        """
        if recording in self.recordings:
            return self
        if len(self.recordings) >= max_recordings:
            raise TooLarge(f"a merge of more than {max_recordings} recordings")
        support = dict(self.support)
        seen: set[str] = set()
        classes, size = 0, sum(map(_size, support))
        for entry in entries:
            if entry.text in seen or not kept(entry):
                continue
            seen.add(entry.text)
            classes += entry.kind is Kind.CLASS
            if entry.text not in support:
                size += _size(entry.text)
            support[entry.text] = support.get(entry.text, 0) + 1
            if len(support) > max_lines:
                raise TooLarge(f"a merge of more than {max_lines} lines")
            if size > max_text:
                raise TooLarge(f"a merge of more than {max_text} bytes")
        if not classes:
            raise EmptyRecording(f"recording {recording[:12]} has no class that an archive could hold")
        return Merge(self.feature, (*self.recordings, recording), MappingProxyType(support))

    def lines(self, threshold: int = 1) -> tuple[str, ...]:
        """Lines that at least `threshold` recordings have; classes first, each group in order of first sight.

        With fewer recordings than the threshold, those that all of them have. A threshold is there for junk:
        what only one kind of traffic needs has a support of one, too.

        Raises:
            ValueError: a threshold below one.
        """
        check_integer("threshold", threshold, least=1)
        least = min(threshold, len(self.recordings))
        chosen = [text for text, count in self.support.items() if count >= least]
        return tuple(sorted(chosen, key=lambda text: text.startswith("@")))

    def render(self, threshold: int = 1) -> bytes:
        """The class list for `-XX:SharedClassListFile`."""
        return (_HEADER + "".join(line + "\n" for line in self.lines(threshold))).encode()

    def encode(self) -> bytes:
        """For the object store, in canonical form."""
        return encode(
            {
                "feature": self.feature,
                "recordings": list(self.recordings),
                "support": [[text, count] for text, count in self.support.items()],
            }
        )


def _size(line: str) -> int:
    return len(line.encode()) + 1


def decode(data: bytes) -> Merge:
    """The merge in these bytes, checked line by line: what is stored is dumped one day.

    Raises:
        StoreBroken: they are not what `encode` wrote.
    """
    try:
        merge = _merge(Fields("merge", json.loads(data)))
    except (ValueError, RecursionError, UploadError) as error:
        raise StoreBroken(f"not a merge: {error}") from error
    if merge.encode() != data:
        raise StoreBroken("not a merge: not in canonical form")
    return merge


def _merge(fields: Fields) -> Merge:
    feature, recordings = fields.integer("feature"), fields.texts("recordings")
    support: dict[str, int] = {}
    for pair in fields.items("support"):
        match pair:
            case [str(text), int(count)] if not isinstance(count, bool):
                pass
            case _:
                raise ValueError("support is not a list of a line and its count")
        check(1 <= count <= len(recordings), f"a line's support {count} is not within the recordings")
        check(text not in support, "a line is there twice")
        check(kept(entry := parse_line(text, feature=feature)) and entry.text == text, "a line of no use")
        support[text] = count
    fields.finish()
    return Merge(feature, recordings, MappingProxyType(support))

"""Asks a release repository's signed index which digest a version is. In a thread: a pass never waits for it.

What was resolved once stays for as long as the process runs; a failure is tried again.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from os_operator.core.survey import target_of
from os_operator.core.world import OSView, Resolution
from warmroot.errors import Unknown, WarmrootError

log = logging.getLogger(__name__)
AGAIN = 60.0
"""Seconds after which a failed resolution is tried again."""
Question = tuple[tuple[str, ...], str]
Ask = Callable[[Sequence[str], str], str]
"""(sources in order, version) to the manifest's digest; raises WarmrootError."""


@dataclass(slots=True)
class _Answer:
    resolution: Resolution = field(default_factory=Resolution)
    asked_at: float = float("-inf")
    running: bool = False


class Resolver:
    """Resolutions by (sources, version). `changed` is called when an answer came."""

    def __init__(
        self, ask: Ask | None, changed: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask, self._changed, self._clock = ask, changed, clock
        self._answers: dict[Question, _Answer] = {}
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._closed = False

    def __call__(self, os: OSView) -> Resolution:
        """What is known now; asks if it is time to."""
        if os.spec is None or target_of(os) is not None:
            return Resolution()
        if self._ask is None:
            text = "the operator has no --trusted-root; pin spec.release.digest or give it one"
            return Resolution(reason="NoTrustedRoot", message=text)
        release = os.spec.release
        question = ((release.source, *release.mirrors), release.version)
        with self._lock:
            answer = self._answers.setdefault(question, _Answer())
            due = answer.resolution.digest is None and self._clock() >= answer.asked_at + AGAIN
            if due and not answer.running:
                answer.running, answer.asked_at = True, self._clock()
                # A daemon, which a pool's threads are not: a source that is silent holds no process up.
                threading.Thread(
                    target=self._run, args=(question, self._ask), name="resolve", daemon=True
                ).start()
            return answer.resolution

    def _run(self, question: Question, ask: Ask) -> None:
        with self._turn:
            if self._closed:
                return
            resolution = _asked(question, ask)
        with self._lock:
            answer = self._answers[question]
            answer.resolution, answer.running = resolution, False
        self._changed()

    def close(self) -> None:
        """Takes no more questions."""
        self._closed = True


def _asked(question: Question, ask: Ask) -> Resolution:
    sources, version = question
    try:
        return Resolution(ask(sources, version))
    except WarmrootError as error:
        log.warning("resolving %s: %s", version, error)
        return Resolution(reason=error.reason, message=str(error))


def trusted_index(root: bytes, store: Path) -> Ask:
    """Asks indexes that the keys of `root` (root.json) vouch for; their metadata is kept in `store`."""

    def ask(sources: Sequence[str], version: str) -> str:
        from warmroot.release.source import open_sources
        from warmroot.release.trust import TrustedIndex

        folder = store / hashlib.sha256("\n".join(sources).encode()).hexdigest()[:16]
        index = TrustedIndex(folder, root, open_sources(sources))
        index.refresh()
        found = [name for name in index.targets() if name.endswith(f"/{version}.json")]
        if len(found) != 1:
            told = f"offers {version} as {', '.join(sorted(found))}" if found else f"has no release {version}"
            raise Unknown(f"{sources[0]} {told}", hint="pin spec.release.digest")
        product, arch, _ = found[0].split("/")
        _, manifest = index.manifest(version=version, product=product, arch=arch)
        return "sha256:" + hashlib.sha256(manifest).hexdigest()

    return ask

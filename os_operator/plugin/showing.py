"""What the verbs print for a person. Plain lines: they go into tickets as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from os_operator.core.explain import Explanation
from os_operator.core.forecast import Forecast, Waits
from warmroot.api.os import HistoryEntry

_NAMED = 3
"""Nodes that a line names before it says how many more there are."""


def why(told: Explanation) -> str:
    """One node's chain of reasons."""
    place = f"{told.node}: {told.phase.value}" if told.phase else f"{told.node}: in nobody's hands"
    if told.reason is not None:
        place += f", {told.reason.value}"
    times = [f"{word} {at}" for word, at in (("since", told.since), ("until", told.deadline)) if at]
    lines = [f"{place} ({', '.join(times)})" if times else place]
    if told.message:
        lines.append(f"  {told.message}")
    lines += [f"  - {link}" for link in told.chain]
    return "\n".join([*lines, f"  next: {told.next}"])


def plan(told: Forecast) -> str:
    """What an OS object would do now."""
    target = told.target or "a release that is not resolved yet"
    lines = [f"OS {told.os}: {told.updated} of {told.total} nodes run {target}"]
    lines += [
        f"  wave {wave.name}: {'the nodes it names, ' if wave.selector else 'up to node '}{wave.nodes}"
        f"{_terms(wave.approval, wave.soak)}"
        for wave in told.waves
    ]
    if told.halted:
        lines.append(f"  halted: {told.halted}")
    if told.conflicts:
        lines.append(f"  another OS object selects {names(told.conflicts)}, too: nobody moves them")
    lines += [f"  now: {names(nodes)} {what}" for what, nodes in _grouped(told.begins)]
    lines += [f"  waits: {names(row.nodes)}: {_reason(row)}" for row in told.waits]
    if told.eta is not None and told.seconds_per_node is not None:
        each = f"{minutes(told.seconds_per_node)} a node in the last rollout that was completed"
        lines.append(f"  about {minutes(told.eta)} left, by {each}")
    return "\n".join(lines)


def status(told: Mapping[str, Any]) -> str:
    """How far one rollout is."""
    counts, wave = told.get("counts", {}), told.get("wave") or {}
    lines = [f"OS {told['os']}: release {told['release'] or '?'}, {told['phase']}, {told['ready']} nodes"]
    if told["problem"]:
        lines.append(f"  its spec can't be followed: {told['problem']}")
    shown = ("staged", "inProgress", "failed", "unavailable")
    lines.append("  " + ", ".join(f"{counts.get(name, 0)} {name}" for name in shown))
    if wave:
        soak = f", soaks until {wave['soakUntil']}" if wave.get("soakUntil") else ""
        approval = (
            ""
            if wave.get("approved", True)
            else f", needs: kubectl warmroot approve {told['os']} {wave['name']}"
        )
        lines.append(f"  wave {wave['name']} since {wave['since']}{soak}{approval}")
    for row in told.get("waiting", ()):
        until = f", until {row['deadline']}" if row.get("deadline") else ""
        lines.append(f"  {row['node']}: {row['phase']}, {row['reason']} since {row['since']}{until}")
        if row["message"]:
            lines.append(f"    {row['message']}")
    reasons = Counter(row["reason"] for row in told.get("failed", ()))
    if reasons:
        lines.append("  failed: " + ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()))
    return "\n".join(lines)


def history(os: str, entries: Sequence[HistoryEntry]) -> str:
    """The last rollouts, a line each."""
    if not entries:
        return f"OS {os} has rolled nothing out yet."
    rows = [
        (one.version, one.result, one.started, one.finished or "", one.digest, one.config_revision or "")
        for one in entries
    ]
    rows.insert(0, ("VERSION", "RESULT", "STARTED", "FINISHED", "DIGEST", "SETTINGS"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _terms(approval: bool, soak: float) -> str:
    terms = [
        *(["after an approval"] if approval else []),
        *([f"then soaks {minutes(soak)}"] if soak else []),
    ]
    return f", {', '.join(terms)}" if terms else ""


def _reason(row: Waits) -> str:
    return f"{row.reason.value}{f', {row.message}' if row.message else ''}"


def _grouped(begins: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for node, what in begins:
        found.setdefault(what, []).append(node)
    return list(found.items())


def names(nodes: Sequence[str], count: int | None = None) -> str:
    """The first of so many nodes, and how many more there are."""
    whole = len(nodes) if count is None else count
    more = f" and {whole - _NAMED} more" if whole > _NAMED else ""
    return ", ".join(nodes[:_NAMED]) + more


def minutes(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def bundle(path: Path, files: Mapping[str, bytes], unread: Mapping[str, str]) -> str:
    """What became of a support bundle."""
    lines = [f"{path}: {len(files)} files. Look into it before you send it: tar -tzf {path}"]
    lines += [f"  not read: {name}: {why}" for name, why in sorted(unread.items())]
    return "\n".join(lines)

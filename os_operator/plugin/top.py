"""Rollouts and Java caches in a terminal, as they change: what the page shows, in lines."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from os_operator.core.overview import CacheSeen, Overview, RolloutSeen
from os_operator.plugin.showing import minutes, names
from warmroot.api.reasons import NodePhase

_STYLES = {
    NodePhase.CURRENT: "green",
    NodePhase.STAGED: "blue",
    NodePhase.PENDING: "dim",
    NodePhase.FAILED: "red",
}
_MOVES = "yellow"
_WIDTH = 40
"""Cells of a bar."""


def screen(seen: Overview, unread: str = "", rows: int | None = None, old: str = "") -> RenderableType:
    """All of it; with `rows` so many groups of nodes of a rollout at most. `old`: why it may be old."""
    parts: list[RenderableType] = [Text(f"warmroot at {seen.at}", style="dim")]
    if old:
        parts.append(Text(f"What is shown may be old. {_plain(old)}", style="red"))
    for rollout in seen.rollouts:
        parts.extend(_rollout(rollout, rows))
    if not seen.rollouts:
        parts.append(Text("There is no OS object."))
    if unread:
        parts.append(Text(f"JavaCaches can't be read: {unread}"))
    elif seen.caches:
        parts.append(_caches(seen.caches))
    return Group(*parts)


def _rollout(seen: RolloutSeen, rows: int | None) -> Iterator[RenderableType]:
    left = f", about {minutes(seen.eta)} left" if seen.eta else ""
    title = f"OS {seen.os}: release {seen.release or '?'}, {seen.phase}"
    yield Text(f"\n{title}, {seen.updated} of {seen.total} nodes{left}", style="bold")
    yield _bar(seen)
    for note in _notes(seen):
        yield Text(f"  {_plain(note)}")
    shown = seen.groups if rows is None else seen.groups[:rows]
    if shown:
        table = Table("NODES", "ARE", "WHY", "SINCE", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for one in shown:
            why = _plain(": ".join(filter(None, (one.reason, one.message))))
            table.add_row(
                names(one.nodes, one.count),
                Text(one.phase.value, style=_STYLES.get(one.phase, _MOVES)),
                Text(why),
                one.since or "",
            )
        yield table
    more = seen.more + sum(one.count for one in seen.groups[len(shown) :])
    if more:
        yield Text(f"and {more} more: kubectl warmroot status {seen.os}", style="dim")


def _bar(seen: RolloutSeen) -> Text:
    line, total = Text("  "), sum(count for _, count in seen.phases)
    for phase, count in seen.phases:
        cells = max(1, round(_WIDTH * count / total))
        line.append("█" * cells, style=_STYLES.get(phase, _MOVES))
    line.append("  " + ", ".join(f"{count} {phase.value}" for phase, count in seen.phases))
    return line


def _plain(text: str) -> str:
    """Without what would steer the terminal: proxies and health checks report what others wrote."""
    return "".join(one if one.isprintable() else " " for one in text)


def _notes(seen: RolloutSeen) -> Iterator[str]:
    if seen.problem:
        yield f"its spec can't be followed: {seen.problem}"
    if seen.halted:
        yield f"halted: {seen.halted}"
    if seen.paused:
        yield "paused: a node that has begun is finished"
    if seen.conflicts:
        yield f"another OS object selects {seen.conflicts[0]}, too: nobody moves it"
    if seen.wave is not None and len(seen.waves) > 1:
        soak = f", soaks until {seen.soak_until}" if seen.soak_until else ""
        yield f"wave {seen.waves[seen.wave].name}, {seen.wave + 1} of {len(seen.waves)}{soak}"
    if seen.approve:
        yield f"waits for: {seen.approve}"


def _caches(caches: tuple[CacheSeen, ...]) -> Table:
    table = Table(
        "\nJAVACACHE",
        "\nIS",
        "\nSERVING",
        "\nCOVERAGE",
        "\nSTART",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for one in caches:
        timed = one.without is not None and one.with_ is not None
        start = f"{one.without:.2f} -> {one.with_:.2f} s" if timed else ""
        coverage = f"{one.coverage} %" if one.coverage is not None else ""
        table.add_row(f"{one.namespace}/{one.name}", one.state, one.serving, coverage, start)
    return table

"""The summary as a person reads it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from testbed.demo.story import Summary

MIB = 1024 * 1024


def show(summary: Summary, console: Console) -> None:
    """Prints nodes, refusals, traffic and the verdict."""
    console.print()
    console.print(_nodes(summary))
    for refusal in summary.refusals:
        said = f"refused on {refusal.node}: {refusal.reason}, {refusal.message}"
        console.print(said, markup=False, highlight=False, soft_wrap=True)
        for line in refusal.console:
            console.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)
    _traffic(summary, console)
    for finding in summary.findings:
        if not finding.holds:
            console.print(f"[red]✗[/red] {finding.claim}: {finding.detail}", highlight=False)
    held = sum(finding.holds for finding in summary.findings)
    console.print(
        f"{held} of {len(summary.findings)} claims hold, by the cluster's objects and the disks' bytes;"
        f" {summary.seconds:.0f} s in all",
        highlight=False,
    )


def _nodes(summary: Summary) -> Table:
    table = Table(title="Release 2, seconds and bytes per node", title_justify="left")
    table.add_column("node")
    for column in ("staging", "draining", "restarting", "proving", "out of service", "fetched", "reused"):
        table.add_column(column, justify="right")
    for moved in summary.nodes:
        parts = moved.parts
        seconds = (
            parts.staging,
            parts.draining,
            parts.restarting,
            parts.proving,
            parts.out_of_service,
        )
        table.add_row(
            moved.node,
            *("" if value is None else f"{value:.1f} s" for value in seconds),
            *(f"{value / MIB:.1f} MiB" for value in (moved.fetched, moved.reused)),
        )
    return table


def _traffic(summary: Summary, console: Console) -> None:
    least = summary.workload_least_ready
    lines = [
        f"workload: never fewer than {least} of {summary.workload_wanted} pods ready",
        f"release server: {summary.server_requests} requests, {summary.server_bytes / MIB:.1f} MiB",
    ]
    lines += [
        f"API requests of the {part}: {count.requests}; {count.writes} writes, {count.refused} refused"
        for part, count in summary.api.items()
    ]
    for line in lines:
        console.print(line, highlight=False)

"""The second half's table, as a person reads it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from testbed.demo.java.bed import FLAGS
from testbed.demo.java.story import JavaSummary, brief


def show(summary: JavaSummary, console: Console) -> None:
    """Prints starts and refusals."""
    title = f"Java pods (java {' '.join(FLAGS)} -jar app.jar): seconds to the first 200 of the health page"
    table = Table(title=title, title_justify="left")
    table.add_column("JDK")
    table.add_column("start")
    for column in ("plain", "warm", "ratio", "fetch"):
        table.add_column(column, justify="right")
    table.add_column("outcome")
    for row in [*summary.starts, *summary.refusals]:
        ratio = f"{row.plain / row.warm:.2f}" if row.plain and row.warm else ""
        table.add_row(
            row.jdk.removeprefix("JDK "),
            row.what,
            *(_seconds(value) for value in (row.plain, row.warm)),
            ratio,
            _seconds(row.fetch),
            f"{row.outcome}: {brief(row.why)}" if row.why else row.outcome,
        )
    console.print()
    console.print(table)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"

"""The `testbed` command: what demo, tests and benchmarks run on, for a person to start and look at.

Each package of the test bed registers its own commands here.
"""

from __future__ import annotations

import typer

from testbed.controlplane import cli as controlplane
from testbed.demo import cli as demo
from testbed.vm import cli as machines
from warmroot.cli import run


def build() -> typer.Typer:
    """The command with all its verbs."""
    app = typer.Typer(
        name="testbed",
        help="A real Kubernetes control plane, and machines, on this computer.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    controlplane.register(app)
    demo.register(app)
    machines.register(app)
    return app


def main() -> None:
    """Entry point."""
    run(build(), "testbed")

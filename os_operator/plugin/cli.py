"""The verbs of `kubectl warmroot`."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from os_operator.core.explain import explain
from os_operator.core.forecast import forecast
from os_operator.core.overview import wire
from os_operator.core.selection import select
from os_operator.core.survey import target_of
from os_operator.core.waves import steps
from os_operator.core.world import APPROVE_ANNOTATION, OSView
from os_operator.plugin import bundle, reading, showing
from warmroot.api.reasons import OSPhase
from warmroot.cli import Output, OutputOption, add_version, print_result, run
from warmroot.errors import ClusterError, NetworkError, UserError
from warmroot.kube.cluster import OS, Cluster, Object, RestCluster, connect
from warmroot.kube.transport import KubernetesTransport
from warmroot.nodeconfig import of_target

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

NAME = "kubectl warmroot"
EVERY = 2.0
"""Seconds after which a terminal is drawn again at the latest."""
_LEAST_TOKEN = 16
_LAST_PORT = 65535
_OTHER_LINES = 5
"""Of a terminal, which are not about nodes."""
app = typer.Typer(
    help="Watch, explain and steer rollouts of operating systems.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,  # kubectl asks kubectl_complete-warmroot
)
add_version(app)


Kubeconfig = Annotated[
    str | None, typer.Option(help="kubeconfig file (default: KUBECONFIG, else ~/.kube/config).")
]
Name = Annotated[
    str | None, typer.Argument(metavar="OS", help="The OS object; may be left out if there is one.")
]


@app.command()
def status(os: Name = None, kubeconfig: Kubeconfig = None, output: OutputOption = Output.TEXT) -> None:
    """Say how far a rollout is, and which nodes wait for what."""
    found = reading.world(_cluster(kubeconfig))
    chosen = [reading.one(found, os)] if os or len(found.oses) == 1 else list(found.oses.values())
    told = [_status(one) for one in chosen]
    print_result(
        told, output, lambda: "\n\n".join(showing.status(one) for one in told) or "There is no OS object."
    )


@app.command()
def why(
    node: Annotated[str, typer.Argument(metavar="NODE", help="The node.")],
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Say why a node is where it is, from its labels to what you can do about it."""
    found = reading.world(_cluster(kubeconfig))
    if node not in found.nodes:
        raise UserError(f"there is no node {node}", hint="kubectl get nodes")
    told = explain(node, found, time.time())
    print_result(asdict(told), output, lambda: showing.why(told))


@app.command()
def plan(
    os: Name = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="An OS object, as for kubectl apply; - is standard input."),
    ] = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Say what an OS object would do now, in which waves, and what holds it. Nothing is written."""
    if os is not None and file is not None:
        raise UserError("an OS object is named, and a file with one", hint="leave out one of them")
    proposed = _read(file) if file is not None else None
    found = reading.world(_cluster(kubeconfig), proposed)
    name = proposed["metadata"]["name"] if proposed is not None else os
    told = forecast(reading.one(found, name), found, time.time())
    print_result(asdict(told), output, lambda: showing.plan(told))


@app.command()
def approve(
    os: Annotated[str, typer.Argument(metavar="OS", help="The OS object.")],
    wave: Annotated[str, typer.Argument(metavar="WAVE", help="The wave that may begin.")],
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Let a wave begin, for the release that is rolled out now and for no other."""
    cluster = _cluster(kubeconfig)
    found = reading.world(cluster)
    chosen = reading.one(found, os)
    target = target_of(chosen)
    if chosen.spec is None or target is None:
        raise UserError(
            f"OS {os} has no release that could be approved: {chosen.problem or 'not resolved yet'}"
        )
    planned = steps(chosen.spec.rollout.waves, select(found).members[os])
    waiting = [step.name for step in planned if step.approval]
    if wave not in waiting:
        known = ", ".join(waiting) or "none of them does"
        raise UserError(f"wave {wave} of OS {os} needs no approval", hint=f"waves that do: {known}")
    # Approvals of other releases have had their day: only those of this one stay.
    kept = {one for one in chosen.approvals if one.partition("@")[2] == target}
    text = ",".join(sorted(kept | {f"{wave}@{target}"}))
    _patch(cluster, chosen, {"metadata": {"annotations": {APPROVE_ANNOTATION: text}}})
    print_result(
        {"os": os, "wave": wave, "target": target}, output, lambda: f"wave {wave} may begin, with {target}"
    )


@app.command()
def pause(os: Name = None, kubeconfig: Kubeconfig = None, output: OutputOption = Output.TEXT) -> None:
    """Begin nothing new; a node that has begun is finished."""
    _set_paused(os, True, kubeconfig, output)


@app.command()
def resume(os: Name = None, kubeconfig: Kubeconfig = None, output: OutputOption = Output.TEXT) -> None:
    """Go on after a pause."""
    _set_paused(os, False, kubeconfig, output)


@app.command()
def history(os: Name = None, kubeconfig: Kubeconfig = None, output: OutputOption = Output.TEXT) -> None:
    """List the last rollouts, newest first."""
    chosen = reading.one(reading.world(_cluster(kubeconfig)), os)
    told = [entry.wire() for entry in chosen.status.history]
    print_result(told, output, lambda: showing.history(chosen.name, chosen.status.history))


@app.command()
def rollback(
    os: Name = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="VERSION", help="Default: the last release that was completed before."),
    ] = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a release of the history the wanted one again, by its digest. Its settings stay as they are."""
    cluster = _cluster(kubeconfig)
    chosen = reading.one(reading.world(cluster), os)
    version, digest = _earlier(chosen, to)
    _patch(cluster, chosen, {"spec": {"release": {"version": version, "digest": digest}}})
    told = {"os": chosen.name, "version": version, "digest": digest}
    print_result(told, output, lambda: f"OS {chosen.name} wants release {version} ({digest}) again")


@app.command()
def top(
    once: Annotated[
        bool, typer.Option("--once", help="Print it once. So it is where no terminal is.")
    ] = False,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show all rollouts and Java caches as they change, until Ctrl-C."""
    from rich.console import Console
    from rich.live import Live

    from os_operator.plugin.top import screen
    from os_operator.plugin.watching import Watching

    console = Console(highlight=False)
    with Watching(_cluster(kubeconfig)) as watching:
        number, seen = watching.latest()
        if once or output is not Output.TEXT or not console.is_terminal:
            told = wire(seen, watching.unread)
            print_result(told, output, lambda: _printed(console, screen(seen, watching.unread)))
            return
        old = ""
        with contextlib.suppress(KeyboardInterrupt), Live(console=console, screen=True) as live:
            while True:
                room = _room(console, len(seen.rollouts))
                live.update(screen(seen, watching.unread, room, old), refresh=True)
                watching.after(number, EVERY)
                try:
                    (number, seen), old = watching.latest(), ""
                except (ClusterError, NetworkError) as error:
                    old = str(error)


@app.command()
def dashboard(
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Address to answer at.")
    ] = "127.0.0.1:8088",
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="Let in only who has the token in this file."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="What browsers call us beside our address; may be given again."),
    ] = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Serve a page with all rollouts and Java caches until Ctrl-C. It reads as you may and writes nothing."""
    from os_operator.plugin.dashboard import Doors, serve
    from os_operator.plugin.watching import Watching

    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _LAST_PORT:
        raise UserError(f"{listen} is no HOST:PORT", hint="such as 127.0.0.1:8088")
    doors = Doors(
        host.strip("[]"), int(port), _token(token_file), frozenset(one.lower() for one in name or ())
    )
    with Watching(_cluster(kubeconfig)) as watching:
        typer.echo(f"http://{listen}/ shows the cluster until Ctrl-C", err=True)
        serve(watching, doors)


def _token(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        token = path.read_text().strip()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    if len(token) < _LEAST_TOKEN or not token.isascii():
        raise UserError(
            f"{path} has no token of {_LEAST_TOKEN} characters", hint="openssl rand -hex 32 > FILE"
        )
    return token


def _printed(console: Console, what: RenderableType) -> str:
    with console.capture() as captured:
        console.print(what)
    return captured.get().rstrip()


def _room(console: Console, rollouts: int) -> int:
    """Nodes that each of so many rollouts may show on this terminal."""
    return max(1, (console.height - _OTHER_LINES) // max(1, rollouts) - _OTHER_LINES)


@app.command(name="support-bundle")
def support_bundle(
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="Default: warmroot-support-TIME.tar.gz, here."),
    ] = None,
    namespace: Annotated[
        list[str] | None,
        typer.Option("--namespace", "-n", help="Where our programs run; may be given several times."),
    ] = None,
    lines: Annotated[int, typer.Option(min=0, help="Lines of each container's log, at most.")] = bundle.LINES,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Collect what an issue report needs into one file. Secrets and passwords are left out."""
    path = file or Path(time.strftime("warmroot-support-%Y%m%dT%H%M%SZ.tar.gz", time.gmtime()))
    found = bundle.gather(
        _cluster(kubeconfig),
        namespace or bundle.NAMESPACES,
        lines,
        lambda what: typer.echo(f"reading {what}", err=True),
    )
    bundle.write(found, path)
    told = {"file": str(path), "files": sorted(found.files), "unread": found.unread}
    print_result(told, output, lambda: showing.bundle(path, found.files, found.unread))


def _earlier(os: OSView, version: str | None) -> tuple[str, str]:
    """The release to go back to.

    Raises:
        UserError: the history has none.
    """
    now = of_target(target_of(os) or "")[0]
    for entry in os.status.history:
        digest = of_target(entry.digest)[0]
        if digest != now and (
            entry.version == version or (version is None and entry.result == OSPhase.COMPLETE)
        ):
            return entry.version, digest
    known = ", ".join(dict.fromkeys(entry.version for entry in os.status.history)) or "none"
    what = f"release {version}" if version else "an earlier release that was completed"
    raise UserError(
        f"{what} is not in the history of OS {os.name}", hint=f"it has: {known}; or edit spec.release"
    )


def _set_paused(name: str | None, paused: bool, kubeconfig: str | None, output: Output) -> None:
    cluster = _cluster(kubeconfig)
    chosen = reading.one(reading.world(cluster), name)
    _patch(cluster, chosen, {"spec": {"rollout": {"paused": paused}}})
    said = "is paused: a node that has begun is finished" if paused else "goes on"
    print_result({"os": chosen.name, "paused": paused}, output, lambda: f"OS {chosen.name} {said}")


def _patch(cluster: Cluster, os: OSView, change: Object) -> None:
    """Writes what was decided on, and only if nobody wrote in between."""
    meta = {**change.get("metadata", {}), "resourceVersion": os.version}
    cluster.patch(OS, os.name, {**change, "metadata": meta})


def _status(os: OSView) -> dict[str, Any]:
    release = os.spec.release.version if os.spec else ""
    return {"os": os.name, "release": release, "problem": os.problem, **os.status.wire()}


def _read(path: Path) -> Object:
    """The one OS object in a file; `-` is standard input.

    Raises:
        UserError: it holds something else.
    """
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text()
        documents = [one for one in yaml.safe_load_all(text) if one]
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no YAML: {error}") from error
    found = [one for one in documents if isinstance(one, dict) and one.get("kind") == OS.kind]
    if len(found) != 1:
        raise UserError(f"{path} has {len(found)} OS objects", hint="name a file with exactly one")
    meta = found[0].get("metadata")
    if not isinstance(meta, dict) or not isinstance(meta.get("name"), str):
        raise UserError(f"the OS object in {path} has no metadata.name")
    if not isinstance(found[0].get("spec"), dict):
        raise UserError(f"the OS object in {path} has no spec")
    return found[0]


def _cluster(kubeconfig: str | None) -> RestCluster:
    return connect(KubernetesTransport, kubeconfig)


def main() -> None:
    """Entry point."""
    run(app, NAME)

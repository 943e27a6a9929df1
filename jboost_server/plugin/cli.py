"""The verbs of `kubectl warmroot java`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from jboost_server.core.injection.choose import Cache, cache_of
from jboost_server.plugin.why import CLIENT, Start, fetchers, why
from warmroot.api.javacache import JavaCacheStatus
from warmroot.cli import Output, OutputOption, add_version, print_result, run
from warmroot.errors import NotFound, UserError
from warmroot.kube.cluster import JAVA_CACHE, NAMESPACE, POD, RestCluster
from warmroot.kube.logs import tail
from warmroot.kube.transport import KubernetesTransport

NAME = "kubectl warmroot java"
_LAST_LINES = 20
app = typer.Typer(
    help="See how Java pods start.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
add_version(app)


@app.command(name="why")
def why_(
    pod: Annotated[str, typer.Argument(metavar="POD", help="The pod.")],
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Its namespace (default: that of the kubeconfig).")
    ] = None,
    kubeconfig: Annotated[
        str | None, typer.Option(help="kubeconfig file (default: KUBECONFIG, else ~/.kube/config).")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Say why a pod started warm, or not, and what you can do about it."""
    space = namespace or _namespace(kubeconfig)
    transport = KubernetesTransport(kubeconfig)
    cluster = RestCluster(transport)
    try:
        found = cluster.get(POD, pod, namespace=space)
    except NotFound as error:
        raise UserError(
            f"there is no pod {pod} in namespace {space}", hint=f"kubectl get pods -n {space}"
        ) from error
    labels = cluster.get(NAMESPACE, space)["metadata"].get("labels") or {}
    caches, statuses = _caches(cluster.list(JAVA_CACHE, namespace=space).items)
    said = {name: tail(transport, space, pod, name, _LAST_LINES) or "" for name in fetchers(found)}
    told = why(found, labels.get(CLIENT) == "true", caches, statuses, said)
    result = {"pod": pod, "namespace": space, "starts": [asdict(one) for one in told]}
    print_result(result, output, lambda: "\n".join(shown(f"{space}/{pod}", one) for one in told))


def shown(pod: str, told: Start) -> str:
    """One start as a person reads it."""
    which = f"{pod}, container {told.container}" if told.container else pod
    took = f" ({told.milliseconds} ms)" if told.milliseconds is not None else ""
    lines = [f"{which}: {told.outcome or told.reason}{took}", *(f"  - {link}" for link in told.chain)]
    return "\n".join([*lines, f"  next: {told.next}"])


def _caches(items: Sequence[Mapping[str, Any]]) -> tuple[list[Cache], dict[str, JavaCacheStatus]]:
    caches, statuses = [], {}
    for item in items:
        caches.append(cache_of(dict(item)))
        statuses[caches[-1].name] = JavaCacheStatus.model_validate(item.get("status") or {})
    return caches, statuses


def _namespace(kubeconfig: str | None) -> str:
    from kubernetes import config

    try:
        active = config.list_kube_config_contexts(kubeconfig)[1]  # type: ignore[no-untyped-call]
    except config.ConfigException:
        return "default"
    return str(active["context"].get("namespace") or "default")


def main() -> None:
    """Entry point."""
    run(app, NAME)

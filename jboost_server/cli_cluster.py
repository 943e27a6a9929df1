"""The verbs of `jboost` that belong to a cluster: the webhook, what it would do, the controller."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Shape(StrEnum):
    """How `inject` prints what it would do."""

    DIFF = "diff"
    YAML = "yaml"
    JSON = "json"


AgentImage = Annotated[
    str, typer.Option("--agent-image", metavar="IMAGE", help="Image that holds /agent.jar, and cp.")
]
AgentPull = Annotated[str, typer.Option("--agent-pull", metavar="POLICY", help="Pull policy of that image.")]
Service = Annotated[str, typer.Option("--server", metavar="URL", help="The cache service, as pods reach it.")]
ImageVolumes = Annotated[
    bool,
    typer.Option(
        "--image-volumes",
        help="Mount the agent's image as a volume in place of copying it (Kubernetes 1.35).",
    ),
]
KeysMap = Annotated[
    str,
    typer.Option(
        "--keys", metavar="CONFIGMAP", help="ConfigMap of each namespace with the service's public keys."
    ),
]
Room = Annotated[str, typer.Option("--room", metavar="BYTES", help="The most that a pod keeps of archives.")]
AgentJar = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The agent.jar that the controller puts into each namespace with a JavaCache, as a ConfigMap;"
        " webhook and controller are given the same. Without it, a container of each pod copies it.",
    ),
]
AGENT_IMAGE = "registry.example/warmroot/jboost-agent:0.1.0"
SERVER = "http://jboost.warmroot-jboost.svc:8780"


def inject(
    file: Annotated[
        str, typer.Option("--file", "-f", metavar="FILE", help="Manifests with pods in them; - is stdin.")
    ],
    cache: Annotated[
        list[Path] | None,
        typer.Option("--cache", metavar="FILE", help="JavaCaches, besides those in --file."),
    ] = None,
    output: Annotated[
        Shape,
        typer.Option("--output", "-o", help="What changes; the manifests; or the patches, as JSON."),
    ] = Shape.DIFF,
    agent_image: AgentImage = AGENT_IMAGE,
    agent_pull: AgentPull = "IfNotPresent",
    image_volumes: ImageVolumes = False,
    agent_jar: AgentJar = None,
    server: Service = SERVER,
    keys: KeysMap = "jboost-keys",
    room: Room = "1Gi",
) -> None:
    """Print what the webhook would add to these pods, or why it would leave them as they are.

    No cluster is asked. Pods of Deployments, StatefulSets, DaemonSets, Jobs and CronJobs are looked at, too.
    """
    from jboost_server import agent_jar as agents
    from jboost_server.core.injection.installation import Installation
    from jboost_server.webhook import dryrun

    agent = agents.read(agent_jar).name if agent_jar else ""
    installation = Installation(agent_image, server, agent_pull, image_volumes, keys, room, agent)
    documents = dryrun.read(file)
    caches = dryrun.caches_in([*documents, *(one for path in cache or () for one in dryrun.read(str(path)))])
    results = dryrun.tried(documents, caches, installation)
    shown = {Shape.DIFF: dryrun.as_diff, Shape.YAML: dryrun.as_yaml, Shape.JSON: dryrun.as_json}[output]
    for text in shown(results):
        typer.echo(text, nl=False)


def webhook(
    agent_image: AgentImage,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Address to answer at, over TLS.")
    ] = "0.0.0.0:8443",
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Host name or address by which the API server reaches us (default: that of the Service).",
        ),
    ] = None,
    namespace: Annotated[
        str, typer.Option(help="Namespace of the Secret jboost-webhook, where certificates are kept.")
    ] = "warmroot-jboost",
    configuration: Annotated[
        str, typer.Option(help="MutatingWebhookConfiguration whose caBundle is kept.")
    ] = "warmroot-jboost",
    agent_pull: AgentPull = "IfNotPresent",
    image_volumes: ImageVolumes = False,
    server: Service = SERVER,
    agent_jar: AgentJar = None,
    keys: KeysMap = "jboost-keys",
    room: Room = "1Gi",
) -> None:
    """Run the webhook that adds the agent to pods, until SIGTERM. It makes and renews its certificates."""
    from jboost_server import agent_jar as agents
    from jboost_server.core.injection.installation import Installation
    from jboost_server.webhook.keeping import Place
    from jboost_server.webhook.main import Options, serve

    names = tuple(name or [f"jboost-webhook.{namespace}.svc"])
    agent = agents.read(agent_jar).name if agent_jar else ""
    installation = Installation(agent_image, server, agent_pull, image_volumes, keys, room, agent)
    serve(Options(installation, Place(namespace, "jboost-webhook", configuration, names), listen))


def controller(
    agent_image: AgentImage,
    namespace: Annotated[
        str, typer.Option(help="Namespace of the Lease jboost-controller, under which one replica acts.")
    ] = "warmroot-jboost",
    identity: Annotated[
        str | None, typer.Option(help="Our name in the Lease (default: host name and a random part).")
    ] = None,
    token: Annotated[
        Path, typer.Option(metavar="FILE", help="Token of audience control.jboost.warmroot.io.")
    ] = Path("/var/run/jboost/token"),
    builders: Annotated[
        int, typer.Option(metavar="N", min=0, help="Builders that run at one time in the whole cluster.")
    ] = 4,
    builder_room: Annotated[
        str, typer.Option(metavar="BYTES", help="The most disk that a builder takes.")
    ] = "2Gi",
    poll: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="How often the cache service is asked.")
    ] = 15.0,
    metrics: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where Prometheus reads figures.")
    ] = "0.0.0.0:9090",
    agent_pull: AgentPull = "IfNotPresent",
    image_volumes: ImageVolumes = False,
    agent_jar: AgentJar = None,
    server: Service = SERVER,
) -> None:
    """Run the controller of JavaCaches until SIGTERM: it has archives built, and says how far they are."""
    from jboost_server import agent_jar as agents
    from jboost_server.controller.main import Options, serve
    from jboost_server.core.injection.installation import Installation

    agent = agents.read(agent_jar) if agent_jar else None
    name = agent.name if agent else ""
    installation = Installation(
        agent_image, server, agent_pull, image_volumes, room=builder_room, agent_map=name
    )
    serve(Options(installation, namespace, identity, token, builders, poll, metrics, agent))

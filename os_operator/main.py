"""The operator's process: one elected writer, a thread of passes, informers; kopf for probes and wake-ups."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, start_http_server

from os_operator.shell.act import Actor
from os_operator.shell.alertmanager import Alertmanagers, Silences
from os_operator.shell.cache import Cache
from os_operator.shell.checks import Asking, Checks
from os_operator.shell.framework import Framework, registry
from os_operator.shell.gather import KINDS, Gather
from os_operator.shell.loop import Engine
from os_operator.shell.metrics import Metrics
from os_operator.shell.requests import CountedTransport
from os_operator.shell.resolve import Ask, Resolver, trusted_index
from warmroot.errors import UserError
from warmroot.kube.cluster import connect
from warmroot.kube.informer import Informer
from warmroot.kube.lease import Lease, Terms
from warmroot.kube.passes import LONGEST, Loop
from warmroot.kube.transport import KubernetesTransport

if TYPE_CHECKING:
    from os_operator.shell.tracing import Traces

log = logging.getLogger("os_operator")


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    return parser().parse_args(argv)


def parser() -> argparse.ArgumentParser:
    """What the command line may be."""
    made = argparse.ArgumentParser(prog="warmroot-operator", description=__doc__)
    add = made.add_argument
    add("--kubeconfig", help="kubeconfig file (default: KUBECONFIG, else the pod's service account)")
    add("--namespace", default="warmroot-system", help="where the Lease is")
    add("--lease-name", default="warmroot-operator", help="name of the Lease")
    add("--lease-seconds", type=float, default=15.0, help="how long a Lease without renewal keeps others out")
    add(
        "--identity",
        help="our name in the Lease (default: host name and a random part). With a fixed name a process"
        " that starts again goes on at once; then never two may run under it",
    )
    add("--trusted-root", type=Path, help="root.json whose keys vouch for releases without a pinned digest")
    add("--state-dir", type=Path, help="where the indexes' metadata is kept (default: a temporary folder)")
    add("--metrics-port", type=int, default=0, help="serve Prometheus metrics on this port (0: don't)")
    add("--liveness", help="serve the probe at this address, such as http://0.0.0.0:8080/healthz")
    add("--bind", default="127.0.0.1", help="address that metrics are served on")
    add("--traces", help="send traces here by OTLP, such as http://collector:4318/v1/traces")
    add("--log-format", choices=("text", "json"), default="text")
    return made


_OF_A_LINE = ("action", "object", "rollout")


class JsonLines(logging.Formatter):
    """One JSON object a line; those of one rollout have the same `rollout`, as those of its proxies have."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line; `action` and `object` stand for themselves where a record has them."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: found for key in _OF_A_LINE if (found := record.__dict__.get(key))}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class TextLines(logging.Formatter):
    """The same for a person."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line or more."""
        rollout = record.__dict__.get("rollout")
        return super().format(record) + (f" rollout={rollout}" if rollout else "")


def _logging(style: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if style == "json" else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("kopf").setLevel(logging.WARNING)


def _traces(endpoint: str | None) -> Traces | None:
    """Where they are wanted; else what sends them costs no memory."""
    if endpoint is None:
        return None
    if not endpoint.startswith(("http://", "https://")):
        raise UserError(f"--traces {endpoint} is no address", hint="such as http://collector:4318/v1/traces")
    from os_operator.shell import tracing

    return tracing.otlp(endpoint)


class Process:
    """All parts, wired; `run` ends when `stop` is called or a part dies."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self._chosen = chosen
        self.stopped = threading.Event()
        self._failed = False
        self._registry = CollectorRegistry()
        metrics = Metrics(self._registry)
        cluster = connect(
            lambda kubeconfig: CountedTransport(KubernetesTransport(kubeconfig), metrics.request),
            chosen.kubeconfig,
        )
        identity = chosen.identity or f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
        length = chosen.lease_seconds
        self._lease = Lease(
            cluster,
            chosen.namespace,
            chosen.lease_name,
            identity,
            monotonic=time.monotonic,
            wall=time.time,
            terms=Terms(length, length * 2 / 3, length / 5),
        )
        cache = Cache()
        self._resolver = Resolver(_ask(chosen), self._wake)
        gather = Gather(cluster, cache, self._resolver)
        actor = Actor(cluster, cache, self._lease.held, identity)
        self._checks = Checks(lambda: Asking(cluster, chosen.namespace), self._wake, self._lease.held)
        self._silences = Silences(
            lambda: Alertmanagers(cluster, chosen.namespace), self._lease.held, metrics.silence
        )
        self._traces = _traces(chosen.traces)
        engine = Engine(gather, actor, metrics, self._checks, self._silences, self._traces)
        self._loop = Loop(engine, self._lease.held)
        kubeconfig = chosen.kubeconfig or os.environ.get("KUBECONFIG")
        self._framework = Framework(registry(self._wake, self._probe, kubeconfig), chosen.liveness)
        self._informers = [Informer(cluster, kind, cache.of(kind), self._wake) for kind in KINDS]

    def _wake(self) -> None:
        self._loop.wake()

    def stop(self) -> None:
        """Ends the process in good order."""
        self.stopped.set()
        self._loop.stop()
        self._framework.stop()

    def run(self) -> int:
        """Runs until stopped; the exit code."""
        threads = [
            threading.Thread(target=self._guard, args=(what,), name=name, daemon=True)
            for name, what in (
                ("lease", self._renew),
                ("passes", self._passes),
                *((f"watch-{informer.kind.plural}", informer.run) for informer in self._informers),
            )
        ]
        if self._chosen.metrics_port:
            start_http_server(self._chosen.metrics_port, self._chosen.bind, registry=self._registry)
        for thread in threads:
            thread.start()
        try:
            self._framework.run()
        finally:
            self.stop()
            threads[1].join(timeout=30)
            self._lease.release()
            self._resolver.close()
            self._checks.close()
            self._silences.close()
            if self._traces is not None:
                self._traces.close()
            for informer in self._informers:
                informer.stop()
        return 1 if self._failed else 0

    def _guard(self, what: Any) -> None:
        """A thread that dies takes the process with it: half an operator is worse than none."""
        try:
            what()
        except Exception:
            log.exception("the operator ends: please report this with the log around it")
            self._failed = True
            self.stop()

    def _renew(self) -> None:
        leading = False  # as it was told: a process that was frozen finds out late
        while not self.stopped.is_set():
            before, leading = leading, self._lease.attempt()
            if leading and not before:
                log.info("leading as %s", self._lease.identity)
                self._wake()
            elif before and not leading:
                log.warning("the Lease is lost; nothing is written any more")
            self.stopped.wait(self._lease.terms.every)

    def _passes(self) -> None:
        for informer in self._informers:
            while not informer.synced.wait(0.2):
                if self.stopped.is_set():
                    return
        self._loop.run()

    def _probe(self) -> dict[str, Any]:
        """Kopf answers 500 when a probe raises: the passes have stood still for too long."""
        quiet = self._loop.quiet
        if quiet > 10 * LONGEST:
            raise RuntimeError(f"no pass for {quiet:.0f} s")
        return {"leading": self._lease.held(), "secondsSinceLastPass": round(quiet, 1)}


def _ask(chosen: argparse.Namespace) -> Ask | None:
    if chosen.trusted_root is None:
        return None
    try:
        root = chosen.trusted_root.read_bytes()
    except OSError as error:
        raise UserError(f"{chosen.trusted_root}: {error}", hint="name a readable root.json") from error
    store = chosen.state_dir or Path(tempfile.mkdtemp(prefix="warmroot-operator-"))
    return trusted_index(root, store)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point. SIGTERM and SIGINT end it in good order and give the Lease back."""
    chosen = arguments(argv)
    _logging(chosen.log_format)
    try:
        process = Process(chosen)
    except UserError as error:
        sys.exit(f"warmroot-operator: {error}")
    for ending in (signal.SIGTERM, signal.SIGINT):  # until the framework's handlers are in place
        signal.signal(ending, lambda *_: process.stop())
    sys.exit(process.run())


if __name__ == "__main__":
    main()

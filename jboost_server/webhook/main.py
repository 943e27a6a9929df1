"""Runs the webhook: certificates first, then it listens; both are looked after while it serves."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from jboost_server.core.injection.installation import Installation
from jboost_server.web.listening import config, listening
from jboost_server.web.process import Server, log_json
from jboost_server.webhook.app import Metrics, create_app
from jboost_server.webhook.certificates import Bundle, Terms
from jboost_server.webhook.keeping import Keeper, Place
from jboost_server.webhook.watching import of_namespace, parsed
from warmroot.errors import ClusterError, NetworkError
from warmroot.kube.cluster import JAVA_CACHE, connect
from warmroot.kube.informer import Informer
from warmroot.kube.inmemory import InMemory
from warmroot.kube.transport import RequestsTransport
from warmroot.kube.watched import Watched

GRACE = 5
"""Seconds that reviews under way have to end after SIGTERM."""
PAUSE = 1.0
"""Seconds until it is tried again, after the API server was not reached or refused."""
log = logging.getLogger("jboost_server.webhook")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Options:
    """What the operator chose. `listen` is `host:port`; each `look` seconds the Secret is looked at."""

    installation: Installation
    place: Place
    listen: str = "0.0.0.0:8443"
    look: float = 60.0
    terms: Terms = field(default_factory=Terms)
    clock: Callable[[], datetime] = _now


class Shown:
    """The certificate that new connections see. It is replaced while the server runs.

    `context` is what the server listens with, and holds no certificate: a certificate and its key are loaded
    one after the other, and who connects between the two is refused. So each certificate gets a context of
    its own that is whole before the first connection sees it.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.context = _context()
        self.context.sni_callback = self._choose
        self._current = self.context
        self._metrics = metrics
        self._bundle: Bundle | None = None

    def show(self, bundle: Bundle) -> None:
        """From now on this one."""
        if bundle == self._bundle:
            return
        whole, both = _context(), InMemory(bundle.certificate + bundle.key)
        whole.load_cert_chain(both.path)
        both.close()
        self._current = whole
        self._metrics.ends.set(bundle.ends.timestamp())
        self._bundle = bundle

    def _choose(self, one: ssl.SSLObject, name: str | None, listening_with: ssl.SSLContext) -> None:
        """Called within each handshake, before a certificate is shown, with a name or without one."""
        del name, listening_with
        one.context = self._current


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def serve(options: Options) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        UserError: options that can't be, an address that can't be listened on, no way to the API server.
    """
    log_json()
    keeper = Keeper(connect(RequestsTransport), options.place, options.clock, options.terms)
    seen, metrics = Watched(parsed), Metrics()
    informer = Informer(connect(RequestsTransport), JAVA_CACHE, seen, lambda: None)
    caches = partial(of_namespace, seen)
    app = create_app(caches, options.installation, metrics, lambda: _unready(informer, keeper))
    with listening(options.listen) as listener:
        shown = Shown(metrics)
        while not _look(keeper, shown):
            time.sleep(PAUSE)
        _beside(lambda: _look_after(keeper, shown, options.look))
        _beside(informer.run)
        served = config(app, grace=GRACE)
        served.load()
        served.ssl = shown.context  # its certificate changes: uvicorn would read files once
        host, port = listener.getsockname()[:2]
        log.info("listening", extra={"address": f"{host}:{port}"})
        Server(served).run(sockets=[listener])
    log.info("ended")


def _beside(work: Callable[[], None]) -> None:
    """Does it again and again in a thread of its own, whatever comes of it."""

    def forever() -> None:
        while True:
            try:
                work()
            except Exception:  # an entry point: certificates and caches are looked after until the end
                log.exception("our own mistake, please report it")
                time.sleep(PAUSE)

    threading.Thread(target=forever, daemon=True).start()


def _look_after(keeper: Keeper, shown: Shown, every: float) -> None:
    time.sleep(every)
    _look(keeper, shown)


def _look(keeper: Keeper, shown: Shown) -> bool:
    """Whether there is something to show."""
    try:
        shown.show(keeper.keep())
    except (ClusterError, NetworkError) as error:
        log.warning("certificates can't be looked after", extra={"why": str(error)})
        return False
    return True


def _unready(informer: Informer, keeper: Keeper) -> str:
    if not keeper.told:
        return "the API server does not know our certificate"
    return "" if informer.synced.is_set() else "JavaCaches were not read yet"

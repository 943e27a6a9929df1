"""The certificates of all replicas: in one Secret, and in what the API server was told to believe."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from jboost_server.webhook.certificates import Bundle, Terms, renewed
from warmroot.errors import AlreadyExists, Conflict, NotFound
from warmroot.kube.account import owned_in
from warmroot.kube.cluster import SECRET, Cluster, Kind, Object

CONFIGURATION = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    namespaced=False,
)
_ATTEMPTS = 10
"""Times that a write is tried when other replicas write as well."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where things are: the Secret, the webhook's configuration, and the names by which it is reached."""

    namespace: str
    secret: str
    configuration: str
    names: tuple[str, ...]


class Keeper:
    """Keeps Secret and configuration right, whenever `keep` is called; any number of replicas may."""

    def __init__(
        self, cluster: Cluster, place: Place, clock: Callable[[], datetime], terms: Terms | None = None
    ) -> None:
        self._cluster = cluster
        self._place = place
        self._clock = clock
        self._terms = terms or Terms()
        self._last: Bundle | None = None
        self.told = False
        """Whether the API server was last seen to believe what we show."""

    def keep(self) -> Bundle:
        """What to show from now on. The API server believes it already, if the configuration is there.

        Raises:
            Conflict: others write all the time.
            ClusterError, NetworkError: Secret or configuration can't be read or written; what was shown
                before stays good.
        """
        bundle = self._agree()
        self.told = self._tell(bundle)
        self._last = bundle
        return bundle

    def _agree(self) -> Bundle:
        """What is in the Secret, renewed. If it was deleted, what we had is put there again."""
        for _ in range(_ATTEMPTS):
            found = self._secret()
            held = _bundle(found) if found else None
            bundle = renewed(held or self._last, self._place.names, self._clock(), self._terms)
            if bundle == held:
                return bundle
            try:
                self._write(found, bundle)
            except (AlreadyExists, Conflict):
                continue
            log.info("certificates were made", extra={"until": bundle.ends.isoformat()})
            return bundle
        raise Conflict(f"the Secret {self._place.secret} is written by others all the time", status=409)

    def _secret(self) -> Object | None:
        try:
            return self._cluster.get(SECRET, self._place.secret, namespace=self._place.namespace)
        except NotFound:
            return None

    def _write(self, found: Object | None, bundle: Bundle) -> None:
        data = {name: base64.b64encode(file).decode() for name, file in bundle.files().items()}
        if found is not None:
            self._cluster.replace(SECRET, {**found, "data": data})
            return
        self._cluster.create(
            SECRET,
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": self._place.secret,
                    "namespace": self._place.namespace,
                    **owned_in(self._place.namespace),
                },
                "type": "kubernetes.io/tls",
                "data": data,
            },
        )

    def _tell(self, bundle: Bundle) -> bool:
        """Puts the authorities into the configuration. Whether it is there."""
        known = base64.b64encode(bundle.known).decode()
        for _ in range(_ATTEMPTS):
            try:
                found = self._cluster.get(CONFIGURATION, self._place.configuration)
            except NotFound:
                log.warning("the API server does not ask us", extra={"missing": self._place.configuration})
                return False
            if all(hook["clientConfig"].get("caBundle") == known for hook in found.get("webhooks") or ()):
                return True
            try:
                self._cluster.replace(CONFIGURATION, {**found, "webhooks": _told(found["webhooks"], known)})
            except Conflict:
                continue
            return True
        raise Conflict(f"{self._place.configuration} is written by others all the time", status=409)


def _told(webhooks: Sequence[Object], known: str) -> list[Object]:
    return [{**hook, "clientConfig": {**hook["clientConfig"], "caBundle": known}} for hook in webhooks]


def _bundle(secret: Object) -> Bundle | None:
    """What a Secret holds; one that somebody else filled counts as empty."""
    try:
        files = {
            name: base64.b64decode(value, validate=True) for name, value in (secret.get("data") or {}).items()
        }
        return Bundle.of(files)
    except (ValueError, binascii.Error) as error:
        log.warning("the Secret does not hold our certificates", extra={"why": str(error)})
        return None

"""Who asks: the tenant whose objects a request may touch, and the pod that it came from.

No request names its tenant. With Kubernetes it follows from the projected token, which the API server
reviews; without, there is one tenant, and whoever reaches the address or knows the shared token is it.

An archive is code that runs in every pod of its group. So the token of a pod that serves strangers' requests
is not enough to bring one: builders show a token of an audience of their own, which only builders are given.
And a token that was projected for one group, as the webhook does, is good for no other of its namespace.

Whoever makes pods may project a token of any audience. So the one who may look at all tenants is known by the
account's name as well, and may look and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from warmroot.errors import (
    ClusterError,
    Forbidden,
    NetworkError,
    NotBuilder,
    NoToken,
    Unbound,
    UserError,
    WrongGroup,
    WrongToken,
)
from warmroot.kube.cluster import Cluster, Kind, Object

AUDIENCE = "jboost.warmroot.io"
BUILD_AUDIENCE = "build.jboost.warmroot.io"
"""Of tokens whose holder may take build orders, besides all that a pod may."""
CONTROL_AUDIENCE = "control.jboost.warmroot.io"
"""Of the controller's token: its holder sees how far every tenant's keys are."""
LOCAL = "local"
SHORTEST = 16
"""Characters of a shared token."""
MAX_TOKEN = 16 * 1024
"""Characters of a token; those of an API server have about one thousand."""
_REVIEW = Kind("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"
_ACCOUNT = "system:serviceaccount:"
_AUDIENCES = (AUDIENCE, BUILD_AUDIENCE, CONTROL_AUDIENCE)
_OF_PODS = (AUDIENCE, BUILD_AUDIENCE)
"""Those that may name a group behind a slash."""
_NAMED, _MAX_NAMED = 4, 512
"""Audiences of a token that are asked about besides, and characters of one."""


@dataclass(frozen=True)
class Identity:
    """The tenant, what tells its pods apart, whether this one may bring archives, or look at all tenants.

    `group` is the only one that it may touch; empty: any of the tenant's.
    """

    tenant: str
    pod: str
    builder: bool
    controller: bool = False
    group: str = ""

    def must_be_of(self, group: str) -> None:
        """Raises WrongGroup unless this one may touch this group of its tenant."""
        if self.group and group != self.group:
            raise WrongGroup("this token is for another group of its namespace")

    def must_build(self) -> None:
        """Raises NotBuilder unless this one may bring archives."""
        if not self.builder:
            raise NotBuilder("this token is a pod's; orders, and what is built of them, are for builders")

    def must_control(self) -> None:
        """Raises WrongToken unless this one may look at all tenants."""
        if not self.controller:
            raise WrongToken(
                "this token is not the controller's", hint="give its account to `jboost serve --controller`"
            )


class Tenants(Protocol):
    """Says who asks."""

    def known(self, authorization: str) -> Identity | None:
        """The same as `identify` if that needs no waiting, else None."""

    def identify(self, authorization: str) -> Identity:
        """Who asks, by the header `Authorization` (empty if there is none). May wait for the API server.

        Raises:
            AccessError: it is not known.
            NetworkError, ClusterError: the API server does not say.
        """


class Local:
    """One tenant, `local`. Every request counts as a pod of its own: a start is all that a laptop has."""

    def __init__(self, token: str | None = None) -> None:
        """With a `token`, whoever asks has to know it; an empty one is known to nobody."""
        self._token = None if token is None else token.encode()

    def known(self, authorization: str) -> Identity | None:
        """As the port says."""
        return self.identify(authorization)

    def identify(self, authorization: str) -> Identity:
        """As the port says."""
        if self._token is not None and not hmac.compare_digest(_bearer(authorization).encode(), self._token):
            raise WrongToken(
                "this is not the shared token", hint="use that in `token` of the service's --home"
            )
        return Identity(LOCAL, secrets.token_hex(8), builder=True)


def shared_token(path: Path) -> str:
    """The token in a file, which whoever asks has to know.

    Raises:
        UserError: it can't be read, or anybody could guess what is in it.
    """
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the shared token {path} can't be read: {error}", hint="check the file and its rights"
        ) from error
    if len(token) < SHORTEST:
        raise UserError(
            f"{path} holds no token of {SHORTEST} characters or more",
            hint=f"make one with `openssl rand -hex 32 > {path}`, and give it to whoever may ask",
        )
    return token


class TokenReview:
    """Tenants of a Kubernetes cluster: a namespace is one.

    A token that was confirmed is believed for `fresh` seconds of the clock `monotonic`, so a pod that is
    deleted may go on to read its own namespace's archives for as long. Refusals are asked anew each time.
    `controller` is the service account, `namespace:name`, that may look at all tenants; empty: nobody.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        monotonic: Callable[[], float],
        fresh: float = 30.0,
        remembered: int = 10_000,
        controller: str = "",
    ) -> None:
        self._cluster = cluster
        self._monotonic = monotonic
        self._fresh = fresh
        self._remembered = remembered
        self._controller = controller
        self._lock = threading.Lock()
        self._seen: OrderedDict[bytes, tuple[float, Identity]] = OrderedDict()

    def known(self, authorization: str) -> Identity | None:
        """As the port says."""
        name = hashlib.sha256(_bearer(authorization).encode()).digest()
        with self._lock:
            seen = self._seen.get(name)
        return seen[1] if seen and self._monotonic() - seen[0] < self._fresh else None

    def identify(self, authorization: str) -> Identity:
        """As the port says."""
        if (identity := self.known(authorization)) is not None:
            return identity
        token = _bearer(authorization)
        identity = _identity(self._review(token), self._controller)
        name = hashlib.sha256(token.encode()).digest()
        with self._lock:
            self._seen[name] = (self._monotonic(), identity)
            self._seen.move_to_end(name)
            while len(self._seen) > self._remembered:
                self._seen.popitem(last=False)
        return identity

    def _review(self, token: str) -> Object:
        body = {
            "apiVersion": _REVIEW.api_version,
            "kind": _REVIEW.kind,
            "spec": {"token": token, "audiences": [*_AUDIENCES, *_named(token)]},
        }
        try:
            return self._cluster.create(_REVIEW, body)
        except Forbidden as error:
            raise ClusterError(
                f"the cache service may not review tokens: {error.message}",
                status=error.status,
                hint="give its service account the cluster role system:auth-delegator",
            ) from error
        except NetworkError as error:
            raise NetworkError(f"the API server does not review the token: {error.message}") from error


def _identity(review: Object, controller: str) -> Identity:
    status = review.get("status") or {}
    if not status.get("authenticated"):
        raise WrongToken(
            f"the API server does not confirm this token: {status.get('error') or 'no reason given'}"
        )
    audiences = {one for one in status.get("audiences") or () if one in _AUDIENCES or _group_in(one)}
    user = status.get("user") or {}
    name, extra = str(user.get("username", "")), user.get("extra") or {}
    namespace, _, account = name.removeprefix(_ACCOUNT).partition(":")
    controls = CONTROL_AUDIENCE in audiences and name == _ACCOUNT + controller
    if not controls and not audiences - {CONTROL_AUDIENCE}:
        raise WrongToken(f"this token is not for {AUDIENCE}")
    if not name.startswith(_ACCOUNT) or not namespace or not account:
        raise WrongToken("this token is of no service account")
    builds = any(one.partition("/")[0] == BUILD_AUDIENCE for one in audiences)
    match extra.get(_POD_UID), extra.get(_POD_NAME):
        case [[str(uid)], [str()]] if uid:
            return Identity(namespace, uid, builder=builds, controller=controls, group=_group(audiences))
    raise Unbound("this token is bound to no pod")


def _group(audiences: set[str]) -> str:
    """The group that a token is for; empty if it is for all of its namespace. Any group in it narrows it."""
    groups = {group for one in audiences if (group := _group_in(one))}
    if len(groups) > 1:
        raise WrongToken("this token is for several groups", hint="project one for each group")
    return groups.pop() if groups else ""


def _group_in(audience: str) -> str:
    base, _, group = audience.partition("/")
    return group if base in _OF_PODS else ""


def _named(token: str) -> list[str]:
    """Audiences with a group that a token says it has: worth asking about, and believed after the review.

    The API server confirms only audiences that it is asked about, so they have to be known before.
    """
    try:
        body = token.split(".")[1]
        said = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["aud"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return []
    words = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    found = (one for one in words if isinstance(one, str) and len(one) <= _MAX_NAMED and _group_in(one))
    return sorted(found)[:_NAMED]


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise NoToken("no token was sent")
    if len(token) > MAX_TOKEN:
        raise WrongToken(f"a token of more than {MAX_TOKEN} characters")
    return token

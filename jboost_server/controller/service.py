"""The cache service as the controller asks it: how far the keys of a group are. And it hears who died."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import requests

from jboost_server.core.control import parse
from jboost_server.core.control.fallen import Fallen
from jboost_server.core.control.world import Key, Name
from jboost_server.core.outcome import Outcome
from warmroot.errors import NetworkError

TIMEOUT = (3.05, 10.0)
"""Seconds for a connection, and for an answer."""
_SHOWN = 200


class Service(Protocol):
    """Says how far a group is, and hears of JVMs that died."""

    def keys(self, name: Name) -> tuple[Key, ...]:
        """The keys of a cache.

        Raises:
            NetworkError: there is no answer, or none that can be read; its message is for people.
        """

    def accuse(self, name: Name, fallen: Fallen) -> None:
        """A JVM of this cache died of its archive. Told again, it counts once.

        Raises:
            NetworkError: there is no answer, or another one than that it was heard.
        """


class HttpService:
    """The service at `url`. The token in the file is read anew for each request: the kubelet renews it."""

    def __init__(self, url: str, token: Path) -> None:
        self._url, self._token = url.rstrip("/"), token
        self._session = requests.Session()
        self._session.trust_env = False

    def keys(self, name: Name) -> tuple[Key, ...]:
        """As the port says.

        Raises:
            NetworkError: there is no answer, or none that can be read.
        """
        answer = self._ask("GET", name, "", 200)
        try:
            return parse.keys(answer.json())
        except ValueError as error:
            raise NetworkError(f"the cache service answers what can't be read: {error}") from error

    def accuse(self, name: Name, fallen: Fallen) -> None:
        """As the port says.

        Raises:
            NetworkError: there is no answer, or another one than that it was heard.
        """
        told = {"key": fallen.key, "archive": fallen.archive, "pod": fallen.witness}
        self._ask("POST", name, "/outcomes", 204, told | {"outcome": Outcome.CRASH.value, "why": fallen.why})

    def _ask(
        self, method: str, name: Name, path: str, wanted: int, body: dict[str, str] | None = None
    ) -> requests.Response:
        namespace, group = name
        try:
            answer = self._session.request(
                method,
                f"{self._url}/v1/tenants/{namespace}/groups/{group}{path}",
                headers={"Authorization": f"Bearer {self._token.read_text().strip()}"},
                json=body,
                timeout=TIMEOUT,
                allow_redirects=False,
            )
        except OSError as error:  # requests' own errors are of this kind, and so is a token that isn't there
            raise NetworkError(f"the cache service does not answer: {_why(error)}") from error
        if answer.status_code != wanted:
            raise NetworkError(f"the cache service answers {answer.status_code}: {answer.text[:_SHOWN]}")
        return answer


def _why(error: OSError) -> str:
    """Without addresses of memory and ports, which would make another status of each attempt."""
    if isinstance(error, requests.Timeout):
        return "it takes too long"
    if isinstance(error, requests.RequestException):
        return "no connection"
    return error.strerror or type(error).__name__

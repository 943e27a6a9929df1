"""How a request reaches the API server. One port, two adapters."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from warmroot.errors import NetworkError, UserError
from warmroot.kube.inmemory import InMemory

if TYPE_CHECKING:
    import requests

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Response:
    """Status code and whole body. `retry_after`: seconds that the server asks for, 0 where it does not."""

    status: int
    body: bytes
    retry_after: float = 0.0


class Transport(Protocol):
    """Sends one request. Does not judge the status code."""

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: float = 30.0,
    ) -> Response:
        """The whole answer; `timeout` in seconds.

        Raises:
            NetworkError: nothing, or nothing whole, came back in time.
        """

    def stream(
        self, path: str, *, query: Mapping[str, str], timeout: float
    ) -> AbstractContextManager[tuple[int, Iterator[bytes]]]:
        """A GET: its status code, and its lines as they come; silence of `timeout` seconds ends it.

        Raises:
            NetworkError: the connection broke, or was silent for too long.
        """


class RequestsTransport:
    """Over `requests`. Reads a kubeconfig (certificate or token) or the pod's service account.

    A token file is read again for every request: kubelets renew it in place.
    """

    def __init__(self, kubeconfig: str | None = None) -> None:
        import requests

        self._session: requests.Session = requests.Session()
        self._session.auth = _no_further_authentication
        # Given with every request: a session-wide `verify` loses against REQUESTS_CA_BUNDLE.
        self._verify: str | bool = True
        self._token_file: Path | None = None
        self._files: list[InMemory] = []
        path = kubeconfig or os.environ.get("KUBECONFIG")
        if path:
            self._load_kubeconfig(Path(path))
        elif (SERVICE_ACCOUNT / "token").exists():
            host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
            self.server = f"https://{host}:{port}"
            self._token_file = SERVICE_ACCOUNT / "token"
            self._verify = str(SERVICE_ACCOUNT / "ca.crt")
        else:
            raise UserError("no way to the API server", hint="set KUBECONFIG or run inside a pod")

    def _load_kubeconfig(self, path: Path) -> None:
        from warmroot.kube.kubeconfig import load

        config = load(path)
        self.server = config.server
        self._verify = self._file(config.ca) if config.ca else True
        if config.client_cert and config.client_key:
            self._session.cert = (self._file(config.client_cert), self._file(config.client_key))
        if config.token:
            self._session.headers["Authorization"] = f"Bearer {config.token}"
        self._token_file = config.token_file

    def _file(self, data: bytes) -> str:
        self._files.append(InMemory(data))
        return self._files[-1].path

    def _headers(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        return {"Authorization": f"Bearer {self._token_file.read_text().strip()}"}

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: float = 30.0,
    ) -> Response:
        """See `Transport.request`."""
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        try:
            headers |= self._headers()
            answer = self._session.request(
                method,
                self.server + path,
                params=query,
                data=body,
                headers=headers,
                timeout=timeout,
                verify=self._verify,
            )
        except OSError as error:  # a RequestException, or a certificate or token file that is gone
            raise NetworkError(f"{method} {path}: {error}") from error
        return Response(answer.status_code, answer.content, _retry_after(answer.headers))

    @contextmanager
    def stream(
        self, path: str, *, query: Mapping[str, str], timeout: float
    ) -> Iterator[tuple[int, Iterator[bytes]]]:
        """See `Transport.stream`."""
        from urllib3.exceptions import HTTPError

        try:
            with self._session.get(
                self.server + path,
                params=query,
                headers=self._headers(),
                stream=True,
                timeout=timeout,
                verify=self._verify,
            ) as answer:
                yield answer.status_code, _lines(answer.raw)
        except (OSError, HTTPError) as error:
            raise NetworkError(f"watch {path}: {error}") from error

    def close(self) -> None:
        """Ends all connections."""
        self._session.close()
        for handle in self._files:
            handle.close()


def _no_further_authentication(request: Any) -> Any:
    """Without any `auth`, requests takes a user's password from ~/.netrc and puts it in our token's place."""
    return request


class KubernetesTransport:
    """Over the `kubernetes` client, for its kubeconfig loading (exec plug-ins, OIDC, token refresh).

    Bodies are passed as bytes: no client model object is built (rollout.md, Size).
    """

    def __init__(self, kubeconfig: str | None = None) -> None:
        from kubernetes import client, config

        configuration = client.Configuration()
        try:
            if kubeconfig or os.environ.get("KUBECONFIG") or not (SERVICE_ACCOUNT / "token").exists():
                config.load_kube_config(  # type: ignore[no-untyped-call]
                    kubeconfig, client_configuration=configuration
                )
            else:
                config.load_incluster_config(  # type: ignore[no-untyped-call]
                    client_configuration=configuration
                )
        except config.ConfigException as error:
            raise UserError(f"no way to the API server: {error}", hint="set KUBECONFIG") from error
        configuration.connection_pool_maxsize = 32
        self._api: Any = client.ApiClient(configuration)
        self.server: str = configuration.host

    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: bytes | None,
        content_type: str,
        timeout: float,
    ) -> Any:
        from urllib.parse import urlencode

        from urllib3.exceptions import HTTPError

        headers: dict[str, str] = {
            "Content-Type": content_type,
            "Accept": "application/json",
            "User-Agent": "warmroot",
        }
        self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
        url = self.server + path + (f"?{urlencode(query)}" if query else "")
        pool = self._api.rest_client.pool_manager
        try:
            return pool.request(
                method, url, body=body, headers=headers, timeout=timeout, preload_content=False, retries=False
            )
        except HTTPError as error:
            raise NetworkError(f"{method} {path}: {error}") from error

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: float = 30.0,
    ) -> Response:
        """See `Transport.request`."""
        from urllib3.exceptions import HTTPError

        answer = self._open(method, path, query, body, content_type, timeout)
        try:
            return Response(answer.status, answer.read(), _retry_after(answer.headers))
        except HTTPError as error:
            raise NetworkError(f"{method} {path}: {error}") from error
        finally:
            answer.release_conn()

    @contextmanager
    def stream(
        self, path: str, *, query: Mapping[str, str], timeout: float
    ) -> Iterator[tuple[int, Iterator[bytes]]]:
        """See `Transport.stream`."""
        from urllib3.exceptions import HTTPError

        answer = self._open("GET", path, query, None, "application/json", timeout)
        try:
            yield answer.status, _lines(answer)
        except HTTPError as error:
            raise NetworkError(f"watch {path}: {error}") from error
        finally:
            answer.close()
            answer.release_conn()

    def close(self) -> None:
        """Ends all connections."""
        self._api.rest_client.pool_manager.clear()


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds. The API server writes no dates there; a proxy's date is taken for nothing."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdecimal() and len(text) < 6 else 0.0


def _lines(answer: Any) -> Iterator[bytes]:
    """Lines of a urllib3 response, each as soon as it is there."""
    pending = b""
    while chunk := answer.read1(decode_content=True):
        *whole, pending = (pending + chunk).split(b"\n")
        yield from (line for line in whole if line)
    if pending:
        yield pending

"""What containers said, as a person with the right to read logs sees it."""

from __future__ import annotations

from warmroot.kube.cluster import POD
from warmroot.kube.transport import Transport


def tail(
    transport: Transport, namespace: str, pod: str, container: str, lines: int, *, previous: bool = False
) -> str | None:
    """The last `lines` of a container; `previous`: of the one before it was started again.

    None if the node has it no more, or not yet, or if we may not see it.

    Raises:
        NetworkError: the API server can't be reached.
    """
    query = {"container": container, "tailLines": str(lines)} | ({"previous": "true"} if previous else {})
    answer = transport.request("GET", POD.path(namespace, pod, "log"), query=query)
    return answer.body.decode(errors="replace") if answer.status == 200 else None

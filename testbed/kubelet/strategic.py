"""The strategic merge patch: what kubelets send, so that conditions of other writers stay.

No other part needs it; the Cluster port stays without.
"""

from __future__ import annotations

import json

from warmroot.errors import ClusterError, Conflict, NotFound
from warmroot.kube.cluster import Object, RestCluster

_LEAVES: dict[int, type[ClusterError]] = {404: NotFound, 409: Conflict}


def strategic_patch(cluster: RestCluster, path: str, body: Object) -> Object:
    """Patches the object at `path`; lists are merged by their keys.

    Raises:
        NotFound: there is no such object.
        Conflict: it is another object of that name.
        ClusterError: the API server refused it otherwise.
        NetworkError: the API server did not answer.
    """
    answer = cluster.transport.request(
        "PATCH", path, body=json.dumps(body).encode(), content_type="application/strategic-merge-patch+json"
    )
    if answer.status >= 300:
        leaf = _LEAVES.get(answer.status, ClusterError)
        raise leaf(f"PATCH {path}: {answer.body[:300].decode(errors='replace')}", status=answer.status)
    result: Object = json.loads(answer.body)
    return result

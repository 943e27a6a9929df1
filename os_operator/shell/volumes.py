"""The volumes that are attached to nodes whose pods are gone: looked for once, then looked at one by one.

A VolumeAttachment can't be listed by its node, so a list is of the whole cluster: it is asked for once a
node, and after that only the few that were found. Nothing is attached anew to a cordoned node without pods.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from os_operator.core.parse import attachment_view, claim_of
from os_operator.core.world import AttachmentView
from warmroot.errors import Forbidden, NotFound
from warmroot.kube.cluster import PERSISTENT_VOLUME, VOLUME_ATTACHMENT, Cluster

log = logging.getLogger(__name__)
FRESH = 0.4
"""Seconds for which what was seen is used again: several events may wake several passes."""


class Volumes:
    """Looks at the attached volumes of the nodes that it is asked about, and forgets all others."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._seen: dict[str, tuple[float, tuple[AttachmentView, ...]]] = {}

    def of(self, nodes: Sequence[str], now: float) -> dict[str, tuple[AttachmentView, ...]]:
        """The VolumeAttachments of these nodes at `now` (Unix seconds). A node is left out where we may not
        look: an older role does not grant it, and that must not stop the other nodes.

        Raises:
            ClusterError: the API server refuses for another reason.
            NetworkError: it can't be reached.
        """
        try:
            unseen = [name for name in nodes if name not in self._seen]
            found = self._search(unseen) if unseen else {}
            self._seen = {
                name: (now, found[name]) if name in found else self._again(name, now) for name in nodes
            }
        except Forbidden as error:
            log.warning("attached volumes can't be looked at: %s", error)
            self._seen = {}
        return {name: views for name, (_, views) in self._seen.items()}

    def _search(self, nodes: Sequence[str]) -> dict[str, tuple[AttachmentView, ...]]:
        found: dict[str, list[AttachmentView]] = {name: [] for name in nodes}
        for item in self._cluster.list(VOLUME_ATTACHMENT).items:
            node = item["spec"]["nodeName"]
            if node in found:
                view = attachment_view(item)
                found[node].append(replace(view, claim=self._claim(view.volume)))
        return {name: tuple(views) for name, views in found.items()}

    def _claim(self, volume: str) -> str:
        try:
            return claim_of(self._cluster.get(PERSISTENT_VOLUME, volume)) if volume else ""
        except NotFound:
            return ""

    def _again(self, node: str, now: float) -> tuple[float, tuple[AttachmentView, ...]]:
        at, views = self._seen[node]
        if 0 <= now - at < FRESH:
            return at, views
        left = []
        for view in views:
            try:
                item = self._cluster.get(VOLUME_ATTACHMENT, view.name)
            except NotFound:
                continue
            left.append(attachment_view(item, view.claim))
        return now, tuple(left)

"""The signed index, asked in a child process: tuf and cryptography are memory for seconds, not for ever."""

from __future__ import annotations

from dataclasses import dataclass, field

from os_proxy.core.orders import Release
from warmroot.release.fetch import Request, fetch
from warmroot.release.source import Tls


@dataclass(frozen=True)
class ChildIndex:
    """`anchor` is the root.json inside the read-only image, `store` keeps the metadata between questions."""

    store: str
    anchor: str
    product: str
    arch: str
    tls: Tls = field(default_factory=Tls)

    def manifest(self, release: Release) -> bytes:
        """See `Index.manifest`."""
        asked = Request(
            store=self.store,
            root=self.anchor,
            sources=release.sources,
            product=self.product,
            arch=self.arch,
            version=release.version,
            digest=release.digest,
            tls=self.tls,
        )
        return fetch(asked).data

"""The software bill of materials of what we build: CycloneDX 1.6, JSON. Equal contents give equal bytes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from images.command import EPOCH
from images.debian.system import Installed
from warmroot.release import manifest as manifests
from warmroot.release.manifest import Manifest

NAME = "sbom.cdx.json"
_NAMESPACE = uuid.UUID("7761726d-726f-4f74-8000-000000000004")


def write(manifest: Manifest, suite: str, packages: Iterable[Installed]) -> str:
    """The bill of a release made of packages of one Debian release."""
    digest = manifests.digest(manifest.encode())
    return _bill(manifest.product, manifest.version, ComponentType.OPERATING_SYSTEM, digest, suite, packages)


def write_container(name: str, version: str, digest: str, suite: str, packages: Iterable[Installed]) -> str:
    """The bill of a container's image, by the digest of its manifest."""
    return _bill(name, version, ComponentType.CONTAINER, digest, suite, packages)


def _bill(
    name: str, version: str, kind: ComponentType, digest: str, suite: str, packages: Iterable[Installed]
) -> str:
    """Its serial number follows from the digest, and its time is that of all our files: it says which bytes
    it describes, not when somebody wrote it down.
    """
    whole = Component(
        name=name,
        version=version,
        type=kind,
        bom_ref=digest,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest.removeprefix("sha256:"))],
    )
    parts = [_component(package, suite) for package in packages]
    bom = Bom(
        components=parts,
        serial_number=uuid.uuid5(_NAMESPACE, digest),
        metadata=BomMetaData(component=whole, timestamp=datetime.fromtimestamp(EPOCH, UTC)),
    )
    bom.register_dependency(whole, parts)
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _component(package: Installed, suite: str) -> Component:
    address = _address(package, suite)
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        purl=address,
        bom_ref=str(address),
    )


def _address(package: Installed, suite: str) -> PackageURL:
    if package.kind == "pypi":
        return PackageURL(type="pypi", name=package.name.lower(), version=package.version)
    if package.kind == "golang":
        namespace, _, name = package.source.rpartition("/")
        version = f"v{package.source_version}"
        return PackageURL(
            type="golang", namespace=namespace, name=name, version=version, subpath=f"cmd/{package.name}"
        )
    upstream = f"{package.source}@{package.source_version}"
    return PackageURL(
        type="deb",
        namespace="debian",
        name=package.name,
        version=package.version,
        qualifiers={"arch": package.architecture, "distro": suite, "upstream": upstream},
    )

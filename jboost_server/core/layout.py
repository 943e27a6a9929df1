"""Where everything is in the object store: the names of docs/jboost-protocol.md, made and taken apart.

A name is built from parts that were checked, so nothing that anybody sends names another tenant's object.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jboost_server.core.lookup import Scope
from warmroot.canonical import check

ARCHIVES = "archives"
"""Beside a tenant's groups: so no group has this name, and for clarity no tenant."""
MAX_NAME = 128
"""Characters of a tenant or group: a segment of a name in the store."""
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,126}[a-z0-9])?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SLOT = re.compile(r"[0-9]{1,2}")


def is_digest(text: str) -> bool:
    """Whether this is a sha256 in lower-case hex."""
    return bool(_DIGEST.fullmatch(text))


def check_scope(scope: Scope) -> None:
    """Raises ValueError unless tenant and group can have objects."""
    for what, name in (("tenant", scope.tenant), ("group", scope.group)):
        check(bool(_NAME.fullmatch(name)), f"{what} {name[:MAX_NAME]!r} is no name: a-z, 0-9, - and . alone")
        check(name != ARCHIVES, f"no {what} is named {ARCHIVES}")


@dataclass(frozen=True)
class KeyPlace:
    """The folder of one build key of one group."""

    scope: Scope
    key: str

    def __post_init__(self) -> None:
        check_scope(self.scope)
        check(is_digest(self.key), "a key is not named by its digest")

    @property
    def folder(self) -> str:
        """Ends with a slash."""
        return f"{group_folder(self.scope)}{self.key}/"

    @property
    def build_key(self) -> str:
        """The key itself."""
        return f"{self.folder}key.json"

    @property
    def merge(self) -> str:
        """The merged class lists."""
        return f"{self.folder}merge.json"

    @property
    def build(self) -> str:
        """The build order that is out."""
        return f"{self.folder}build.json"

    @property
    def recordings(self) -> str:
        """All recordings are below this prefix."""
        return f"{self.folder}recordings/"

    @property
    def outcomes(self) -> str:
        """What pods reported is below this prefix."""
        return f"{self.folder}outcomes/"

    def lease(self, slot: int) -> str:
        """The lease of one of the recorders."""
        return f"{self.folder}leases/{slot}.json"

    def recording(self, digest: str) -> str:
        """A recording of that digest."""
        check(is_digest(digest), "a recording is not named by its digest")
        return f"{self.recordings}{digest}"

    def facts(self, digest: str) -> str:
        """What is known of a recording; without it the recording does not count."""
        return f"{self.recording(digest)}.json"

    def manifest(self, digest: str) -> str:
        """The envelope of a published archive of that digest."""
        check(is_digest(digest), "an archive is not named by its digest")
        return f"{self.folder}manifests/{digest}.json"

    def counts(self, shard: int) -> str:
        """Outcomes, counted; one of several objects, so that replicas seldom meet at one."""
        return f"{self.outcomes}{shard}.json"


def tenant_folder(tenant: str) -> str:
    """All objects of a tenant are below this prefix."""
    check(bool(_NAME.fullmatch(tenant)) and tenant != ARCHIVES, f"{tenant[:MAX_NAME]!r} is no tenant")
    return f"{tenant}/"


def group_folder(scope: Scope) -> str:
    """All objects of a group but its archives are below this prefix."""
    check_scope(scope)
    return f"{scope.tenant}/{scope.group}/"


def archive(tenant: str, digest: str) -> str:
    """The bytes of an archive."""
    check(is_digest(digest), "an archive is not named by its digest")
    return f"{tenant_folder(tenant)}{ARCHIVES}/{digest}"


def compressed(tenant: str, digest: str) -> str:
    """The same, compressed with zstd, for whoever takes that."""
    return f"{archive(tenant, digest)}.zst"


def named_by(tenant: str, digest: str) -> str:
    """Which groups and keys have a manifest that names the archive: written before the manifest."""
    return f"{archive(tenant, digest)}.json"


def doomed(tenant: str, digest: str) -> str:
    """Says that the archive is being deleted; whoever has just published it takes that back."""
    return f"{archive(tenant, digest)}.gone"


@dataclass(frozen=True)
class Found:
    """A name taken apart: the key's place, and the rest within its folder."""

    place: KeyPlace
    what: str
    """`key`, `lease`, `recording`, `facts`, `merge`, `build`, `manifest` or `outcomes`."""
    which: str = ""
    """The digest or number in the name."""


@dataclass(frozen=True)
class FoundArchive:
    """An archive's name taken apart. `what` is `bytes`, `zst`, `json` or `gone`."""

    tenant: str
    digest: str
    what: str


def take_archive_apart(name: str) -> FoundArchive | None:
    """What an object beside an archive is; None for every other name."""
    match name.split("/"):
        case [tenant, folder, file] if folder == ARCHIVES:
            digest, _, kind = file.partition(".")
            if is_digest(digest) and kind in {"", "zst", "json", "gone"}:
                return FoundArchive(tenant, digest, kind or "bytes")
    return None


def take_apart(name: str) -> Found | None:
    """What an object of a group is; None for archives, and for names that are none of ours."""
    tenant, _, rest = name.partition("/")
    parts = rest.split("/")
    try:
        place = KeyPlace(Scope(tenant, parts[0]), parts[1])
    except (ValueError, IndexError):
        return None
    match parts[2:]:
        case ["key.json"]:
            return Found(place, "key")
        case ["merge.json"]:
            return Found(place, "merge")
        case ["build.json"]:
            return Found(place, "build")
        case ["leases", file] if _SLOT.fullmatch(number := file.removesuffix(".json")):
            return Found(place, "lease", number)
        case ["outcomes", file]:
            return Found(place, "outcomes", file.removesuffix(".json"))
        case ["recordings", file] if is_digest(file):
            return Found(place, "recording", file)
        case ["recordings", file] if is_digest(digest := file.removesuffix(".json")):
            return Found(place, "facts", digest)
        case ["manifests", file] if is_digest(digest := file.removesuffix(".json")):
            return Found(place, "manifest", digest)
    return None

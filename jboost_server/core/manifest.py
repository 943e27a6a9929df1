"""The archive manifest, and the signed envelope in which a pod gets it.

An archive holds pointers and machine code that the JVM does not check: the signature is the only integrity
check there is. It covers the manifest, which names the archive by digest. Verifying is pure and lives here;
private keys live in `jboost_server.signing`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from jboost_server.core import buildkey
from jboost_server.core.buildkey import BuildKey
from jboost_server.core.lookup import Scope
from warmroot.canonical import Fields, check, check_integer, encode
from warmroot.errors import BadManifest, BadSignature, TooLarge

MAX_MANIFEST = 8 * 2**20
"""Bytes of one envelope; a reader stops there."""
MAX_KEYS = 2
"""Public keys that are valid at one time: the current one, and the next or the last while keys rotate."""
CONTEXT = b"warmroot archive manifest 1\n"
"""Stands before the manifest in what is signed, so that a signature serves for nothing else."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_FLAG = re.compile(r"-[\x21-\x7e]{1,1023}")


class Preflight(StrEnum):
    """Whether a pod has to try the archive before it starts with it."""

    REQUIRED = "required"
    WAIVED = "waived"
    """Enough pods of the same image, JVM and CPU set reported success."""


@dataclass(frozen=True)
class ArchiveManifest:
    """One archive: whose, for which key, the flags to use it with, its sha256 (hex) and size in bytes."""

    scope: Scope
    key: BuildKey
    flags: tuple[str, ...]
    digest: str
    size: int
    preflight: Preflight = Preflight.REQUIRED

    def __post_init__(self) -> None:
        for name, value in (("tenant", self.scope.tenant), ("group", self.scope.group)):
            check(bool(_NAME.fullmatch(value)), f"{name} {value!r} is no name of Kubernetes")
        check(all(map(_FLAG.fullmatch, self.flags)), "flags holds what is no JVM flag")
        check(bool(_SHA256.fullmatch(self.digest)), "digest is no sha256")
        check_integer("size", self.size, least=1)

    def encode(self) -> bytes:
        """The only form of this manifest."""
        return encode(
            {
                "tenant": self.scope.tenant,
                "group": self.scope.group,
                "key": self.key.tree(),
                "flags": list(self.flags),
                "digest": self.digest,
                "size": self.size,
                "preflight": self.preflight.value,
            }
        )


def decode(data: bytes) -> ArchiveManifest:
    """The manifest in these bytes, of which nothing is verified.

    Raises:
        BadManifest: not the canonical form of a manifest; the message names what is odd.
    """
    try:
        manifest = _manifest(Fields("manifest", json.loads(data)))
        canonical = manifest.encode()
    except (ValueError, RecursionError) as error:
        raise BadManifest(f"not an archive manifest: {error}") from error
    if canonical != data:
        raise BadManifest("the archive manifest is not in canonical form")
    return manifest


def key_id(public: bytes) -> str:
    """The name of a raw Ed25519 public key: the first 16 hex digits of its sha256."""
    return hashlib.sha256(public).hexdigest()[:16]


def signed_bytes(manifest: bytes) -> bytes:
    """What a signature covers."""
    return CONTEXT + manifest


def seal(manifest: bytes, signatures: dict[str, bytes]) -> bytes:
    """The envelope of a manifest's bytes and its signatures by key id."""
    return encode(
        {
            "manifest": base64.b64encode(manifest).decode(),
            "signatures": {name: signature.hex() for name, signature in signatures.items()},
        }
    )


def verify(envelope: bytes, keys: Collection[bytes]) -> ArchiveManifest:
    """The manifest in an envelope, once one of the valid keys (raw Ed25519 public keys) has signed it.

    Nothing inside the manifest is looked at before.

    Raises:
        ValueError: there are no or more than MAX_KEYS keys, or one is none.
        TooLarge: longer than any envelope is.
        BadManifest: no envelope, or no manifest in it.
        BadSignature: no valid key signed it.
    """
    check(1 <= len(keys) <= MAX_KEYS, f"{len(keys)} keys; 1 to {MAX_KEYS} can be valid")
    publics = {key_id(key): Ed25519PublicKey.from_public_bytes(key) for key in keys}
    if len(envelope) > MAX_MANIFEST:
        raise TooLarge(f"an archive manifest of more than {MAX_MANIFEST} bytes")
    manifest, signatures = _open(envelope)
    for name, public in publics.items():
        try:
            public.verify(signatures.get(name, b""), signed_bytes(manifest))
        except InvalidSignature:
            continue
        return decode(manifest)
    raise BadSignature(f"no signature by a valid key ({', '.join(publics)})")


def _open(envelope: bytes) -> tuple[bytes, dict[str, bytes]]:
    try:
        fields = Fields("envelope", json.loads(envelope))
        manifest = base64.b64decode(fields.text("manifest"), validate=True)
        signed = Fields("signatures", fields.take("signatures"))
        check(len(signed.left) <= MAX_KEYS, f"signatures has more than {MAX_KEYS}")
        signatures = {name: signed.hex(name) for name in tuple(signed.left)}
        fields.finish()
    except (ValueError, RecursionError, binascii.Error) as error:
        raise BadManifest(f"not an envelope: {error}") from error
    return manifest, signatures


def _manifest(top: Fields) -> ArchiveManifest:
    manifest = ArchiveManifest(
        scope=Scope(top.text("tenant"), top.text("group")),
        key=buildkey.from_tree(top.take("key")),
        flags=top.texts("flags"),
        digest=top.text("digest"),
        size=top.integer("size"),
        preflight=Preflight(top.text("preflight")),
    )
    top.finish()
    return manifest

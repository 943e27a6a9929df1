"""The keys that sign archive manifests: Ed25519, one PEM file each, from a folder or a mounted Secret."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from jboost_server.core.manifest import MAX_KEYS, ArchiveManifest, key_id, seal, signed_bytes
from warmroot.errors import UserError


@dataclass(frozen=True)
class Signer:
    """One or two private keys. While keys rotate both sign, so that pods with either verify."""

    keys: tuple[Ed25519PrivateKey, ...]

    @property
    def publics(self) -> tuple[bytes, ...]:
        """The raw public keys (32 bytes each), for pods."""
        return tuple(key.public_key().public_bytes_raw() for key in self.keys)

    @property
    def public_lines(self) -> tuple[str, ...]:
        """The public keys as agents read them, each in base64 without an end of line."""
        return tuple(base64.b64encode(public).decode() for public in self.publics)

    def sign(self, manifest: ArchiveManifest) -> bytes:
        """The envelope of a manifest."""
        data = manifest.encode()
        signatures = {
            key_id(key.public_key().public_bytes_raw()): key.sign(signed_bytes(data)) for key in self.keys
        }
        return seal(data, signatures)


def load(paths: Sequence[Path]) -> Signer:
    """The signer of these key files; their order means nothing.

    Raises:
        UserError: a file can't be read or is no Ed25519 key, or there are not one or two different ones.
    """
    signer = Signer(tuple(map(_load, paths)))
    if not 1 <= len(set(signer.publics)) == len(paths) <= MAX_KEYS:
        raise UserError(
            f"archives are signed with 1 to {MAX_KEYS} different keys, not with {len(paths)} files",
            hint="name the current key, and while keys rotate the next one as well",
        )
    return signer


def create(path: Path) -> Signer:
    """A new key in a new file with mode 0600.

    Raises:
        UserError: the file exists, or can't be written.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:  # noqa: PTH123
            handle.write(pem)
            handle.flush()
            os.fsync(handle.fileno())
    except FileExistsError:
        raise UserError(f"{path} exists", hint="a key is never overwritten; name another file") from None
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}") from error
    return Signer((key,))


def write_publics(signer: Signer, path: Path) -> None:
    """Writes the public keys for agents: one in base64 a line, replaced by rename.

    Raises:
        UserError: the file can't be written.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        new.write_text("".join(f"{line}\n" for line in signer.public_lines))
        new.replace(path)
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}") from error


def _load(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise UserError(f"the signing key {path} can't be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UserError(f"{path} holds no private key without a passphrase") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(
            f"{path} holds a key that is not Ed25519",
            hint="make one with `openssl genpkey -algorithm ed25519`",
        )
    return key

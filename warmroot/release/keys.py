"""Signing keys: Ed25519, one PEM file each, mode 0600, encrypted if there is a passphrase.

A key folder holds `ROLE.pem` or `ROLE-N.pem`. Root keys belong offline: only `init` and `rotate` read them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner

from warmroot.errors import UserError

PASSPHRASE = "WARMROOT_KEY_PASSPHRASE"  # noqa: S105  # a name, not the secret
PASSPHRASE_FILE = "WARMROOT_KEY_PASSPHRASE_FILE"  # noqa: S105


def passphrase() -> bytes | None:
    """The passphrase from the environment, or from the file that it names; None if there is none.

    Raises:
        UserError: the file can't be read, or it is empty.
    """
    if direct := os.environ.get(PASSPHRASE):
        return direct.encode()
    named = os.environ.get(PASSPHRASE_FILE)
    if not named:
        return None
    try:
        found = Path(named).read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise UserError(f"the passphrase file {named} can't be read: {error.strerror}") from error
    if not found:
        raise UserError(f"the passphrase file {named} is empty")
    return found


def create(path: Path, secret: bytes | None = None) -> CryptoSigner:
    """A new key in a new file.

    Raises:
        UserError: the file exists, or can't be written.
    """
    key = Ed25519PrivateKey.generate()
    encryption: KeySerializationEncryption = BestAvailableEncryption(secret) if secret else NoEncryption()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise UserError(f"{path} exists; a key is never overwritten", hint="name another folder") from error
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}") from error
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(handle)
    return CryptoSigner(key)


def load(path: Path, secret: bytes | None = None) -> CryptoSigner:
    """The key in a file.

    Raises:
        UserError: missing, open to others, encrypted without a passphrase, or not Ed25519.
    """
    try:
        mode, pem = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise UserError(
            f"the key {path} can't be read: {error.strerror}",
            hint="name the folder with --keys, or make keys with `warmroot release init`",
        ) from error
    if mode & 0o077:
        raise UserError(f"{path} is open to others", hint=f"chmod 600 {path}")
    try:
        key = load_pem_private_key(pem, secret)
    except TypeError as error:
        hint = f"set {PASSPHRASE} or {PASSPHRASE_FILE}" if secret is None else f"unset {PASSPHRASE}"
        raise UserError(f"{path}: {error}", hint=hint) from error
    except ValueError as error:
        raise UserError(f"{path} can't be opened: wrong passphrase, or not a PEM key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(f"{path} is not an Ed25519 key")
    return CryptoSigner(key)


def role_files(folder: Path, role: str) -> list[Path]:
    """The key files of a role in a key folder: `ROLE.pem`, `ROLE-1.pem`, … in order.

    Raises:
        UserError: there are none.
    """
    found = sorted([*folder.glob(f"{role}.pem"), *folder.glob(f"{role}-*.pem")])
    if not found:
        raise UserError(
            f"{folder} has no {role} key",
            hint=f"put {role}.pem there, or name the folder that has it with --keys",
        )
    return found


def load_role(folder: Path, role: str, secret: bytes | None = None) -> list[CryptoSigner]:
    """All keys of a role in a key folder.

    Raises:
        UserError: there are none, or one can't be used.
    """
    return [load(path, secret) for path in role_files(folder, role)]


def create_role(folder: Path, role: str, count: int, secret: bytes | None = None) -> list[CryptoSigner]:
    """`count` new keys of a role.

    Raises:
        UserError: one exists already.
    """
    names: Sequence[str] = [role] if count == 1 else [f"{role}-{number}" for number in range(1, count + 1)]
    return [create(folder / f"{name}.pem", secret) for name in names]

"""Keys of Secure Boot: a folder with the platform key, the key exchange key and the key that signs (db).

`NAME.key` is secret, `NAME.pem` is its certificate. A build reads db's alone; the others belong offline.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from images.command import EPOCH
from images.secureboot import variables
from warmroot.errors import UserError

NAMES = ("PK", "KEK", "db")
_SIGNED_BY = {"PK": "PK", "KEK": "PK", "db": "KEK"}
"""Whose signature firmware wants on a change of each variable."""
_BITS = 2048
"""What the UEFI specification has every firmware understand; longer keys are not understood by all."""
_YEARS = 20
_HINT = "make keys with `warmroot image create-keys FOLDER`"


@dataclass(frozen=True)
class SigningKey:
    """The files of the pair that signs what firmware starts."""

    key: Path
    certificate: Path


def create(folder: Path, owner: str) -> None:
    """Makes the new folder with three keys, and with what a machine needs to learn them.

    `NAME.auth` is a signed change of the UEFI variable NAME, `NAME.cer` its certificate for firmware's menu.

    Raises:
        UserError: the folder exists, or can't be written.
    """
    secrets = {name: generate_private_key(65537, _BITS) for name in NAMES}
    certificates = {name: _certificate(f"{owner} {name}", secrets[name]) for name in NAMES}
    now = datetime.datetime.now(datetime.UTC)
    try:
        folder.mkdir(parents=True, mode=0o700)
        for name in NAMES:
            pem = secrets[name].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            _write(folder / f"{name}.key", pem, 0o600)
            _write(folder / f"{name}.pem", certificates[name].public_bytes(Encoding.PEM), 0o644)
            _write(folder / f"{name}.cer", certificates[name].public_bytes(Encoding.DER), 0o644)
            signer = _SIGNED_BY[name]
            change = variables.change(name, certificates[name], certificates[signer], secrets[signer], now)
            _write(folder / f"{name}.auth", change, 0o644)
    except FileExistsError as error:
        raise UserError(f"{folder} exists; keys are never overwritten", hint="name a new folder") from error
    except OSError as error:
        raise UserError(f"{error.filename} can't be written: {error.strerror}") from error


def load(folder: Path) -> SigningKey:
    """The pair that signs, checked.

    Raises:
        UserError: a file is missing, open to others, no key or certificate, or the two don't belong together.
    """
    found = SigningKey(folder / "db.key", folder / "db.pem")
    key = _key(found.key)
    try:
        certificate = x509.load_pem_x509_certificate(_read(found.certificate))
    except ValueError as error:
        raise UserError(f"{found.certificate} is not a certificate in PEM", hint=_HINT) from error
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if certificate.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        raise UserError(
            f"{found.certificate} is not the certificate of {found.key}", hint="name the folder that has both"
        )
    return found


def _key(path: Path) -> RSAPrivateKey:
    pem = _read(path)
    if path.stat().st_mode & 0o077:
        raise UserError(f"{path} is open to others", hint=f"chmod 600 {path}")
    try:
        key = load_pem_private_key(pem, None)
    except TypeError as error:
        raise UserError(
            f"{path} is encrypted, and nobody is there to ask", hint="decrypt it where it is used"
        ) from error
    except ValueError as error:
        raise UserError(f"{path} is not a private key in PEM", hint=_HINT) from error
    if not isinstance(key, RSAPrivateKey) or key.key_size < _BITS:
        raise UserError(f"{path} is not an RSA key of {_BITS} bits or more", hint=_HINT)
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"secureBoot.keys: {path} can't be read: {error.strerror}", hint=_HINT) from error


def _certificate(name: str, key: RSAPrivateKey) -> x509.Certificate:
    """Valid from the time that every build's signatures carry."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begins = datetime.datetime.fromtimestamp(EPOCH, datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins.replace(year=begins.year + _YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(handle)

"""Keys and certificates of one throw-away control plane, and kubeconfigs made from them."""

from __future__ import annotations

import base64
import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from warmroot.certificates import key_usage, private_pem, reached_by

VALID = datetime.timedelta(days=365)
SKEW = datetime.timedelta(hours=1)
"""Certificates begin that long ago: a guest's clock may be behind."""
HOST_OF_GUESTS = "10.0.2.2"
"""This computer, as a guest of QEMU's user network sees it."""
SERVER_NAMES = (
    HOST_OF_GUESTS,
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True)
class Credential:
    """A certificate and its private key, PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A certificate authority of our own. Its key stays in the folder that it was made for."""

    def __init__(self, own: Credential) -> None:
        self.credential = own
        self._certificate = x509.load_pem_x509_certificate(own.certificate)
        key = serialization.load_pem_private_key(own.key, password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key

    @classmethod
    def new(cls) -> Authority:
        """An authority that nobody knows yet."""
        key = ec.generate_private_key(ec.SECP256R1())
        name, public = _name("warmroot-testbed", ()), key.public_key()
        builder = _builder(name, name, public)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(key_usage(signs_certificates=True), critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        builder = builder.add_extension(identifier, critical=False)
        return cls(Credential(_pem(builder.sign(key, hashes.SHA256())), private_pem(key)))

    def client(self, user: str, groups: Sequence[str] = ()) -> Credential:
        """A credential by which the API server knows a user of some groups."""
        return self._issue(user, groups, ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def server(self, user: str, names: Sequence[str]) -> Credential:
        """A credential for a server that is reached by these host names and addresses."""
        return self._issue(user, (), ExtendedKeyUsageOID.SERVER_AUTH, names)

    def _issue(
        self, user: str, groups: Sequence[str], purpose: x509.ObjectIdentifier, names: Sequence[str]
    ) -> Credential:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(user, groups), self._certificate.subject, key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(key_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        if names:
            alternative = reached_by(names)
            builder = builder.add_extension(alternative, critical=False)
        return Credential(_pem(builder.sign(self._key, hashes.SHA256())), private_pem(key))


def service_account_keys() -> tuple[bytes, bytes]:
    """Private and public key, PEM, with which service account tokens are signed and checked."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private_pem(key), public


def kubeconfig(server: str, authority: bytes, credential: Credential) -> bytes:
    """A kubeconfig with everything inside it."""
    return _kubeconfig(
        server,
        authority,
        {
            "client-certificate-data": base64.b64encode(credential.certificate).decode(),
            "client-key-data": base64.b64encode(credential.key).decode(),
        },
    )


def token_kubeconfig(server: str, authority: bytes, token_file: Path) -> bytes:
    """A kubeconfig whose token is read from a file again and again, as kubelets renew it."""
    return _kubeconfig(server, authority, {"tokenFile": str(token_file.absolute())})


def _kubeconfig(server: str, authority: bytes, user: dict[str, str]) -> bytes:
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(authority).decode()}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "user"}}],
        "current-context": "testbed",
    }
    return yaml.safe_dump(document, sort_keys=False).encode()


def write_private(path: Path, data: bytes) -> None:
    """Writes a file that only its owner may read, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(data)
    partial.rename(path)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=public,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - SKEW,
        not_valid_after=now + VALID,
    )


def _name(user: str, groups: Sequence[str]) -> x509.Name:
    organisations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organisations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)

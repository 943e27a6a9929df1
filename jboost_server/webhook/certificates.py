"""Our own authority and the certificate that the webhook shows: made and renewed, with time as a value.

A new authority is told to the API server a while before anything is signed by it, and the old one stays known
until it ends. So at no moment is a certificate shown that the API server does not believe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from warmroot.certificates import key_usage, private_pem, reached_by

_SKEW = timedelta(minutes=5)
"""Certificates begin that long ago: clocks differ."""
_AUTHORITIES, _AUTHORITY_KEY, _CERTIFICATE, _KEY = "ca.crt", "ca.key", "tls.crt", "tls.key"


@dataclass(frozen=True)
class Terms:
    """For how long things hold. `overlap`: a new authority is known for so long before it signs."""

    authority: timedelta = timedelta(days=365)
    certificate: timedelta = timedelta(days=90)
    overlap: timedelta = timedelta(days=1)


@dataclass(frozen=True)
class Bundle:
    """What replicas share, PEM: authorities (newest first), the newest one's key, certificate and key."""

    authorities: tuple[bytes, ...]
    authority_key: bytes
    certificate: bytes
    key: bytes

    @property
    def known(self) -> bytes:
        """What the API server has to believe: all authorities, PEM."""
        return b"".join(self.authorities)

    @property
    def ends(self) -> datetime:
        """When the certificate ends."""
        return x509.load_pem_x509_certificate(self.certificate).not_valid_after_utc

    def files(self) -> dict[str, bytes]:
        """As a Secret has it, file by file."""
        return {
            _AUTHORITIES: self.known,
            _AUTHORITY_KEY: self.authority_key,
            _CERTIFICATE: self.certificate,
            _KEY: self.key,
        }

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> Bundle:
        """The bundle in a Secret's files.

        Raises:
            ValueError: they are not what `files` made, or keys and certificates do not belong together.
        """
        try:
            authorities = x509.load_pem_x509_certificates(files[_AUTHORITIES])
            made = cls(tuple(map(_pem, authorities)), files[_AUTHORITY_KEY], files[_CERTIFICATE], files[_KEY])
            certificate = x509.load_pem_x509_certificate(made.certificate)
            keys = [_load(key).public_key() for key in (made.authority_key, made.key)]
        except KeyError as error:
            raise ValueError(f"{error} is missing") from error
        except TypeError as error:  # a key behind a password
            raise ValueError(str(error)) from error
        if keys != [authorities[0].public_key(), certificate.public_key()]:
            raise ValueError("a key and its certificate do not belong together")
        return made


def renewed(bundle: Bundle | None, names: Sequence[str], now: datetime, terms: Terms) -> Bundle:
    """The bundle as it should be now; the same object if nothing is due.

    `names` are host names and addresses by which the API server reaches us. An authority and a certificate
    are renewed when a third of their time is left. Without a bundle, or with one that has ended, all is made
    anew.
    """
    if bundle is None:
        return _anew(names, now, terms)
    authorities = [
        one
        for one in map(x509.load_pem_x509_certificate, bundle.authorities)
        if one.not_valid_after_utc > now
    ]
    if not authorities or bundle.ends <= now:
        return _anew(names, now, terms, authorities)
    newest, key = authorities[0], bundle.authority_key
    if _pem(newest) != bundle.authorities[0]:  # the key is of one that has ended
        return _anew(names, now, terms, authorities)
    if newest.not_valid_after_utc - now < terms.authority / 3:
        newest, key = _authority(now, terms)
        authorities = [newest, *authorities]
    certificate, own = x509.load_pem_x509_certificate(bundle.certificate), bundle.key
    # Its beginning was set back; it was told to the API server at that time and a little.
    told = newest.not_valid_before_utc + _SKEW + terms.overlap <= now
    due = certificate.not_valid_after_utc - now < terms.certificate / 3
    if _names(certificate) != sorted(names) or (told and (due or certificate.issuer != newest.subject)):
        certificate, own = _certificate(newest, key, names, now, terms)
    made = Bundle(tuple(map(_pem, authorities)), key, _pem(certificate), own)
    return bundle if made == bundle else made


def _anew(
    names: Sequence[str], now: datetime, terms: Terms, others: Sequence[x509.Certificate] = ()
) -> Bundle:
    authority, key = _authority(now, terms)
    certificate, own = _certificate(authority, key, names, now, terms)
    return Bundle((_pem(authority), *map(_pem, others)), key, _pem(certificate), own)


def _authority(now: datetime, terms: Terms) -> tuple[x509.Certificate, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # A name of its own: by it a verifier tells the old authority from the new one.
    name = _name(f"warmroot jboost webhook {serial:x}"[:64])
    builder = _builder(name, name, key.public_key(), now, now + terms.authority, serial)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(key_usage(signs_certificates=True), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    return builder.sign(key, hashes.SHA256()), private_pem(key)


def _certificate(
    authority: x509.Certificate, authority_key: bytes, names: Sequence[str], now: datetime, terms: Terms
) -> tuple[x509.Certificate, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    end = min(now + terms.certificate, authority.not_valid_after_utc)
    serial = x509.random_serial_number()
    builder = _builder(_name("jboost-webhook"), authority.subject, key.public_key(), now, end, serial)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(key_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    alternative = reached_by(names)
    builder = builder.add_extension(alternative, critical=False)
    signer = _load(authority_key)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(issuer, critical=False)
    return builder.sign(signer, hashes.SHA256()), private_pem(key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now: datetime,
    end: datetime,
    serial: int,
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=public,
        serial_number=serial,
        not_valid_before=now.astimezone(UTC) - _SKEW,
        not_valid_after=end.astimezone(UTC),
    )


def _names(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return sorted(str(one.value) for one in names)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _load(key: bytes) -> ec.EllipticCurvePrivateKey:
    loaded = serialization.load_pem_private_key(key, password=None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise ValueError("it is no key of ours")
    return loaded

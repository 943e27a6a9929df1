"""Signed changes of the UEFI variables that say whose programs firmware starts.

Formats: UEFI specification 2.10, 8.2.2 (EFI_VARIABLE_AUTHENTICATION_2) and 32.4.1 (EFI_SIGNATURE_LIST).
"""

from __future__ import annotations

import datetime
import struct
import uuid

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder

OWNER = uuid.UUID("7761726d-726f-4f74-8000-000000000019")
"""Says of an entry in firmware's lists that we put it there."""
_GLOBAL = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
_SECURITY_DATABASE = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
_NAMESPACES = {"PK": _GLOBAL, "KEK": _GLOBAL, "db": _SECURITY_DATABASE}
_X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
_PKCS7 = uuid.UUID("4aafd29d-68df-49ee-8aa9-347d375665a7")
_ATTRIBUTES = 0x27
"""Kept, seen by firmware and system, changed by whom a signature with a time says."""
_REVISION, _KIND_GUID = 0x0200, 0x0EF1
_LONG_FORM = 0x82
"""DER: the length is in the next two bytes."""
_CONTENT_INFO = 19
"""Bytes before SignedData in PKCS#7: a header, the type (11 bytes), another header."""


def change(
    name: str,
    certificate: x509.Certificate,
    signer: x509.Certificate,
    key: RSAPrivateKey,
    at: datetime.datetime,
) -> bytes:
    """What sets the variable `name` to this certificate alone; `signer` and `key` are those it asks for.

    Firmware takes a change only if its time is later than that of the last one.
    """
    value = signature_list(certificate)
    time = struct.pack("<HBBBBBxIhBx", *at.timetuple()[:6], 0, 0, 0)
    said = name.encode("utf-16-le") + _NAMESPACES[name].bytes_le + struct.pack("<I", _ATTRIBUTES)
    options = [PKCS7Options.DetachedSignature, PKCS7Options.Binary, PKCS7Options.NoAttributes]
    signed = (
        PKCS7SignatureBuilder()
        .set_data(said + time + value)
        .add_signer(signer, key, SHA256())
        .sign(Encoding.DER, options)
    )
    # Firmware is promised SignedData itself, without the envelope that says so.
    assert signed[1] == signed[_CONTENT_INFO - 3] == _LONG_FORM
    signed = signed[_CONTENT_INFO:]
    header = struct.pack("<IHH", 24 + len(signed), _REVISION, _KIND_GUID) + _PKCS7.bytes_le
    return time + header + signed + value


def signature_list(certificate: x509.Certificate) -> bytes:
    """One certificate as firmware lists it."""
    entry = OWNER.bytes_le + certificate.public_bytes(Encoding.DER)
    return _X509.bytes_le + struct.pack("<III", 28 + len(entry), 0, len(entry)) + entry

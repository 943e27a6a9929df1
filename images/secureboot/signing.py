"""Signs EFI programs (Authenticode), so that equal programs and keys give equal bytes.

RSA signatures of this kind (PKCS#1 v1.5) have no chance in them; the time in them is the builds' own.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from images import command
from images.command import EPOCH
from images.secureboot.keys import SigningKey

TOOL = "osslsigncode"


def check() -> None:
    """Refuses early what `sign` would refuse late.

    Raises:
        NotInstalled: osslsigncode is missing.
        StepFailed: it does not run.
    """
    command.run("signing for Secure Boot", [TOOL, "--version"], package=TOOL)


def sign(program: bytes, key: SigningKey) -> bytes:
    """The program with our signature, in place of any other.

    Raises:
        NotInstalled, StepFailed: osslsigncode is missing, or it failed.
    """
    with tempfile.TemporaryDirectory() as work:
        unsigned, signed = Path(work) / "unsigned", Path(work) / "signed"
        unsigned.write_bytes(program)
        command.run(
            "signing for Secure Boot",
            [
                *(TOOL, "sign", "-h", "sha256", "-time", str(EPOCH)),
                *("-certs", key.certificate, "-key", key.key, "-in", unsigned, "-out", signed),
            ],
            package=TOOL,
        )
        return signed.read_bytes()

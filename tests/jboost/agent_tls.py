"""Somebody behind TLS who takes a connection and then does nothing with it."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from testbed.setup.jdk import Jdk


@dataclass
class Silent:
    """Its address, the JVM's options with which it is trusted, and whether a handshake was made with it."""

    url: str
    trust: str
    shaken: threading.Event = field(default_factory=threading.Event)


@contextmanager
def silent(folder: Path, jdk: Jdk, *, shakes: bool) -> Iterator[Silent]:
    """Takes every connection and never reads a byte of a request; `shakes`: makes the handshake before."""
    context, trust = _certified(folder, jdk)
    with contextlib.ExitStack() as open_sockets, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        world = Silent(f"https://127.0.0.1:{listener.getsockname()[1]}", trust)

        def serve() -> None:
            with contextlib.suppress(OSError):  # of the listener, at the end; of an agent that has hung up
                while True:
                    connection = open_sockets.enter_context(listener.accept()[0])
                    if shakes:
                        open_sockets.enter_context(context.wrap_socket(connection, server_side=True))
                        world.shaken.set()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield world
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _certified(folder: Path, jdk: Jdk) -> tuple[ssl.SSLContext, str]:
    """What a server on loopback shows, signed by itself, and how a JVM is told to trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    shown, secret, store = folder / "certificate.pem", folder / "key.pem", folder / "trusted"
    shown.write_bytes(certificate.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown, secret)
    words = [jdk.home / "bin/keytool", "-importcert", "-noprompt", "-alias", "loopback"]
    words += ["-file", shown, "-keystore", store, "-storepass", "changeit"]
    subprocess.run(words, check=True, capture_output=True)
    return context, f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=changeit"

"""The cache service of this machine: one that runs already, or one of our own for as long as it is needed.

Our own listens on loopback and wants a token that only this person can read: whoever may upload an archive
decides what code runs.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jboost_server import signing
from jboost_server.catalogue import Catalogue
from jboost_server.local.agent import Service
from jboost_server.local.home import Home, named_errors
from jboost_server.local.home import replace as replace_file
from jboost_server.settings import Policy
from jboost_server.signing import Signer
from jboost_server.store.directory import DirectoryStore
from warmroot.errors import NetworkError, UserError

if TYPE_CHECKING:
    import uvicorn

LOCAL = "local"
"""The only tenant of a machine."""
REMOTE_LOOKUP = 300
OWN_LOOKUP = 3000
"""Milliseconds for the lookup. Our own service has the same processors as the agent that waits for it."""
POLICY = Policy(lease=60, order=900, samples=7)
"""A lock lets one start of an application record here, so a lease that was not fulfilled may soon be void.
People's machines do other things meanwhile: seven starts a side tell more surely than five."""


def where(home: Home, server: str | None, keys: Path | None, token: Path | None) -> Service | None:
    """The service that a person named or that runs on the folder; None if we have to start one.

    Raises:
        UserError: a service without keys, or keys without a service.
    """
    if server is not None:
        if keys is None:
            raise UserError(
                "--server needs --keys",
                hint="the file of its public keys: `jboost public-key` prints them where it runs",
            )
        return Service(server.rstrip("/"), keys, token)
    if keys is not None or token is not None:
        raise UserError("--keys and --token belong to --server", hint="name it, or leave them out")
    running = home.running()
    return Service(running.url, home.public_keys, home.token) if running else None


@contextmanager
def quick(
    home: Home, server: str | None, keys: Path | None, token: Path | None
) -> Iterator[tuple[Service, int]]:
    """A service for one lookup, and the milliseconds that it may take.

    Raises:
        WarmrootError: there is none, and none can be started.
    """
    found = where(home, server, keys, token)
    if found is not None:
        yield found, REMOTE_LOOKUP
        return
    from jboost_server.local import front

    secret = prepare(home)[1]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_logged(home))
        try:
            url = stack.enter_context(front.serving(opened(home), secret))
        except OSError as error:
            raise NetworkError(f"no service on loopback: {error.strerror}") from error
        yield Service(url, home.public_keys, home.token), OWN_LOOKUP


def opened(home: Home) -> Catalogue:
    """The folder's catalogue, read without a service.

    Raises:
        StoreError, UserError, DiskFull: the folder can't be read or made.
    """
    store = DirectoryStore(home.store)
    return Catalogue(store, prepare(home)[0], POLICY, clock=time.time, monotonic=time.monotonic)


def prepare(home: Home) -> tuple[Signer, str]:
    """The folder's signing key and token, made if there are none yet.

    Raises:
        UserError, DiskFull: the folder can't be written.
    """
    home.make()
    with named_errors(home.root):
        if not home.token.exists():
            _once(home.token, lambda new: replace_file(new, secrets.token_hex(32).encode()))
        if not home.signing_key.exists():
            _once(home.signing_key, signing.create)
    signer = signing.load([home.signing_key])
    public = "".join(base64.b64encode(key).decode() + "\n" for key in signer.publics)
    with named_errors(home.root):
        if not home.public_keys.exists() or home.public_keys.read_text() != public:
            signing.write_publics(signer, home.public_keys)
        return signer, home.token.read_text().strip()


def public_lines(home: Home, file: Path | None) -> list[str]:
    """The public half of a private key, or of the folder's own, as agents want it.

    Raises:
        UserError: it can't be read, or it is no Ed25519 key.
    """
    signer = prepare(home)[0] if file is None else signing.load([file])
    return [base64.b64encode(key).decode() for key in signer.publics]


def _once(path: Path, make: Callable[[Path], object]) -> None:
    """Makes a file that is whole from its first moment on, unless somebody else was faster."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        make(new)
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink(missing_ok=True)


def token_of(path: Path) -> str:
    """The token in a file.

    Raises:
        UserError: it can't be read.
    """
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the token {path} can't be read: {error}", hint="check --token") from error


@contextmanager
def reach(home: Home, server: str | None, keys: Path | None, token: Path | None) -> Iterator[Service]:
    """The whole service, for recordings and builds.

    Raises:
        WarmrootError: there is none, and none can be started.
    """
    found = where(home, server, keys, token)
    if found is not None:
        yield found
        return
    signer, secret = prepare(home)
    with _logged(home), _serving(home, signer, secret) as url:
        yield Service(url, home.public_keys, home.token)


@contextmanager
def _logged(home: Home) -> Iterator[None]:
    """What the service has to say goes to a file: the terminal is the application's."""
    handler = logging.FileHandler(home.root / "service.log", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


@contextmanager
def _serving(home: Home, signer: Signer, secret: str) -> Iterator[str]:
    import uvicorn

    from jboost_server.web.app import create_app
    from jboost_server.web.service import Settings
    from jboost_server.web.tenancy import Local

    app = create_app(
        Settings(
            DirectoryStore(home.store),
            signer,
            Local(secret),
            clock=time.time,
            monotonic=time.monotonic,
            policy=POLICY,
        )
    )
    try:
        listener = socket.create_server(("127.0.0.1", 0))
    except OSError as error:
        raise NetworkError(f"no service on loopback: {error.strerror}") from error
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    )
    thread = threading.Thread(target=_run, args=(server, listener), name="service", daemon=True)
    with listener:
        thread.start()  # whoever connects before it is up waits in the listener's queue
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the main thread's
    server.run(sockets=[listener])

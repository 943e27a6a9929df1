"""The cache service of this machine: one that runs already, or one of our own for as long as it is needed.

Our own listens on loopback and wants a token that only this person can read: whoever may upload an archive
decides what code runs.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jboost_server import signing
from jboost_server.catalogue import Catalogue
from jboost_server.local.agent import Budgets, Service
from jboost_server.local.home import Home, make_once, named_errors, write_secret
from jboost_server.settings import Policy
from jboost_server.signing import Signer
from jboost_server.store.directory import DirectoryStore
from jboost_server.web.tenancy import Local, shared_token
from warmroot.errors import NetworkError, UserError

if TYPE_CHECKING:
    import uvicorn

ELSEWHERE = Budgets()
OWN = Budgets(lookup=3000)
"""Our own service has the same processors as the agent that waits for it."""
POLICY = Policy(lease=60, order=900, samples=7)
"""A lock lets one start of an application record here, so a lease that was not fulfilled may soon be void.
People's machines do other things meanwhile: seven starts a side tell more surely than five."""
GRACE = 5
"""Seconds that requests under way have to end in when the block ends."""


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
    return Service(running, home.public_keys, home.token) if running else None


@contextmanager
def quick(
    home: Home, server: str | None, keys: Path | None, token: Path | None
) -> Iterator[tuple[Service, Budgets]]:
    """A service for one lookup, and what it may take.

    Raises:
        WarmrootError: there is none, and none can be started.
    """
    found = where(home, server, keys, token)
    if found is not None:
        yield found, ELSEWHERE
        return
    from jboost_server.local import front

    secret = prepare(home)[1]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_logged(home))
        try:
            url = stack.enter_context(front.serving(opened(home), secret))
        except OSError as error:
            raise NetworkError(f"no service on loopback: {error.strerror}") from error
        yield Service(url, home.public_keys, home.token), OWN


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
        UserError, DiskFull: the folder can't be written, or holds a key or token that is none.
    """
    home.make()
    with named_errors(home.root):
        if not home.token.exists():
            make_once(home.token, lambda new: write_secret(new, secrets.token_hex(32).encode()))
        if not home.signing_key.exists():
            make_once(home.signing_key, signing.create)
    signer = signing.load([home.signing_key])
    public = "".join(f"{line}\n" for line in signer.public_lines)
    with named_errors(home.root):
        if not home.public_keys.exists() or home.public_keys.read_text() != public:
            signing.write_publics(signer, home.public_keys)
    return signer, shared_token(home.token)


def public_lines(home: Home, file: Path | None) -> list[str]:
    """The public half of a private key, or of the folder's own, as agents want it.

    Raises:
        UserError: it can't be read, or it is no Ed25519 key.
    """
    signer = prepare(home)[0] if file is None else signing.load([file])
    return list(signer.public_lines)


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
    with _logged(home), serving(home, signer, secret) as (url, _):
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
def serving(
    home: Home, signer: Signer, secret: str, *, policy: Policy = POLICY, listen: str = "127.0.0.1:0"
) -> Iterator[tuple[str, threading.Thread]]:
    """The whole service on the folder until the block ends: where it listens, and the thread that runs it.

    Raises:
        UserError: `listen` is no address, or can't be listened on.
        StoreError: the store can't be opened.
    """
    import uvicorn

    from jboost_server.web.app import create_app
    from jboost_server.web.listening import config, listening
    from jboost_server.web.service import Settings

    app = create_app(
        Settings(
            DirectoryStore(home.store),
            signer,
            Local(secret),
            clock=time.time,
            monotonic=time.monotonic,
            policy=policy,
        )
    )
    with listening(listen) as listener:
        server = uvicorn.Server(config(app, grace=GRACE))
        thread = threading.Thread(target=_run, args=(server, listener), name="service", daemon=True)
        thread.start()
        try:
            yield _address(listener), thread
        finally:
            server.should_exit = True
            thread.join()


def _address(listener: socket.socket) -> str:
    """Where this machine's own programs find it."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not listened on
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the main thread's
    server.run(sockets=[listener])

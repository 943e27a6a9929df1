"""Runs the cache service: reads options, opens store and keys, listens, ends cleanly at SIGTERM."""

from __future__ import annotations

import ipaddress
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jboost_server import signing
from jboost_server.core.retention import OF_A_CLUSTER, Retention
from jboost_server.settings import Policy
from jboost_server.signing import Signer
from jboost_server.store.directory import DirectoryStore
from jboost_server.web.app import create_app
from jboost_server.web.hosts import LOOPBACK
from jboost_server.web.listening import config, host_and_port, listening
from jboost_server.web.process import Server, log_json
from jboost_server.web.service import Settings
from jboost_server.web.tenancy import Local, Tenants, TokenReview, shared_token
from warmroot.errors import UserError

if TYPE_CHECKING:
    from jboost_server.store.port import ObjectStore

KEY = "signing.pem"
PUBLIC = "public.keys"
READERS = 256
"""Connections to an S3 store that are kept: each reader of an archive holds one as long as it reads."""
GRACE = 20
"""Seconds that requests under way have to end after SIGTERM."""
log = logging.getLogger("jboost_server")


@dataclass(frozen=True)
class Options:
    """What a person chose. `store` is a folder or `s3://bucket/prefix`; `listen` is `host:port`.

    `keys` are files of one or two private keys; without one, the directory store gets its own on first use.
    `tenancy` is `local` or `kubernetes`; `controller` is then the account, `namespace:name`, that may look at
    all tenants.
    """

    store: str
    listen: str = "127.0.0.1:8780"
    keys: tuple[Path, ...] = ()
    public_keys: Path | None = None
    s3_endpoint: str = ""
    tenancy: str = "local"
    token_file: Path | None = None
    redirect: bool = False
    policy: Policy = field(default_factory=Policy)
    controller: str = ""


def serve(options: Options) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        UserError: options that can't be, or an address that can't be listened on.
        StoreError: the store can't be opened.
    """
    log_json()
    tenants = _tenants(options, host_and_port(options.listen)[0])
    store = open_store(options)
    signer = open_keys(options)
    app = create_app(
        Settings(
            store,
            signer,
            tenants,
            clock=time.time,
            monotonic=time.monotonic,
            policy=options.policy,
            redirect=options.redirect,
            retention=OF_A_CLUSTER if options.tenancy == "kubernetes" else Retention(),
            hosts=LOOPBACK if options.tenancy == "local" and options.token_file is None else frozenset(),
        )
    )
    with listening(options.listen) as listener:
        address = listener.getsockname()
        log.info(
            "listening",
            extra={
                "address": f"{address[0]}:{address[1]}",
                "store": options.store,
                "tenancy": options.tenancy,
            },
        )
        Server(config(app, grace=GRACE)).run(sockets=[listener])
    log.info("ended")


def open_store(options: Options) -> ObjectStore:
    """The store that the options name; a directory is swept of what killed writers left.

    Raises:
        UserError: an address that names no bucket.
        StoreError: it can't be opened, or it does not honour conditional writes.
    """
    if not options.store.startswith("s3://"):
        store = DirectoryStore(Path(options.store))
        store.sweep()
        return store
    return _bucket(options)


def open_keys(options: Options) -> Signer:
    """The keys to sign with. Makes one beside a directory store that has none, with its public half.

    Raises:
        UserError: a key can't be read or made, or an S3 store was given none.
    """
    paths = options.keys
    folder = None if options.store.startswith("s3://") else Path(options.store)
    if not paths:
        if folder is None:
            raise UserError(
                "an S3 store needs --key", hint="make one with `openssl genpkey -algorithm ed25519`"
            )
        paths = (folder / KEY,)
        if not paths[0].exists():
            signing.create(paths[0])
            log.info("made a signing key", extra={"key": str(paths[0]), "next": "keep it; back it up"})
    signer = signing.load(paths)
    public = options.public_keys or (folder and folder / PUBLIC)
    if public is not None:
        signing.write_publics(signer, public)
        log.info("public keys for agents", extra={"keys": str(public)})
    return signer


def _bucket(options: Options) -> ObjectStore:
    import boto3
    from botocore.config import Config

    from jboost_server.store.s3 import S3Store

    bucket, _, prefix = options.store.removeprefix("s3://").partition("/")
    if not bucket:
        raise UserError(f"{options.store} names no bucket", hint="use s3://bucket or s3://bucket/prefix")
    client = boto3.client(
        "s3",
        endpoint_url=options.s3_endpoint or None,
        config=Config(
            signature_version="s3v4",
            connect_timeout=5,
            read_timeout=30,
            max_pool_connections=READERS,
            retries={"total_max_attempts": 3, "mode": "standard"},
            s3={"addressing_style": "path"} if options.s3_endpoint else {},
        ),
    )
    store = S3Store(client, bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else "")
    store.probe()
    return store


def _tenants(options: Options, host: str) -> Tenants:
    if options.tenancy == "kubernetes":
        from warmroot.kube.cluster import connect
        from warmroot.kube.transport import RequestsTransport

        return TokenReview(
            connect(RequestsTransport), monotonic=time.monotonic, controller=options.controller
        )
    if options.tenancy != "local":
        raise UserError(f"no tenancy {options.tenancy!r}", hint="local or kubernetes")
    if options.token_file is None:
        if not _loopback(host):
            raise UserError(
                f"{host} can be reached by others, who would all be one tenant",
                hint="listen on 127.0.0.1, or use `jboost serve`, which wants a token",
            )
        return Local()
    return Local(shared_token(options.token_file))


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

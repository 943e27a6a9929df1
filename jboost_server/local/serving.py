"""`jboost serve`: the cache service in the foreground, on a person's folder or in a container."""

from __future__ import annotations

import contextlib
from pathlib import Path

from jboost_server.local.home import Home
from jboost_server.local.service import prepare
from jboost_server.settings import Policy
from jboost_server.web import main
from jboost_server.web.main import Options

RECORDERS_OF_A_CLUSTER = 3


def serve(
    home: Home,
    listen: str,
    store: str | None,
    keys: tuple[Path, ...],
    *,
    kubernetes: bool,
    s3_endpoint: str,
    redirect: bool,
    recorders: int | None,
    min_gain: int,
) -> None:
    """Serves until SIGTERM or Ctrl-C. On the folder's own store, `jboost run` finds it.

    Raises:
        UserError: options that can't be, an address that can't be listened on, a folder that is in use.
        StoreError: the store can't be opened.
    """
    policy = Policy(
        recorders=recorders if recorders is not None else RECORDERS_OF_A_CLUSTER if kubernetes else 1,
        min_gain=min_gain,
    )
    with contextlib.ExitStack() as stack:
        token = None
        if not kubernetes:
            prepare(home)
            token = home.token
            if store is None:
                keys = keys or (home.signing_key,)
                stack.enter_context(home.announced(f"http://{listen}"))
        main.serve(
            Options(
                store=store or str(home.store),
                listen=listen,
                keys=keys,
                public_keys=None if kubernetes else home.public_keys,
                s3_endpoint=s3_endpoint,
                tenancy="kubernetes" if kubernetes else "local",
                token_file=token,
                redirect=redirect,
                policy=policy,
            )
        )

"""`jboost serve`: the cache service in the foreground, on a person's folder or in a container."""

from __future__ import annotations

import logging
from pathlib import Path

from jboost_server.local.building import ToldToEnd, told_to_end
from jboost_server.local.home import Home
from jboost_server.local.say import say
from jboost_server.local.service import prepare, serving
from jboost_server.settings import Policy
from jboost_server.web import main
from jboost_server.web.main import Options
from warmroot.errors import ProgramDied, UserError

RECORDERS_OF_A_CLUSTER = 3
SAVED_IN_A_CLUSTER = 2000
"""Milliseconds: about what a start loses to an init container, which no builder sees (`bench pods` does)."""
_THIS_MACHINE = ("127.", "localhost:", "[::1]:")


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
    min_saved: int | None,
    controller: str = "",
) -> None:
    """Serves until SIGTERM or Ctrl-C. On the folder's own store, `jboost run` finds it.

    Raises:
        UserError: options that can't be, an address that can't be listened on, a folder that is in use.
        StoreError: the store can't be opened.
        ProgramDied: the service ended without being told to.
    """
    policy = Policy(
        recorders=recorders if recorders is not None else RECORDERS_OF_A_CLUSTER if kubernetes else 1,
        min_gain=min_gain,
        min_saved=min_saved if min_saved is not None else SAVED_IN_A_CLUSTER if kubernetes else 0,
    )
    if controller and (not kubernetes or controller.count(":") != 1):
        raise UserError(
            f"--controller {controller} names nobody",
            hint="NAMESPACE:ACCOUNT, such as warmroot-jboost:jboost-controller, with --tenancy kubernetes",
        )
    if not kubernetes and store is None:
        if keys or s3_endpoint or redirect:
            raise UserError(
                "--key, --s3-endpoint and --redirect belong to --store or to --tenancy kubernetes",
                hint="what is in the folder is signed with the folder's own key, which `jboost run` believes",
            )
        _folder(home, listen, policy)
        return
    if not kubernetes:
        prepare(home)
    main.serve(
        Options(
            store=store or str(home.store),
            listen=listen,
            keys=keys,
            s3_endpoint=s3_endpoint,
            tenancy="kubernetes" if kubernetes else "local",
            token_file=None if kubernetes else home.token,
            redirect=redirect,
            policy=policy,
            controller=controller,
        )
    )


def _folder(home: Home, listen: str, policy: Policy) -> None:
    """The service that `jboost run` finds. It is announced once it listens, and not before."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    signer, secret = prepare(home)
    try:
        with (
            told_to_end(),
            home.only_service(),
            serving(home, signer, secret, policy=policy, listen=listen) as (url, thread),
            home.announced(url),
        ):
            say(f"listening on {url}; `jboost run` on this folder uses it; Ctrl-C ends it")
            if not listen.startswith(_THIS_MACHINE):
                say(f"other machines need copies: --keys of {home.public_keys}, --token of {home.token}")
            thread.join()
        raise ProgramDied("the cache service ended by itself", hint="start it again; report what it said")
    except (KeyboardInterrupt, ToldToEnd):
        say("the cache service has ended")

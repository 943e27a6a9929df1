"""What this machine's folder holds, read without a service and without what only shows it."""

from __future__ import annotations

from typing import Any

from jboost_server.builds import Builds
from jboost_server.core.lookup import Scope
from jboost_server.local.home import Home
from jboost_server.local.service import opened
from jboost_server.outcomes import Outcomes
from jboost_server.status import Status
from jboost_server.web.tenancy import LOCAL


def forget_refusals(home: Home, group: str) -> None:
    """What was refused of a group, or given up, may be built again.

    Raises:
        StoreError, UserError: the folder can't be read or written.
    """
    Builds(opened(home)).forgive(Scope(LOCAL, group))


def here(home: Home, group: str | None) -> dict[str, Any]:
    """What `GET /v1/status` would answer.

    Raises:
        StoreError, UserError: it can't be read.
    """
    if not home.store.exists():
        return {"groups": []}
    catalogue = opened(home)
    return Status(catalogue, Builds(catalogue), Outcomes(catalogue)).of(LOCAL, group)

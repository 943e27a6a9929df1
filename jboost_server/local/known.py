"""What this machine's folder holds, read without a service and without what only shows it."""

from __future__ import annotations

from typing import Any

from jboost_server.builds import Builds
from jboost_server.local.home import Home
from jboost_server.local.service import LOCAL, opened
from jboost_server.outcomes import Outcomes
from jboost_server.status import Status


def here(home: Home, group: str | None) -> dict[str, Any]:
    """What `GET /v1/status` would answer.

    Raises:
        StoreError, UserError: it can't be read.
    """
    if not home.store.exists():
        return {"groups": []}
    catalogue = opened(home)
    return Status(catalogue, Builds(catalogue), Outcomes(catalogue)).of(LOCAL, group)

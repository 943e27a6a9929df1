"""Who may look at all tenants: one account, by its name and by its token's audience. A fake of the API server
says whose a token is; the real one is asked in tests/api/test_server_tenancy.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from jboost_server.web.tenancy import AUDIENCE, BUILD_AUDIENCE, CONTROL_AUDIENCE, Identity, TokenReview
from warmroot.errors import WrongToken

CONTROLLER = "warmroot-jboost:jboost-controller"


class Reviews:
    """An API server that takes every token for this account's and these audiences'."""

    def __init__(self, account: str, *audiences: str) -> None:
        self.account, self.audiences = account, audiences

    def create(self, _: Any, body: dict[str, Any]) -> dict[str, Any]:
        pod = {"authentication.kubernetes.io/pod-uid": ["u"], "authentication.kubernetes.io/pod-name": ["p"]}
        found = [one for one in self.audiences if one in body["spec"]["audiences"]]
        user = {"username": f"system:serviceaccount:{self.account}", "extra": pod}
        return {"status": {"authenticated": True, "audiences": found, "user": user}}


def identity(account: str, *audiences: str, controller: str = CONTROLLER) -> Identity:
    tenants = TokenReview(Reviews(account, *audiences), monotonic=lambda: 0.0, controller=controller)
    return tenants.identify("Bearer token")


def test_the_named_account_with_the_controllers_audience_may_look():
    found = identity(CONTROLLER, CONTROL_AUDIENCE)
    found.must_control()
    assert not found.builder


@pytest.mark.parametrize(
    ("account", "controller"),
    [
        ("shop:jboost-controller", CONTROLLER),
        ("warmroot-jboost:default", CONTROLLER),
        (CONTROLLER, ""),
        ("warmroot-jboost:jboost-controller-2", CONTROLLER),
    ],
)
def test_the_audience_alone_is_worth_nothing(account, controller):
    """Whoever makes a pod may project a token of any audience."""
    with pytest.raises(WrongToken, match="not for"):
        identity(account, CONTROL_AUDIENCE, controller=controller)
    assert not identity(account, CONTROL_AUDIENCE, AUDIENCE, controller=controller).controller


@pytest.mark.parametrize("audience", [AUDIENCE, BUILD_AUDIENCE])
def test_the_name_alone_is_worth_nothing_more_than_a_pods(audience):
    found = identity(CONTROLLER, audience)
    with pytest.raises(WrongToken, match="not the controller's"):
        found.must_control()

"""Who may look at all tenants: one account, by its name and by its token's audience. A fake of the API server
says whose a token is; the real one is asked in tests/api/test_server_tenancy.py.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from jboost_server.web.tenancy import AUDIENCE, BUILD_AUDIENCE, CONTROL_AUDIENCE, Identity, TokenReview
from warmroot.errors import WrongGroup, WrongToken

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


def identity(account: str, *audiences: str, controller: str = CONTROLLER, shown: str = "token") -> Identity:
    tenants = TokenReview(Reviews(account, *audiences), monotonic=lambda: 0.0, controller=controller)
    return tenants.identify(f"Bearer {shown}")


def signed(claims: object) -> str:
    """As a token looks; nobody here checks its signature."""
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2lnbmF0dXJl"


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


ORDERS, BUILD_ORDERS = f"{AUDIENCE}/orders", f"{BUILD_AUDIENCE}/orders"


@pytest.mark.parametrize(("audience", "builder"), [(ORDERS, False), (BUILD_ORDERS, True)])
def test_a_token_of_one_group_is_good_for_that_group(audience, builder):
    found = identity("shop:default", audience, shown=signed({"aud": [audience]}))
    assert (found.tenant, found.group, found.builder) == ("shop", "orders", builder)
    found.must_be_of("orders")
    with pytest.raises(WrongGroup):
        found.must_be_of("billing")


def test_what_a_token_says_of_itself_is_believed_only_when_the_api_server_confirms_it():
    with pytest.raises(WrongToken):
        identity("shop:default", shown=signed({"aud": [ORDERS]}))
    assert identity("shop:default", AUDIENCE, shown=signed({"aud": [ORDERS]})).group == ""


@pytest.mark.parametrize("narrow", [ORDERS, BUILD_ORDERS])
@pytest.mark.parametrize("wide", [AUDIENCE, BUILD_AUDIENCE])
def test_a_group_narrows_a_token_whatever_else_it_is_for(wide, narrow):
    found = identity("shop:default", wide, narrow, shown=signed({"aud": [wide, narrow]}))
    assert found.group == "orders"


def test_a_token_for_several_groups_is_refused():
    other = f"{AUDIENCE}/billing"
    with pytest.raises(WrongToken, match="several groups"):
        identity("shop:default", ORDERS, other, shown=signed({"aud": [ORDERS, other]}))


@pytest.mark.parametrize(
    "shown",
    [
        "opaque",
        "a.b",
        "a.!!!.c",
        signed([]),
        signed({"aud": 7}),
        signed({"aud": [7, None, {}]}),
        signed({"aud": [f"{AUDIENCE}/", "vault/orders", f"x{AUDIENCE}/orders", f"{AUDIENCE}/{'a' * 600}"]}),
        signed({"sub": "x"}),
        signed({"aud": [f"{CONTROL_AUDIENCE}/orders"]}),
    ],
)
def test_an_odd_token_is_asked_about_as_any_other(shown):
    asked: list[list[str]] = []

    class Noting(Reviews):
        def create(self, kind: Any, body: dict[str, Any]) -> dict[str, Any]:
            asked.append(body["spec"]["audiences"])
            return super().create(kind, body)

    tenants = TokenReview(Noting("shop:default", AUDIENCE), monotonic=lambda: 0.0)
    assert tenants.identify(f"Bearer {shown}").group == ""
    assert asked == [[AUDIENCE, BUILD_AUDIENCE, CONTROL_AUDIENCE]]


def test_a_token_with_hundreds_of_audiences_does_not_become_hundreds_of_questions():
    many = [f"{AUDIENCE}/group-{number}" for number in range(300)]
    found = identity("shop:default", many[0], shown=signed({"aud": many}))
    assert found.group == "group-0"

"""The small service of one start answers as the whole one does, and only to whoever may ask."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request

import pytest

from jboost_server.builds import Builds
from jboost_server.core import layout
from jboost_server.core.outcome import Outcome
from jboost_server.local import front
from jboost_server.local.home import Home
from jboost_server.local.service import opened, prepare, quick, reach
from jboost_server.outcomes import Outcomes
from jboost_server.status import Status
from tests.jboost_world import KEY

LOOKUP = {"group": "orders", "key": KEY.tree(), "record": False}


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.make()
    return made


@pytest.fixture(params=[quick, reach], ids=["small", "whole"])
def service(request, home):
    with request.param(home, None, None, None) as found:
        yield found[0] if isinstance(found, tuple) else found


def ask(service, path, tree=None, *, token=None):
    """Status and JSON."""
    data = None if tree is None else json.dumps(tree).encode()
    request = urllib.request.Request(
        service.url + path, data=data, headers={"Content-Type": "application/json"}
    )
    request.add_header("Authorization", f"Bearer {service.token.read_text() if token is None else token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            body = answer.read()
            return answer.status, json.loads(body) if body[:1] == b"{" else body
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_lookup_without_an_archive_says_so(service):
    code, answer = ask(service, "/v1/lookup", LOOKUP)

    assert (code, answer["outcome"], answer["proposals"], answer["recorder"]) == (200, "missing", [], None)


def test_who_would_record_gets_a_lease(service):
    code, answer = ask(service, "/v1/lookup", LOOKUP | {"record": True})

    assert (code, answer["outcome"]) == (200, "learning")
    assert answer["recorder"].keys() == {"lease", "form", "settle"}
    assert answer["recorder"]["form"] == "classlist"


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_others_of_this_machine_learn_nothing(service, token):
    for path, tree in (("/v1/lookup", LOOKUP), (f"/v1/archives/{'0' * 64}", None)):
        code, answer = ask(service, path, tree, token=token)

        assert code == 401
        assert answer["error"]["hint"]


@pytest.mark.parametrize(
    "tree",
    [{}, {"group": "orders"}, LOOKUP | {"group": "../x"}, LOOKUP | {"key": {}}, LOOKUP | {"more": 1}, []],
)
def test_what_is_no_lookup_is_refused_by_name(service, tree):
    code, answer = ask(service, "/v1/lookup", tree)

    assert code == 400
    assert answer["error"]["reason"] in {"BadRequest", "BadKey"}


def test_what_nobody_made_is_not_there(service):
    assert ask(service, f"/v1/archives/{'0' * 64}")[0] == 404
    assert ask(service, "/v1/nothing", {})[0] in {404, 405}


def test_an_outcome_is_counted(home, service):
    ask(service, "/v1/lookup", LOOKUP | {"record": True})
    told = {"group": "orders", "key": KEY.digest, "archive": "", "outcome": "learning", "why": "", "ms": {}}

    assert ask(service, "/v1/outcomes", told)[0] == 204


def test_what_was_counted_is_there_after_the_service_ended(home):
    with quick(home, None, None, None) as (service, _):
        ask(service, "/v1/lookup", LOOKUP | {"record": True})
        told = {"group": "orders", "key": KEY.digest, "archive": "", "outcome": "agent", "why": "", "ms": {}}
        ask(service, "/v1/outcomes", told)

    catalogue = opened(home)
    (group,) = Status(catalogue, Builds(catalogue), Outcomes(catalogue)).of("local")["groups"]
    assert group["keys"][0]["misses"] == {Outcome.AGENT.value: 1}


def test_an_archive_comes_whole(home):
    data = bytes(range(256)) * 4096
    digest = hashlib.sha256(data).hexdigest()
    opened(home).store.put_new(layout.archive("local", digest), [data], len(data))

    with front.serving(opened(home), prepare(home)[1]) as url:
        request = urllib.request.Request(
            f"{url}/v1/archives/{digest}", headers={"Authorization": f"Bearer {home.token.read_text()}"}
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.headers["ETag"] == f'"{digest}"'
            assert answer.read() == data

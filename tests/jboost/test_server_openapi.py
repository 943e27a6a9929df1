"""The OpenAPI description, attacked by schemathesis: nothing breaks the service, refusals have names."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from jboost_server.settings import Policy
from jboost_server.store.directory import DirectoryStore
from jboost_server.web.app import create_app
from jboost_server.web.service import Settings
from jboost_server.web.tenancy import Local
from tests.jboost.server_world import SIGNER, Clock

REQUESTS = (
    "POST /v1/lookup",
    "GET /v1/archives/{digest}",
    "PUT /v1/recordings/{digest}",
    "POST /v1/outcomes",
    "POST /v1/builds",
    "GET /v1/builds/{order}/input",
    "PUT /v1/builds/{order}/archive",
    "POST /v1/builds/{order}/result",
    "GET /v1/status",
    "GET /v1/tenants/{tenant}/groups/{group}",
    "POST /v1/tenants/{tenant}/groups/{group}/outcomes",
)


@pytest.fixture
def described(tmp_path):
    app = create_app(
        Settings(
            DirectoryStore(tmp_path),
            SIGNER,
            Local(),
            clock=Clock(),
            monotonic=Clock(),
            policy=Policy(),
        )
    )
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.parametrize("request_", REQUESTS)
def test_no_request_breaks_the_service(described, request_):
    method, path = request_.split()

    @settings(max_examples=30, suppress_health_check=list(HealthCheck), deadline=None)
    @given(case=described[path][method].as_strategy())
    def attack(case):
        answer = case.call()
        assert answer.status_code < 500
        if answer.status_code >= 400:
            assert answer.json()["error"]["reason"] not in {"Bug", "Error"}

    attack()


def test_every_request_of_the_protocol_is_described(described):
    paths = described.raw_schema["paths"]
    found = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert found == set(REQUESTS)

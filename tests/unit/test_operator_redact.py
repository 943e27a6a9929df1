"""What leaves in a support bundle: no secret that has the form of one, or a name that says it is one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from os_operator.core.redact import OUT, text, value

SECRET = st.text("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", min_size=12, max_size=40)
SAID = (
    "Authorization: Bearer {}",
    "password={} and more",
    "db_password: '{}'",
    '{{"token": "{}", "level": "info"}}',
    '{{"clientSecret":"{}"}}',
    "https://robot:{}@registry.example/v2/",
    "GET /archive?X-Amz-Credential=a&X-Amz-Signature={}&x=1",
    "jboost serve --s3-secret {} --listen 0.0.0.0:1",
    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
    "-----BEGIN EC PRIVATE KEY-----\n{} and the log ends here",
    "a token eyJhbGciOiJFZERTQSJ9.{}.c2ln was refused",
)


@given(SECRET, st.sampled_from(SAID), st.sampled_from(["", "before it: "]))
def test_no_secret_stays_in_a_line_that_names_it(secret, said, before):
    line = before + said.format(secret)
    assert secret not in text(line)
    assert secret not in json.dumps(value({"message": line, "lines": [line]}))


def test_a_line_of_json_stays_one():
    assert json.loads(text('{"token": "a \\"b\\" c", "secret":"", "n": 1}')) == {
        "token": OUT,
        "secret": OUT,
        "n": 1,
    }


@pytest.mark.parametrize(
    "line",
    [
        "the token is refused: it is for another audience",
        "node-1: Draining, DrainBlocked (since 2027-01-15T07:00:00Z)",
        "done cache=shop/orders action=WriteStatus key=d38eb01d86f0",
        "sha256:111111111111 from https://releases.example/os?arch=amd64",
        "reading --token-file /var/run/jboost/token",
    ],
)
def test_what_explains_a_failure_stays(line):
    assert text(line) == line


def test_objects_keep_their_names_and_lose_their_secrets():
    found = value(
        {
            "kind": "Pod",
            "metadata": {
                "name": "a",
                "managedFields": [{"manager": "x"}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a/b": "c"},
            },
            "spec": {
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "env": [
                            {"name": "A", "value": "b"},
                            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                        ],
                        "args": ["--password", "p4ss", "--listen", "0.0.0.0", "--token-file", "/t"],
                    }
                ],
                "volumes": [{"secret": {"secretName": "signing"}}],
            },
        }
    )
    assert found["metadata"] == {"name": "a", "annotations": {"a/b": "c"}}
    (container,) = found["spec"].pop("containers")
    assert container["env"] == [
        {"name": "A", "value": OUT},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ]
    assert container["args"] == ["--password", OUT, "--listen", "0.0.0.0", "--token-file", "/t"]
    rest = {"automountServiceAccountToken": False, "volumes": [{"secret": {"secretName": "signing"}}]}
    assert found["spec"] == rest


def test_files_of_settings_and_secrets_keep_their_places_alone():
    files = {"files": [{"path": "/etc/motd", "content": "hello"}]}
    assert value(files) == {"files": [{"path": "/etc/motd", "content": OUT}]}
    made = value(
        {"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "Yg=="}, "stringData": {"c": "d"}}
    )
    assert made == {"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": OUT}, "stringData": {"c": OUT}}

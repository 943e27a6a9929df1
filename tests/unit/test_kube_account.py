"""What our programs make for themselves belongs to their ServiceAccount, and goes with it."""

from __future__ import annotations

import base64
import json

import pytest

from warmroot.kube.account import owned_in

CLAIMS = {
    "namespace": "ours",
    "serviceaccount": {"name": "warmroot-operator", "uid": "5f3b"},
    "pod": {"name": "operator-1", "uid": "77"},
}


def written(folder, claims, payload=None):
    text = (
        payload
        or base64.urlsafe_b64encode(json.dumps({"kubernetes.io": claims}).encode()).rstrip(b"=").decode()
    )
    path = folder / "token"
    path.write_text(f"e30.{text}.c2ln")
    return path


def test_the_owner_is_the_account_that_the_token_names(tmp_path):
    owner = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "warmroot-operator", "uid": "5f3b"}
    assert owned_in("ours", written(tmp_path, CLAIMS)) == {"ownerReferences": [owner]}


def test_an_object_of_another_namespace_has_no_owner_since_it_would_be_deleted_at_once(tmp_path):
    assert owned_in("others", written(tmp_path, CLAIMS)) == {}


@pytest.mark.parametrize("payload", ["", "e30", "bnVsbA", "%%%", "eyJrdWJlcm5ldGVzLmlvIjoxfQ"])
def test_who_has_no_such_token_makes_it_without_an_owner(tmp_path, payload):
    assert owned_in("ours", tmp_path / "none") == {}
    assert owned_in("ours", written(tmp_path, CLAIMS, payload or " ")) == {}

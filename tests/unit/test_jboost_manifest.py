import base64
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from jboost_server.core.manifest import (
    CONTEXT,
    MAX_MANIFEST,
    Preflight,
    decode,
    key_id,
    seal,
    verify,
)
from jboost_server.signing import Signer
from tests.jboost_world import MANIFEST
from warmroot.errors import BadManifest, BadSignature, TooLarge

OLD, NEW, STRANGER = (Signer((Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32),)) for n in (1, 2, 3))
BOTH = Signer(OLD.keys + NEW.keys)


def bent(change) -> bytes:
    tree = json.loads(MANIFEST.encode())
    change(tree)
    return json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()


def test_a_manifest_decodes_to_itself():
    waived = replace(MANIFEST, preflight=Preflight.WAIVED)
    assert decode(MANIFEST.encode()) == MANIFEST
    assert decode(waived.encode()) == waived


def test_what_the_service_signed_is_believed():
    assert verify(OLD.sign(MANIFEST), OLD.publics) == MANIFEST


@pytest.mark.parametrize("signer", [OLD, NEW, BOTH])
@pytest.mark.parametrize("keys", [OLD.publics + NEW.publics, NEW.publics + OLD.publics])
def test_while_keys_rotate_either_signature_is_enough(signer, keys):
    assert verify(signer.sign(MANIFEST), keys) == MANIFEST


@pytest.mark.parametrize("keys", [OLD.publics, NEW.publics])
def test_what_both_keys_signed_is_believed_by_pods_that_know_one(keys):
    assert verify(BOTH.sign(MANIFEST), keys) == MANIFEST


def test_a_retired_key_is_not_believed():
    with pytest.raises(BadSignature, match=key_id(NEW.publics[0])):
        verify(OLD.sign(MANIFEST), NEW.publics)


def test_a_stranger_who_takes_a_valid_keys_name_is_not_believed():
    forged = STRANGER.keys[0].sign(CONTEXT + MANIFEST.encode())
    with pytest.raises(BadSignature):
        verify(seal(MANIFEST.encode(), {key_id(OLD.publics[0]): forged}), OLD.publics)


def test_a_signature_for_something_else_is_not_believed():
    for data in (MANIFEST.encode(), b"other context\n" + MANIFEST.encode()):
        signature = OLD.keys[0].sign(data)
        with pytest.raises(BadSignature):
            verify(seal(MANIFEST.encode(), {key_id(OLD.publics[0]): signature}), OLD.publics)


def test_one_changed_byte_anywhere_in_the_manifest_is_noticed():
    envelope = json.loads(OLD.sign(MANIFEST))
    data = base64.b64decode(envelope["manifest"])
    signatures = {name: bytes.fromhex(value) for name, value in envelope["signatures"].items()}
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(BadSignature):
            verify(seal(changed, signatures), OLD.publics)


def test_an_unsigned_manifest_is_not_even_read():
    with pytest.raises(BadSignature):
        verify(seal(b"garbage", {}), OLD.publics)


def test_a_signed_manifest_that_is_odd_is_refused_all_the_same():
    data = MANIFEST.encode() + b"\n"
    envelope = seal(data, {key_id(OLD.publics[0]): OLD.keys[0].sign(CONTEXT + data)})
    with pytest.raises(BadManifest, match="canonical"):
        verify(envelope, OLD.publics)


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"\xff",
        b"[" * 20_000,
        b"{}",
        b'{"manifest":"!","signatures":{}}',
        b'{"manifest":"","signatures":[]}',
        b'{"manifest":"","signatures":{"a":1}}',
        b'{"manifest":"","signatures":{"a":"zz"}}',
        b'{"manifest":"","signatures":{"a":"","b":"","c":""}}',
        b'{"manifest":"","signatures":{},"more":1}',
    ],
)
def test_garbage_is_no_envelope(odd):
    with pytest.raises(BadManifest):
        verify(odd, OLD.publics)


def test_an_endless_envelope_is_not_read():
    with pytest.raises(TooLarge):
        verify(b"x" * (MAX_MANIFEST + 1), OLD.publics)


@pytest.mark.parametrize("keys", [(), OLD.publics + NEW.publics + STRANGER.publics, (b"short",)])
def test_one_or_two_real_keys_are_valid_at_a_time(keys):
    with pytest.raises(ValueError):
        verify(OLD.sign(MANIFEST), keys)


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.update(digest="sha256:" + "a" * 64),
        lambda tree: tree.update(size=0),
        lambda tree: tree.update(tenant="../other"),
        lambda tree: tree.update(group=""),
        lambda tree: tree.update(flags=["-Xmx1g -jar evil.jar"]),
        lambda tree: tree.update(flags=["evil.Main"]),
        lambda tree: tree.update(flags=["@/tmp/evil"]),
        lambda tree: tree.update(preflight="never"),
        lambda tree: tree.update(more=1),
        lambda tree: tree["key"].pop("jvm"),
    ],
)
def test_an_odd_manifest_is_refused(change):
    with pytest.raises(BadManifest):
        decode(bent(change))

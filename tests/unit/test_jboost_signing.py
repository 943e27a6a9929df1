import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from jboost_server.core.manifest import verify
from jboost_server.signing import create, load
from tests.jboost_world import MANIFEST
from warmroot.errors import UserError


def test_a_key_is_its_owners_alone_and_signs_after_loading(tmp_path):
    made = create(tmp_path / "a.pem")
    assert stat.S_IMODE((tmp_path / "a.pem").stat().st_mode) == 0o600
    assert verify(load([tmp_path / "a.pem"]).sign(MANIFEST), made.publics) == MANIFEST


def test_a_key_is_never_overwritten(tmp_path):
    create(tmp_path / "a.pem")
    before = (tmp_path / "a.pem").read_bytes()
    with pytest.raises(UserError, match="exists"):
        create(tmp_path / "a.pem")
    assert (tmp_path / "a.pem").read_bytes() == before


def test_while_keys_rotate_both_sign(tmp_path):
    publics = [create(tmp_path / name).publics for name in ("a.pem", "b.pem")]
    envelope = load([tmp_path / "a.pem", tmp_path / "b.pem"]).sign(MANIFEST)
    for public in publics:
        assert verify(envelope, public) == MANIFEST


def test_no_key_one_key_twice_and_three_keys_are_mistakes(tmp_path):
    paths = [tmp_path / f"{name}.pem" for name in "abc"]
    for path in paths:
        create(path)
    for wrong in ([], [paths[0], paths[0]], paths):
        with pytest.raises(UserError, match="1 to 2 different keys"):
            load(wrong)


def test_what_is_no_key_is_named(tmp_path):
    (tmp_path / "garbage.pem").write_bytes(b"\x00garbage")
    curve = generate_private_key(SECP256R1())
    (tmp_path / "curve.pem").write_bytes(
        curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    for name, says in (
        ("garbage.pem", "no private key"),
        ("curve.pem", "not Ed25519"),
        ("x.pem", "can't be read"),
    ):
        with pytest.raises(UserError, match=says):
            load([tmp_path / name])


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="can't be written"):
        create(tmp_path / "missing" / "a.pem")

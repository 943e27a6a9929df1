import json
from dataclasses import replace

import pytest

from warmroot.errors import Endless, Tampered
from warmroot.release.manifest import MAX_MANIFEST, Boot, Manifest, Root, Skew, decode, digest
from warmroot.release.verity import BLOCK, tree_size

MANIFEST = Manifest(
    product="warmroot",
    arch="amd64",
    version="2026.11.1",
    release_seq=7,
    min_seq=3,
    root=Root(size=10 * BLOCK + tree_size(10), data_blocks=10, salt=b"\x5a" * 32, root_hash=b"\x01" * 32),
    boot=Boot(size=4096, sha256=b"\x02" * 32),
    kernel="6.12.1",
    kubelet="1.36.2",
    kubernetes=Skew("1.36", "1.39"),
    config_schema=1,
)


def bent(change) -> bytes:
    tree = json.loads(MANIFEST.encode())
    change(tree)
    return json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()


def test_a_manifest_decodes_to_itself():
    assert decode(MANIFEST.encode()) == MANIFEST


def test_a_permitted_downgrade_is_part_of_it():
    manifest = replace(MANIFEST, allow_downgrade_from=9)
    assert decode(manifest.encode()) == manifest
    assert json.loads(manifest.encode())["allowDowngradeFrom"] == 9


def test_the_encoding_is_sorted_compact_utf8():
    assert MANIFEST.encode().startswith(
        b'{"arch":"amd64","boot":{"sha256":"0202020202020202020202020202020202020202020202020202020202020202",'
        b'"size":4096},"configSchema":1,"kernel":"6.12.1","kubelet":"1.36.2","kubernetes":{"max":"1.39","min":"1.36"},'
    )


def test_the_digest_is_the_sha256_of_the_bytes():
    assert digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (b"", "not a manifest"),
        (b"[]", "not an object"),
        (b"[" * 20000, "not a manifest"),
        (b"\xff", "not a manifest"),
        (json.dumps(json.loads(MANIFEST.encode())).encode(), "canonical"),
        (MANIFEST.encode() + b"\n", "canonical"),
        (bent(lambda t: t.update(surprise=1)), "unknown surprise"),
        (bent(lambda t: t["root"].update(url="x")), "unknown url"),
        (bent(lambda t: t.pop("kernel")), "lacks kernel"),
        (bent(lambda t: t.update(version="../../etc")), "version"),
        (bent(lambda t: t.update(version=3)), "not a string"),
        (bent(lambda t: t.update(releaseSeq=True)), "not an integer"),
        (bent(lambda t: t.update(releaseSeq=7.0)), "not an integer"),
        (bent(lambda t: t.update(releaseSeq=0)), "releaseSeq"),
        (bent(lambda t: t.update(minSeq=8)), "minSeq"),
        (bent(lambda t: t.update(allowDowngradeFrom=None)), "not an integer"),
        (bent(lambda t: t.update(allowDowngradeFrom=7)), "allowDowngradeFrom"),
        (bent(lambda t: t["root"].update(size=10 * BLOCK)), "root.size"),
        (bent(lambda t: t["root"].update(dataBlocks=10**30)), "dataBlocks"),
        (bent(lambda t: t["root"].update(rootHash="01" * 31)), "rootHash"),
        (bent(lambda t: t["root"].update(rootHash="AB" * 32)), "hex"),
        (bent(lambda t: t["boot"].update(size=-1)), "boot.size"),
        (bent(lambda t: t["kubernetes"].update(min="2.0")), "kubernetes.min"),
        (bent(lambda t: t["kubernetes"].update(min="\u0661.\u0661")), "kubernetes.min"),
    ],
)
def test_anything_odd_is_tampered_and_named(odd, says):
    with pytest.raises(Tampered, match=says):
        decode(odd)


def test_a_key_twice_is_tampered():
    with pytest.raises(Tampered):
        decode(MANIFEST.encode().replace(b'"kernel":', b'"kernel":"6.0","kernel":'))


def test_an_oversized_manifest_is_endless():
    with pytest.raises(Endless):
        decode(b" " * (MAX_MANIFEST + 1))


def test_skew_limits_include_both_ends():
    skew = Skew("1.36", "1.39")
    assert [skew.allows(v) for v in ("1.35", "1.36", "v1.39.4", "1.40")] == [False, True, True, False]

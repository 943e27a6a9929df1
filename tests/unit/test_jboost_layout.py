import pytest

from jboost_server.core import layout
from jboost_server.core.layout import Found, FoundArchive, KeyPlace
from jboost_server.core.lookup import Scope
from jboost_server.store.port import check_name, check_prefix

DIGEST = "a" * 64
PLACE = KeyPlace(Scope("shop", "orders.v1"), "b" * 64)


@pytest.mark.parametrize(
    ("name", "what", "which"),
    [
        (PLACE.build_key, "key", ""),
        (PLACE.merge, "merge", ""),
        (PLACE.build, "build", ""),
        (PLACE.lease(7), "lease", "7"),
        (PLACE.recording(DIGEST), "recording", DIGEST),
        (PLACE.facts(DIGEST), "facts", DIGEST),
        (PLACE.manifest(DIGEST), "manifest", DIGEST),
        (PLACE.counts(3), "outcomes", "3"),
    ],
)
def test_what_was_made_is_taken_apart_again(name, what, which):
    check_name(name)
    assert layout.take_apart(name) == Found(PLACE, what, which)
    assert layout.take_archive_apart(name) is None


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (layout.archive, "bytes"),
        (layout.compressed, "zst"),
        (layout.named_by, "json"),
        (layout.doomed, "gone"),
    ],
)
def test_an_archives_names_are_taken_apart_again(make, what):
    check_name(name := make("shop", DIGEST))
    assert layout.take_archive_apart(name) == FoundArchive("shop", DIGEST, what)
    assert layout.take_apart(name) is None


def test_prefixes_are_folders():
    for prefix in (layout.tenant_folder("shop"), layout.group_folder(PLACE.scope), PLACE.recordings):
        check_prefix(prefix)


@pytest.mark.parametrize(
    "name", ["", "..", ".a", "a/b", "A", "a_b", "-a", "a-", "archives", "a" * 129, "ä", "a\n"]
)
def test_what_is_no_name_has_no_objects(name):
    for scope in (Scope(name, "orders"), Scope("shop", name)):
        with pytest.raises(ValueError, match=r"named|no name"):
            KeyPlace(scope, "b" * 64)


@pytest.mark.parametrize("digest", ["", "a" * 63, "A" * 64, "../" + "a" * 61, "a" * 64 + "\n"])
def test_what_is_no_digest_names_nothing(digest):
    for make in (PLACE.recording, PLACE.facts, PLACE.manifest, lambda d: layout.archive("shop", d)):
        with pytest.raises(ValueError, match="digest"):
            make(digest)


@pytest.mark.parametrize(
    "name", ["", "x", "shop/orders", "shop/orders/x/key.json", f"shop/o/{DIGEST}/x.json"]
)
def test_foreign_names_are_none_of_ours(name):
    assert layout.take_apart(name) is None
    assert layout.take_archive_apart(name) is None

"""What a hostile or broken source can do to a node's trust: nothing, and each attempt has its own name."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, MetaFile, TargetFile

from tests.unit.release_server import serving
from tests.unit.release_world import ARCH, PRODUCT, ROLES, World, all_keys, content, new_keys
from warmroot.errors import (
    Endless,
    Frozen,
    Mixed,
    NetworkError,
    NodeError,
    Replayed,
    Tampered,
    Truncated,
    Unknown,
    WrongKey,
)
from warmroot.release.repository import Expiry, Repository
from warmroot.release.source import FileSource, HttpSource, Patience
from warmroot.release.trust import TrustedIndex


@pytest.fixture(scope="module")
def beginning(tmp_path_factory):
    """A world with release 1.0 and a node that has seen it. Each test gets its own copy."""
    folder = tmp_path_factory.mktemp("beginning")
    world = World(folder / "world")
    world.publish("1.0", 1)
    node = Node(world, folder / "node" / "trust")
    assert node.manifest("1.0")
    return node


@pytest.fixture
def world(beginning, tmp_path):
    return beginning.world.copy_to(tmp_path / "world")


@pytest.fixture
def node(beginning, world, tmp_path):
    """A node that has seen release 1.0 and nothing newer."""
    shutil.copytree(beginning.store, tmp_path / "node" / "trust", symlinks=True)
    return Node(world, tmp_path / "node" / "trust")


class Node:
    def __init__(self, world, store):
        self.world, self.store = world, store

    def index(self, source=None, **options):
        return TrustedIndex(self.store, self.world.anchor, source or self.world.source, **options)

    def manifest(self, version, **options):
        return self.index(**options).manifest(version=version, product=PRODUCT, arch=ARCH)[0]

    def refuses(self, error, version="2.0", **options):
        """Asking for a release raises exactly this error, and nothing on the node changed."""
        before = content(self.store.parent)
        with pytest.raises(error) as raised:
            self.manifest(version, **options)
        assert type(raised.value) is error
        assert content(self.store.parent) == before
        return raised.value


def manifest_path(world, version):
    (path,) = (world.folder / "repo/targets" / PRODUCT / ARCH).glob(f"*.{version}.json")
    return str(path.relative_to(world.folder / "repo"))


def reissue(world, role, keys, change=lambda signed: None, *, base=None):
    """The bytes of a role's newest metadata (or `base`), changed and signed again."""
    metadata = Metadata.from_bytes(base or world.file(world.newest(role)))
    change(metadata.signed)
    metadata.signatures.clear()
    for key in keys:
        metadata.sign(key, append=True)
    return metadata.to_bytes()


def forge_chain(world, change):
    """New targets, signed with the real keys, and the snapshot and timestamp that name them."""

    def bump(signed):
        signed.version += 1

    def bump_and_change(targets):
        bump(targets)
        change(targets)

    def naming(role, data):
        def rename(signed):
            bump(signed)
            meta = MetaFile.from_data(json.loads(data)["signed"]["version"], data, ["sha256"])
            if role == "snapshot":
                signed.meta["targets.json"] = meta
            else:
                signed.snapshot_meta = meta

        return rename

    data = reissue(world, "targets", world.keys["targets"], bump_and_change)
    for role in ("targets", "snapshot", "timestamp"):
        if role != "targets":
            data = reissue(world, role, world.keys[role], naming(role, data))
        version = json.loads(data)["signed"]["version"]
        name = "timestamp" if role == "timestamp" else f"{version}.{role}"
        world.source.lies[f"metadata/{name}.json"] = data


KINDS = ["root", "timestamp", "snapshot", "targets", "manifest"]


def test_an_honest_source_is_followed(world, node):
    published = world.publish("2.0", 2)
    assert node.manifest("2.0") == published.manifest
    assert node.index().manifest_by_digest(published.digest)[0] == published.manifest


def offer(world, node, kind):
    """Publishes 2.0; gives the path of one kind of its files. A manifest is read under a known index."""
    world.publish("2.0", 2)
    if kind == "root":
        world.repository.rotate(world.keys["root"], {"root": new_keys()})
    if kind == "manifest":
        node.index().refresh()
        return manifest_path(world, "2.0")
    return world.newest(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_value_is_tampered(world, node, kind):
    path = offer(world, node, kind)
    old, new = (
        (b'"releaseSeq":2', b'"releaseSeq":9') if kind == "manifest" else (b'"expires":"20', b'"expires":"90')
    )
    assert old in world.file(path)
    world.source.lies[path] = world.file(path).replace(old, new)
    node.refuses(Tampered)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_not_even_json_is_tampered(world, node, kind):
    path = offer(world, node, kind)
    world.source.lies[path] = b"<html>login</html>".ljust(len(world.file(path)))
    node.refuses(Tampered)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_breaks_off_is_truncated(world, node, kind):
    path = offer(world, node, kind)
    world.source.lies[path] = world.file(path)[:-20]
    node.refuses(Truncated)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flood_is_endless(world, node, kind):
    path = offer(world, node, kind)
    world.source.lies[path] = b"x" * (5 << 20)
    node.refuses(Endless)


def test_an_older_timestamp_is_replayed(world, node):
    old = world.file("metadata/timestamp.json")
    world.publish("2.0", 2)
    assert node.manifest("2.0")
    world.source.lies["metadata/timestamp.json"] = old
    node.refuses(Replayed, "1.0")


def test_a_new_timestamp_for_an_older_snapshot_is_replayed(world, node):
    """What a thief of the timestamp key could try."""
    world.publish("2.0", 2)
    assert node.manifest("2.0")

    def older(timestamp):
        timestamp.version += 1
        timestamp.snapshot_meta = MetaFile(1)

    world.source.lies["metadata/timestamp.json"] = reissue(world, "timestamp", world.keys["timestamp"], older)
    node.refuses(Replayed, "1.0")


def test_a_new_snapshot_for_older_targets_is_replayed(world, node):
    """What a thief of the snapshot and timestamp keys could try."""
    world.publish("2.0", 2)
    assert node.manifest("2.0")

    def older(snapshot):
        snapshot.version += 1
        snapshot.meta["targets.json"] = MetaFile(1)

    forged = reissue(world, "snapshot", world.keys["snapshot"], older)
    version = json.loads(forged)["signed"]["version"]

    def names_it(timestamp):
        timestamp.version += 1
        timestamp.snapshot_meta = MetaFile(version)

    world.source.lies[f"metadata/{version}.snapshot.json"] = forged
    world.source.lies["metadata/timestamp.json"] = reissue(
        world, "timestamp", world.keys["timestamp"], names_it
    )
    node.refuses(Replayed, "1.0")


def test_an_older_root_in_place_of_the_next_is_replayed(world, node):
    world.source.lies["metadata/2.root.json"] = world.file("metadata/1.root.json")
    node.refuses(Replayed, "1.0")


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_a_genuine_file_of_another_snapshot_is_mixed(world, node, role):
    old = world.file(world.newest(role))
    world.publish("2.0", 2)
    world.source.lies[world.newest(role)] = old
    node.refuses(Mixed)


def test_a_file_of_another_role_is_refused(world, node):
    world.publish("2.0", 2)
    world.source.lies["metadata/timestamp.json"] = world.file(world.newest("snapshot"))
    node.refuses(WrongKey)


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_a_stranger_s_signature_is_wrong_key(world, node, role):
    world.publish("2.0", 2)
    world.source.lies[world.newest(role)] = reissue(world, role, new_keys())
    node.refuses(WrongKey)


def test_a_whole_repository_of_a_stranger_is_wrong_key(world, node, tmp_path):
    stranger = World(tmp_path / "stranger")
    stranger.publish("1.0", 1)
    stranger.publish("2.0", 2)
    node.refuses(WrongKey, source=stranger.source)


def test_metadata_past_its_expiry_is_frozen(world, node):
    """A source that goes on serving an old state, or a clock that runs ahead."""
    ahead = datetime.now(UTC) + timedelta(days=Expiry().timestamp + 1)
    error = node.refuses(Frozen, "1.0", now=ahead)
    assert "clock" in error.hint


def test_a_clock_in_the_past_does_not_stop_an_update(world, node):
    world.publish("2.0", 2)
    assert node.manifest("2.0", now=datetime(1970, 1, 2, tzinfo=UTC))


@pytest.mark.parametrize("role", ROLES)
def test_the_expiry_of_every_role_counts(tmp_path, role):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    expiry = Expiry(**(dict.fromkeys(ROLES, 100) | {role: 1}))
    repository = Repository.create(tmp_path / "repo", all_keys(), expiry=expiry, now=now)
    late = now + timedelta(days=2)
    index = TrustedIndex(tmp_path / "store", repository.root_bytes(), FileSource(tmp_path / "repo"), now=late)
    with pytest.raises(Frozen, match=role):
        index.refresh()


def test_too_few_signatures_are_wrong_key(tmp_path):
    """Two of three root keys are needed; a new root with one is refused."""
    keys = all_keys() | {"root": new_keys(3)}
    world = World(tmp_path / "world", keys=keys, threshold=2)
    node = Node(world, tmp_path / "node" / "trust")
    node.index().refresh()

    def bump(root):
        root.version += 1

    world.source.lies["metadata/2.root.json"] = reissue(world, "root", keys["root"][:1], bump)
    before = content(node.store.parent)
    with pytest.raises(WrongKey):
        node.index().refresh()
    assert content(node.store.parent) == before
    world.source.lies["metadata/2.root.json"] = reissue(world, "root", keys["root"][1:], bump)
    node.index().refresh()


def test_a_root_signed_by_old_and_new_keys_is_followed(world, node):
    fresh = all_keys()
    assert world.repository.rotate(world.keys["root"], fresh) == 2
    world.keys = fresh
    world.publish("2.0", 2)
    assert node.manifest("2.0")


@pytest.mark.parametrize("signed_by", ["old", "new"])
def test_a_root_signed_by_old_or_new_keys_alone_is_wrong_key(world, node, signed_by):
    fresh = all_keys()
    world.repository.rotate(world.keys["root"], fresh)
    signers = world.keys["root"] if signed_by == "old" else fresh["root"]
    world.source.lies["metadata/2.root.json"] = reissue(world, "root", signers)
    node.refuses(WrongKey, "1.0")


def test_keys_that_a_rotation_removed_are_wrong_key(world, node):
    world.repository.rotate(world.keys["root"], all_keys())
    assert node.manifest("1.0")

    def bump(timestamp):
        timestamp.version += 1

    world.source.lies["metadata/timestamp.json"] = reissue(world, "timestamp", world.keys["timestamp"], bump)
    node.refuses(WrongKey, "1.0")


def test_an_unpublished_version_is_unknown_and_the_published_ones_are_named(world, node):
    assert "1.0" in node.refuses(Unknown, "9.9").message
    with pytest.raises(Unknown):
        node.index().manifest_by_digest("sha256:" + "0" * 64)
    node.refuses(Unknown, "../../1.0")


def test_something_that_is_no_repository_is_unknown(world, node, tmp_path):
    (tmp_path / "empty").mkdir()
    node.refuses(Unknown, "1.0", source=FileSource(tmp_path / "empty"))


def test_a_missing_manifest_is_unknown(world, node):
    world.publish("2.0", 2)
    (world.folder / "repo" / manifest_path(world, "2.0")).unlink()
    with pytest.raises(Unknown):
        node.manifest("2.0")


def test_a_manifest_under_another_s_name_is_tampered(world, node):
    """Signed, but release 1.0 offered as 2.0: the name inside must agree."""
    name = f"{PRODUCT}/{ARCH}/2.0.json"
    target = TargetFile.from_data(name, world.file(manifest_path(world, "1.0")), ["sha256"])
    forge_chain(world, lambda targets: targets.targets.update({name: target}))
    path = world.folder / "repo/targets" / target.get_prefixed_paths()[0]
    path.write_bytes(world.file(manifest_path(world, "1.0")))
    with pytest.raises(Tampered, match=r"1\.0"):
        node.manifest("2.0")


def test_a_silent_source_is_a_network_error(world, node):
    world.source.lies["metadata/timestamp.json"] = NetworkError("refused")
    node.refuses(NetworkError, "1.0")


def test_a_refresh_that_was_killed_between_its_renames_is_repaired(world, node):
    (node.store / "current").rename(node.store / "previous")
    (node.store / "next").mkdir()
    assert node.manifest("1.0")
    assert sorted(path.name for path in node.store.iterdir()) == ["current"]


@pytest.mark.parametrize("nth", [1, 2])
def test_a_refresh_that_ends_at_any_rename_of_its_commit_is_repeated(world, node, monkeypatch, nth):
    world.publish("2.0", 2)
    rename, left = Path.rename, [nth]

    def interrupted(path, goal):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return rename(path, goal)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", interrupted)
        node.manifest("2.0")
    assert node.manifest("2.0")
    assert sorted(path.name for path in node.store.iterdir()) == ["current"]


def test_what_was_seen_is_remembered_after_an_interrupted_refresh(world, node):
    """An attacker gains nothing from a kill: the older timestamp is still replayed afterwards."""
    old = world.file("metadata/timestamp.json")
    world.publish("2.0", 2)
    assert node.manifest("2.0")
    (node.store / "current").rename(node.store / "previous")
    world.source.lies["metadata/timestamp.json"] = old
    with pytest.raises(Replayed):
        node.manifest("1.0")


def test_a_lost_or_damaged_store_is_fetched_again(world, node):
    for damaged in (node.store / "current").glob("*.json"):
        if not damaged.is_symlink():
            damaged.write_bytes(b"{")
    assert node.manifest("1.0")


def test_a_broken_trust_anchor_is_this_node_s_error(world, node):
    world.anchor = b"{}"
    with pytest.raises(NodeError, match="trust anchor"):
        node.manifest("1.0")


@pytest.fixture
def served(world, node):
    world.publish("2.0", 2)
    with serving(world.folder / "repo") as (url, knobs):
        yield HttpSource(url, patience=Patience(window=0.1, floor=10_000)), knobs


def test_over_http_an_honest_server_is_followed(node, served):
    assert node.manifest("2.0", source=served[0])


def cut(data):
    return data[:-20]


@pytest.mark.parametrize(
    ("knob", "value", "error"),
    [
        ("bend", lambda data: data.replace(b'"version"', b'"vershun"'), Tampered),
        ("bend", cut, Truncated),
        ("announce", 100_000, Endless),
        ("trickle", 0.01, NetworkError),
        ("status", 503, NetworkError),
        ("status", 404, Unknown),
    ],
)
def test_over_http_each_misbehaviour_has_its_name(node, served, knob, value, error):
    source, knobs = served
    setattr(knobs, knob, value)
    node.refuses(error, source=source)

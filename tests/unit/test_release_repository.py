import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from tests.unit.release_world import World, all_keys, content, new_keys, write_release
from warmroot.errors import Frozen, Tampered, Truncated, Unknown, UserError
from warmroot.release import cli, keys
from warmroot.release.repository import Expiry, Repository


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return World(tmp_path_factory.mktemp("empty") / "world")


@pytest.fixture
def world(empty, tmp_path):
    return empty.copy_to(tmp_path / "world")


def test_a_published_release_is_listed_and_verifies(world):
    one, two = world.publish("1.0", 1), world.publish("2.0", 2)
    assert one.fresh
    assert [(r.manifest.version, r.digest) for r in world.repository.releases()] == [
        ("1.0", one.digest),
        ("2.0", two.digest),
    ]
    assert [r.digest for r in world.repository.verify()] == [one.digest, two.digest]


def test_publishing_again_changes_nothing(world):
    world.publish("1.0", 1)
    before = content(world.folder / "repo")
    release = world.folder / "built" / "1.0-1"
    assert world.repository.publish(release, world.keys).fresh is False
    assert content(world.folder / "repo") == before


@pytest.mark.parametrize(
    ("version", "seq", "says"),
    [("1.0", 3, "other content"), ("1.1", 2, "not above 2"), ("1.1", 1, "not above 2")],
)
def test_a_taken_version_or_a_sequence_that_does_not_rise_is_refused(world, version, seq, says):
    world.publish("1.0", 1)
    world.publish("2.0", 2)
    before = content(world.folder / "repo")
    with pytest.raises(UserError, match=says):
        world.publish(version, seq, kernel="other")
    assert content(world.folder / "repo") == before


def test_an_older_sequence_may_be_published_as_a_meant_downgrade(world):
    world.publish("2.0", 2)
    assert world.publish("1.9", 1, allow_downgrade_from=2).fresh


@pytest.mark.parametrize("file", ["root.img", "boot.img", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "missing"])
def test_a_release_that_is_not_whole_is_not_published(world, file, damage):
    folder = world.folder / "built"
    write_release(folder, "1.0", 1)
    data = (folder / file).read_bytes()
    if damage == "missing":
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(data[:-1] if damage == "cut" else bytes([data[0] ^ 1]) + data[1:])
    before = content(world.folder / "repo")
    with pytest.raises(UserError):
        world.repository.publish(folder, world.keys)
    assert content(world.folder / "repo") == before


@pytest.mark.parametrize(
    ("kind", "bend", "error"),
    [
        ("root", lambda d: d[:5000] + bytes([d[5000] ^ 1]) + d[5001:], Tampered),
        ("root", lambda d: d[:-1] + b"x", Tampered),
        ("root", lambda d: d[:-1], Truncated),
        ("boot", lambda d: d[:-1] + b"x", Tampered),
        ("boot", lambda d: d[:-1], Truncated),
    ],
)
def test_verify_finds_a_blob_that_changed(world, kind, bend, error):
    world.publish("1.0", 1)
    (blob,) = (world.folder / "repo" / "blobs" / kind).iterdir()
    blob.write_bytes(bend(blob.read_bytes()))
    with pytest.raises(error):
        world.repository.verify()


@pytest.mark.parametrize("kind", ["root", "boot"])
def test_verify_finds_a_blob_that_is_missing(world, kind):
    world.publish("1.0", 1)
    (blob,) = (world.folder / "repo" / "blobs" / kind).iterdir()
    blob.unlink()
    with pytest.raises(Unknown, match=blob.name):
        world.repository.verify()


def test_a_disk_that_refuses_is_told_without_a_change(world):
    """A file where a folder has to be stands for every refusal of the disk."""
    timestamp = world.file("metadata/timestamp.json")
    (world.folder / "repo" / "targets" / "warmroot").write_text("")
    with pytest.raises(UserError, match="warmroot"):
        world.publish("1.0", 1)
    assert world.file("metadata/timestamp.json") == timestamp


def test_the_blobs_of_another_release_are_tampered(world):
    """A repository that serves old bytes under a new name: the manifest names its blobs by hash."""
    one, two = world.publish("1.0", 1), world.publish("2.0", 2)
    blobs = world.folder / "repo"
    (blobs / two.manifest.root.path).write_bytes((blobs / one.manifest.root.path).read_bytes())
    with pytest.raises(Tampered):
        world.repository.verify()


def test_a_killed_publish_is_overwritten_by_the_next(world):
    """All but the timestamp was written: readers see the old repository, and the next publish works."""
    timestamp = world.file("metadata/timestamp.json")
    world.publish("1.0", 1)
    (world.folder / "repo/metadata/timestamp.json").write_bytes(timestamp)
    assert world.repository.releases() == []
    assert world.publish("2.0", 2).fresh
    assert [r.manifest.version for r in world.repository.verify()] == ["2.0"]


def test_a_refresh_prolongs_with_the_online_keys_alone(tmp_path):
    past = datetime.now(UTC) - timedelta(days=8)
    world = World(tmp_path, now=past)
    with pytest.raises(Frozen):
        Repository(tmp_path / "repo").verify()
    Repository(tmp_path / "repo").refresh({"timestamp": world.keys["timestamp"]})
    assert Repository(tmp_path / "repo").verify() == []


def test_keys_that_the_root_does_not_name_can_t_sign(world):
    before = content(world.folder / "repo")
    with pytest.raises(UserError, match="0 of the 1 needed timestamp keys"):
        world.repository.refresh({"timestamp": new_keys()})
    assert content(world.folder / "repo") == before


@pytest.mark.parametrize(
    "new", [{"targets": new_keys()}, {"snapshot": new_keys()}, {"root": [], "timestamp": new_keys()}]
)
def test_a_rotation_that_can_t_be_finished_changes_nothing(world, new):
    before = content(world.folder / "repo")
    with pytest.raises(UserError):
        world.repository.rotate(world.keys["root"], new)
    assert content(world.folder / "repo") == before


def test_a_rotation_needs_the_old_threshold(tmp_path):
    world = World(tmp_path, keys=all_keys() | {"root": new_keys(3)}, threshold=2)
    with pytest.raises(UserError, match="1 of the 2 needed root keys"):
        world.repository.rotate(world.keys["root"][:1], {"root": new_keys(2)})
    assert world.repository.rotate(world.keys["root"][1:], {"root": new_keys(2)}, threshold=1) == 2
    assert world.repository.roles()[0].threshold == 1


def test_every_metadata_file_says_when_it_expires(tmp_path):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    repository = Repository.create(tmp_path / "repo", all_keys(), expiry=Expiry(4, 3, 2, 1), now=now)
    assert [(r.role, (r.expires - now).days) for r in repository.roles()] == [
        ("root", 4), ("targets", 3), ("snapshot", 2), ("timestamp", 1),
    ]  # fmt: skip


def test_no_repository_and_a_second_one_are_the_users_errors(world, tmp_path):
    with pytest.raises(UserError, match="no release repository"):
        Repository(tmp_path / "none").releases()
    with pytest.raises(UserError, match="already"):
        Repository.create(world.folder / "repo", all_keys())


def test_a_key_is_a_private_file_and_is_never_overwritten(tmp_path):
    signer = keys.create(tmp_path / "k" / "root.pem")
    assert (tmp_path / "k" / "root.pem").stat().st_mode & 0o777 == 0o600
    assert keys.load(tmp_path / "k" / "root.pem").public_key == signer.public_key
    with pytest.raises(UserError, match="never overwritten"):
        keys.create(tmp_path / "k" / "root.pem")


def test_a_key_that_others_can_read_is_refused(tmp_path):
    keys.create(tmp_path / "root.pem")
    (tmp_path / "root.pem").chmod(0o644)
    with pytest.raises(UserError, match="open to others"):
        keys.load(tmp_path / "root.pem")


def test_an_encrypted_key_needs_its_passphrase(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("correct\n")
    monkeypatch.setenv(keys.PASSPHRASE_FILE, str(tmp_path / "secret"))
    signer = keys.create(tmp_path / "root.pem", keys.passphrase())
    assert keys.load(tmp_path / "root.pem", b"correct").public_key == signer.public_key
    for wrong in (None, b"wrong"):
        with pytest.raises(UserError):
            keys.load(tmp_path / "root.pem", wrong)
    monkeypatch.setenv(keys.PASSPHRASE, "direct")
    assert keys.passphrase() == b"direct"


@pytest.mark.parametrize("data", [b"", b"not a key"])
def test_a_file_that_is_no_key_is_refused(tmp_path, data):
    (tmp_path / "root.pem").write_bytes(data)
    (tmp_path / "root.pem").chmod(0o600)
    with pytest.raises(UserError):
        keys.load(tmp_path / "root.pem")


def run(*words, fails=None):
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    if fails:
        assert isinstance(result.exception, UserError)
        assert fails in str(result.exception)
        return None
    assert result.exception is None, result.exception
    return json.loads(result.output) if "json" in words else result.output


def test_the_commands_make_fill_check_and_rotate_a_repository(tmp_path):
    repo, ring, more = tmp_path / "repo", tmp_path / "keys", tmp_path / "more"
    write_release(tmp_path / "built", "1.0", 1)
    run("init", repo, "--keys", ring)
    assert run("publish", repo, tmp_path / "built", "--keys", ring, "-o", "json")["fresh"] is True
    assert run("publish", repo, tmp_path / "built", "--keys", ring, "-o", "json")["fresh"] is False
    assert run("show", repo, "-o", "json")[0]["release"] == "warmroot/amd64/1.0.json"
    assert "seq 1" in run("show", repo)
    roles = {row["role"]: row for row in run("keys", repo, "-o", "json")}
    assert (roles["root"]["threshold"], len(roles["root"]["keys"])) == (2, 3)
    run("refresh", repo, "--keys", ring)
    keys.create_role(more, "root", 3)
    keys.create_role(more, "timestamp", 1)
    assert run("rotate", repo, "--keys", ring, "--new-keys", more, "-o", "json")["rootVersion"] == 2
    assert run("rotate", repo, "--keys", more, "--new-keys", more, "-o", "json")["rootVersion"] == 3
    verified = run("verify", repo, "--root", repo / "metadata" / "1.root.json", "-o", "json")
    assert verified == {"verified": ["warmroot/amd64/1.0.json"]}


def test_the_commands_refuse_what_would_be_a_mistake(tmp_path):
    repo, ring = tmp_path / "repo", tmp_path / "keys"
    run("init", repo, "--keys", repo / "keys", fails="inside the repository")
    run("init", repo, "--keys", ring, "--root-keys", 1, fails="can't be met")
    assert not ring.exists()
    run("init", repo, "--keys", ring)
    run("init", repo, "--keys", tmp_path / "other", fails="already")
    run("publish", repo, tmp_path / "none", "--keys", ring, fails="can't be read")
    run("publish", repo, tmp_path / "none", "--keys", tmp_path / "nokeys", fails="has no targets key")
    run("show", tmp_path / "none", fails="no release repository")

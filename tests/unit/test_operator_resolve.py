"""A version without a digest becomes one through the repository's signed index, or a reason says why not."""

import pytest

from os_operator.shell.resolve import trusted_index
from tests.unit.release_world import World
from warmroot.errors import Unknown, WrongKey


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "world")


def _source(world):
    return f"file://{world.folder}/repo"


def test_a_version_is_resolved_to_the_digest_that_was_published(world, tmp_path):
    published = world.publish("2.0", 2)
    world.publish("2.1", 3)

    resolved = trusted_index(world.anchor, tmp_path / "store")([_source(world)], "2.0")

    assert resolved == published.digest


def test_a_version_that_nobody_published_is_unknown_by_name(world, tmp_path):
    world.publish("2.0", 2)

    with pytest.raises(Unknown, match=r"has no release 3\.0"):
        trusted_index(world.anchor, tmp_path / "store")([_source(world)], "3.0")


def test_a_version_of_two_architectures_has_to_be_pinned(world, tmp_path):
    world.publish("2.0", 2)
    world.publish("2.0", 3, arch="arm64")

    with pytest.raises(Unknown, match=r"amd64.*arm64") as refused:
        trusted_index(world.anchor, tmp_path / "store")([_source(world)], "2.0")

    assert refused.value.hint == "pin spec.release.digest"


def test_an_index_that_our_root_does_not_vouch_for_resolves_nothing(world, tmp_path):
    other = World(tmp_path / "other")
    other.publish("2.0", 2)

    with pytest.raises(WrongKey):
        trusted_index(world.anchor, tmp_path / "store")([_source(other)], "2.0")

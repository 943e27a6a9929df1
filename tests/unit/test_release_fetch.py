import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from tests.unit.release_world import ARCH, PRODUCT, World
from warmroot.errors import Bug, NetworkError, NodeError, Tampered, Unknown, UserError
from warmroot.release import fetch as fetching
from warmroot.release.fetch import Request, fetch, resolve


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("world"))
    world.one = world.publish("1.0", 1)
    return world


@pytest.fixture
def ask(world, tmp_path):
    def request(**changes):
        usual = {
            "store": str(tmp_path / "trust"),
            "root": str(world.folder / "repo/metadata/1.root.json"),
            "sources": (f"file://{world.folder}/repo",),
            "product": PRODUCT,
            "arch": ARCH,
            "version": "1.0",
        }
        return Request(**(usual | changes))

    return request


def test_the_child_hands_over_the_manifest(world, ask):
    found = fetch(ask())
    assert (found.manifest, found.digest) == (world.one.manifest, world.one.digest)
    assert found.source == f"file://{world.folder}/repo"


def test_the_childs_error_is_raised_as_what_it_was(ask):
    with pytest.raises(Unknown, match=r"9\.9") as raised:
        fetch(ask(version="9.9"))
    assert raised.value.hint == Unknown.default_hint


def test_a_child_that_takes_too_long_is_a_network_error(ask):
    with pytest.raises(NetworkError, match="within"):
        fetch(ask(), timeout=0.001)


def test_a_child_that_dies_is_a_bug_with_its_last_line(ask, monkeypatch):
    monkeypatch.setattr(fetching.sys, "executable", "/bin/false")
    with pytest.raises(Bug, match="status 1"):
        fetch(ask())


def test_the_parent_never_imports_tuf():
    code = "import sys, warmroot.release.fetch; sys.exit(not {'tuf', 'requests'}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_child_imports_no_cloud_client_that_happens_to_be_installed(ask):
    code = "import sys; from warmroot.release.fetch import main; main(); sys.exit('botocore' in sys.modules)"
    asked = json.dumps(asdict(ask())).encode()
    done = subprocess.run([sys.executable, "-c", code], input=asked, capture_output=True, check=False)
    assert (done.returncode, "manifest" in json.loads(done.stdout)) == (0, True)


def test_a_pinned_digest_must_agree_with_the_version(world, ask):
    assert resolve(ask(digest=world.one.digest)).manifest == world.one.manifest
    with pytest.raises(Tampered, match="pinned"):
        resolve(ask(digest="sha256:" + "0" * 64))


def test_a_digest_alone_finds_its_release(world, ask):
    assert resolve(ask(version=None, digest=world.one.digest)).manifest == world.one.manifest


def test_a_release_for_another_machine_is_unknown(world, ask):
    with pytest.raises(Unknown, match="arm64"):
        resolve(ask(version=None, digest=world.one.digest, arch="arm64"))


def test_a_lying_mirror_does_not_stop_the_next(world, ask, tmp_path):
    stranger = World(tmp_path / "stranger")
    stranger.publish("1.0", 1)
    mirrors = tuple(f"file://{w.folder}/repo" for w in (stranger, world))
    assert resolve(ask(sources=mirrors)).source == mirrors[1]


def test_no_source_and_no_trust_anchor_are_named(ask):
    with pytest.raises(UserError):
        resolve(ask(sources=()))
    with pytest.raises(NodeError, match="trust anchor"):
        resolve(ask(root="/nowhere"))

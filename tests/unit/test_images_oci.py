import hashlib
import json
import tarfile

import pytest

from images import oci
from tests.unit.test_images_sbom import manifest
from warmroot.release.manifest import digest


@pytest.fixture
def release(tmp_path):
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "root.img").write_bytes(b"root" * 3000)
    (folder / "boot.img").write_bytes(b"boot" * 300)
    (folder / "manifest.json").write_bytes(manifest().encode())
    return folder


def unpacked(path):
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def test_every_blob_is_named_by_its_own_digest_and_all_that_is_named_is_there(release, tmp_path):
    named = oci.write(release, tmp_path / "out.tar")
    files = unpacked(tmp_path / "out.tar")
    blobs = {name: data for name, data in files.items() if name.startswith("blobs/")}
    assert all(name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}" for name, data in blobs.items())
    entry = json.loads(files["index.json"])["manifests"][0]
    document = json.loads(blobs[f"blobs/{named.replace(':', '/')}"])
    assert (entry["digest"], entry["artifactType"]) == (named, document["artifactType"])
    for described in (entry, document["config"], *document["layers"]):
        assert len(blobs[f"blobs/{described['digest'].replace(':', '/')}"]) == described["size"]
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}


def test_the_config_is_the_release_s_manifest_and_the_layers_are_its_images(release, tmp_path):
    named = oci.write(release, tmp_path / "out.tar")
    files = unpacked(tmp_path / "out.tar")
    document = json.loads(files[f"blobs/{named.replace(':', '/')}"])
    assert document["config"]["digest"] == digest(manifest().encode())
    titles = {
        one["annotations"]["org.opencontainers.image.title"]: one["digest"] for one in document["layers"]
    }
    for name, of in titles.items():
        assert files[f"blobs/{of.replace(':', '/')}"] == (release / name).read_bytes()
    assert set(titles) == {"root.img", "boot.img"}


def test_equal_releases_give_equal_bytes(release, tmp_path):
    for name in ("one", "two"):
        oci.write(release, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()

"""Images of containers in one file: what is in them, by whom, and always the same bytes."""

import gzip
import hashlib
import io
import json
import tarfile

import pytest

from images import container, oci


@pytest.fixture
def folder(tmp_path):
    """Files, links to the inside, to the outside and to nothing."""
    root = tmp_path / "root"
    (root / "lib").mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "bin/tool").write_text("#!/bin/sh\n")
    (root / "bin/tool").chmod(0o750)
    (root / "lib/data").write_bytes(bytes(range(256)))
    (root / "lib/alias").symlink_to("../bin/tool")
    (root / "skipped").write_text("no")
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "conf").write_text("yes\n")
    (root / "conf").symlink_to(outside)
    (root / "lib/dangling").symlink_to("/nowhere/at/all")
    return root


def layer(folder):
    content = io.BytesIO()
    with container.Layer(content) as one:
        one.folder("tmp", 0o1777)
        one.tree("opt/app", folder, lambda path: path.name != "skipped")
        one.data("etc/passwd", b"root\n")
    return content


def members(content):
    content.seek(0)
    with tarfile.open(fileobj=content) as archive:
        return {one.name: one for one in archive}


def test_a_tree_keeps_links_inside_copies_what_is_outside_and_leaves_out_what_is_nowhere(folder):
    content = layer(folder)
    found = members(content)
    assert (found["opt/app/lib/alias"].linkname, found["opt/app/lib/alias"].issym()) == ("../bin/tool", True)
    assert found["opt/app/conf"].isdir()
    assert found["opt/app/conf/conf"].isfile()
    assert not {name for name in found if "dangling" in name or "skipped" in name}
    content.seek(0)
    with tarfile.open(fileobj=content) as archive:
        assert archive.extractfile("opt/app/lib/data").read() == bytes(range(256))


def test_all_is_roots_of_one_time_and_folders_come_before_what_is_in_them(folder):
    found = members(layer(folder))
    assert {(one.uid, one.gid, one.mtime) for one in found.values()} == {(0, 0, oci.member("x", 0).mtime)}
    assert (found["opt/app/bin/tool"].mode, found["opt/app/lib/data"].mode) == (0o755, 0o644)
    assert found["tmp"].mode == 0o1777
    names = list(found)
    for name in names:
        for above in name.split("/")[:-1]:
            assert any(names.index(name) > names.index(one) for one in names if one.endswith(above))


def test_an_image_says_what_it_holds_and_equal_contents_are_equal_bytes(folder, tmp_path):
    made = []
    for name in ("one.tar", "two.tar"):
        config = {"Cmd": ["/bin/sh"], "User": "1000:1000"}
        named = container.write(tmp_path / name, "localhost/app:7", [layer(folder), layer(folder)], config)
        made.append((named, (tmp_path / name).read_bytes()))
    assert made[0] == made[1]
    with tarfile.open(tmp_path / "one.tar") as archive:

        def blob(digest):
            data = archive.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}").read()
            assert hashlib.sha256(data).hexdigest() == digest.removeprefix("sha256:")
            return data

        (entry,) = json.load(archive.extractfile("index.json"))["manifests"]
        assert entry["annotations"][container.NAME] == "localhost/app:7"
        assert entry["annotations"]["org.opencontainers.image.ref.name"] == "7"
        assert entry["digest"] == made[0][0].digest
        manifest = json.loads(blob(entry["digest"]))
        config = json.loads(blob(manifest["config"]["digest"]))
        assert config["config"]["User"] == "1000:1000"
        layers = [one["digest"] for one in manifest["layers"]]
        assert config["rootfs"]["diff_ids"] == layers
        assert [len(blob(one)) for one in layers] == [one["size"] for one in manifest["layers"]]


def test_a_compressed_image_names_what_is_sent_and_what_it_unpacks_to(folder, tmp_path):
    made = []
    for name in ("one.tar", "two.tar"):
        written = container.write(
            tmp_path / name, "localhost/app:7", [layer(folder)], {}, labels={"title": "app"}, compress=True
        )
        made.append((written, (tmp_path / name).read_bytes()))
    assert made[0] == made[1]
    with tarfile.open(tmp_path / "one.tar") as archive:

        def blob(digest):
            return archive.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}").read()

        document = blob(made[0][0].digest)
        manifest = json.loads(document)
        (sent,) = manifest["layers"]
        config = blob(manifest["config"]["digest"])
        data = blob(sent["digest"])
        assert sent["mediaType"].endswith("tar+gzip")
        (unpacked,) = json.loads(config)["rootfs"]["diff_ids"]
        assert f"sha256:{hashlib.sha256(gzip.decompress(data)).hexdigest()}" == unpacked
        assert json.loads(config)["config"]["Labels"] == {"title": "app"}
        assert made[0][0].size == len(document) + len(config) + len(data)

"""One recipe, two installations: nothing of when, where and by whom a release was built is in it."""

import hashlib
import os
from pathlib import Path

import pytest

from images import diff
from images.containers import build as containers
from images.timing import Steps
from tests.vm.worker import removed

pytestmark = [pytest.mark.long, pytest.mark.image, pytest.mark.vm, pytest.mark.timeout(1200)]


def sums(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def test_two_installations_give_the_same_digest_the_same_disk_and_the_same_lists(
    line, first_release, tmp_path
):
    """Into another folder, and by somebody who keeps new files to himself."""
    mask = os.umask(0o077)
    try:
        again = line.build_first_anew(tmp_path / "another place" / "out")
    finally:
        os.umask(mask)
    # What differs is named by file, before two digests are held against one another.
    difference = diff.between(first_release.dir, again.dir).as_dict()
    assert {kind: changes for kind, changes in difference.items() if changes} == {}
    assert again.digest == first_release.digest
    assert sums(again.dir) == sums(first_release.dir)
    assert {"disk.raw", "root.img", "boot.img", "sbom.cdx.json"} <= set(sums(again.dir))
    removed(tmp_path)


def test_two_builds_of_our_container_images_give_the_same_digests_and_bills(tmp_path):
    """Into another folder, and by somebody who keeps new files to himself."""
    made = []
    for name, mask in (("one", 0o022), ("another", 0o077)):
        before = os.umask(mask)
        try:
            containers.build(tmp_path / name, Steps(), prefix="localhost/warmroot", version="1")
        finally:
            os.umask(before)
        made.append(sums(tmp_path / name))
    assert made[0] == made[1]
    assert {f"{name}.tar" for name in containers.NAMES} < set(made[0])

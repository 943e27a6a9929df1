import shutil
import subprocess

import pytest

from images import datafs
from os_proxy.core.receipts import Receipt, SlotContent, receipt
from tests.unit.test_images_sbom import manifest
from warmroot.disk.bootrecord import Slot
from warmroot.disk.layout import DATA, MIB, plan
from warmroot.errors import StepFailed
from warmroot.release.manifest import digest

pytestmark = pytest.mark.skipif(
    shutil.which("debugfs", path="/sbin:/usr/sbin") is None, reason="no e2fsprogs"
)
PLANNED = plan(boot_size=MIB, root_size=MIB, data_size=8 * MIB, esp_size=MIB)


def disk(path):
    path.touch()
    with path.open("r+b") as file:
        file.truncate(PLANNED.disk_size)
    return path


def test_the_proxy_reads_its_own_receipt_in_what_the_builder_wrote():
    """The format is the proxy's; the builder knows it from docs/node-protocol.md."""
    encoded = manifest().encode()
    files = datafs.installed(Slot.A, encoded)
    expected = Receipt(digest(encoded), "1.0.0", 1, SlotContent.VERIFIED)
    assert receipt(files["/warmroot/receipts/A.json"]) == expected
    assert files[f"/warmroot/manifests/{digest(encoded).removeprefix('sha256:')}.json"] == encoded


def test_a_sound_file_system_with_the_files_and_equal_bytes_each_time(tmp_path):
    files = datafs.installed(Slot.A, manifest().encode())
    one, two = (disk(tmp_path / name) for name in ("one", "two"))
    for path in (one, two):
        datafs.make(path, PLANNED[DATA], files)
    assert one.read_bytes() == two.read_bytes()
    alone = tmp_path / "data.img"
    with one.open("rb") as whole:
        whole.seek(PLANNED[DATA].start)
        alone.write_bytes(whole.read(PLANNED[DATA].size))
    subprocess.run(["/sbin/e2fsck", "-fn", alone], check=True, capture_output=True)
    assert not one.read_bytes()[: PLANNED[DATA].start].strip(b"\0"), "nothing outside of its partition"


def test_what_does_not_fit_is_an_error(tmp_path):
    with pytest.raises(StepFailed):
        datafs.make(disk(tmp_path / "disk"), PLANNED[DATA], {"/large": b"x" * 9 * MIB})

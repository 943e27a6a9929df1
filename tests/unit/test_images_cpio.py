import shutil
import stat
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images import cpio

NAMES = st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=3).map("/".join)


def unpacked(archive):
    """Name, mode and data of each entry, in order: the format read as the kernel reads it."""
    found, at = [], 0
    while True:
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        assert archive[at : at + 6] == b"070701"
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        at += -(-(110 + name_size) // 4) * 4
        data = archive[at : at + size]
        at += -(-size // 4) * 4
        if name == "TRAILER!!!":
            assert at == len(archive)
            return found
        found.append((name, mode, data))


@given(st.dictionaries(NAMES, st.binary(max_size=9), min_size=1))
def test_everything_comes_back_behind_its_folders(contents):
    """A path whose parent is a file can't be unpacked; the builder never makes one."""
    files = {
        name: data for name, data in contents.items() if not any(o.startswith(f"{name}/") for o in contents)
    }
    entries = unpacked(cpio.pack(cpio.file(name, data) for name, data in files.items()))
    assert {name: data for name, mode, data in entries if stat.S_ISREG(mode)} == files
    seen = set()
    for name, _, _ in entries:
        assert "/" not in name or name.rpartition("/")[0] in seen
        seen.add(name)


def test_equal_contents_give_equal_bytes_in_any_order():
    entries = [cpio.file("b/c", b"1"), cpio.link("a", "b/c"), cpio.folder("d"), cpio.file("b.d", b"")]
    assert cpio.pack(entries) == cpio.pack(reversed(entries))


def test_a_name_that_is_there_twice_is_refused():
    with pytest.raises(ValueError, match="a is there twice"):
        cpio.pack([cpio.file("a", b"1"), cpio.file("a", b"2")])


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_the_systems_own_program_reads_it(tmp_path):
    archive = cpio.pack([cpio.file("bin/tool", b"hello", 0o755), cpio.link("sh", "bin/tool")])
    subprocess.run(["cpio", "-i", "--quiet"], input=archive, cwd=tmp_path, check=True)
    assert (tmp_path / "sh").read_bytes() == b"hello"
    assert (tmp_path / "bin/tool").stat().st_mode & 0o777 == 0o755

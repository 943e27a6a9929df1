import contextlib
import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jboost_server.store.directory import DirectoryStore
from warmroot.errors import NoObject, StoreBroken, StoreFull, WriteLost

WRITER = """
import sys
from pathlib import Path
from jboost_server.store.directory import DirectoryStore
def chunks():
    yield b"half"
    print("written", flush=True)
    sys.stdin.read()
DirectoryStore(Path(sys.argv[1])).put_new("a", chunks(), 8)
"""


@pytest.fixture
def store(tmp_path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


@contextlib.contextmanager
def writer(root: Path):
    """Another process in the middle of an upload."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"written\n"
        try:
            yield process
        finally:
            process.kill()


def parts(tmp_path) -> list[Path]:
    return list((tmp_path / "store" / ".new").glob("*.part"))


def content(store, name="a") -> bytes:
    with store.get(name) as opened:
        return b"".join(opened.chunks)


def test_a_writer_that_is_killed_leaves_no_object_and_what_it_leaves_is_swept(store, tmp_path):
    with writer(tmp_path / "store") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert list(store.list()) == []
    with pytest.raises(NoObject):
        store.stat("a")
    assert len(parts(tmp_path)) == 1
    assert store.sweep() == 1
    assert parts(tmp_path) == []


def test_a_living_writer_is_not_swept(store, tmp_path):
    with writer(tmp_path / "store"):
        assert store.sweep() == 0
        assert len(parts(tmp_path)) == 1


def test_a_refused_write_leaves_nothing_behind(store, tmp_path):
    store.put_new("a", [b"1"], 1)
    with pytest.raises(WriteLost):
        store.put_new("a", [b"2"], 1)
    assert parts(tmp_path) == []


@pytest.mark.parametrize("call", ["fsync", "link"])
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EIO, StoreBroken),
        (errno.EROFS, StoreBroken),
    ],
)
def test_a_disk_that_fails_late_has_a_named_error_and_leaves_no_object(
    store, tmp_path, monkeypatch, call, code, error
):
    def fails(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fails)
    with pytest.raises(error, match=os.strerror(code)):
        store.put_new("a", [b"1"], 1)
    assert list(store.list()) == []
    assert parts(tmp_path) == []


FULL = """
import sys
from pathlib import Path
from jboost_server.store.directory import DirectoryStore
from warmroot.errors import StoreFull
store = DirectoryStore(Path(sys.argv[1]))
first = store.put_new("kept", [b"old"], 3)
for write in (
    lambda data: store.put_new("a", data, 2**22),
    lambda data: store.put_over("kept", data, 2**22, first.etag),
):
    try:
        write(bytes(2**16) for _ in range(64))
    except StoreFull as error:
        print(error.reason)
assert [stat.name for stat in store.list()] == ["kept"] and store.stat("kept") == first
store.put_new("small", [b"1"], 1)
print("works again")
"""


def test_a_full_disk_has_a_named_error_and_the_store_works_on(tmp_path):
    """A real one of 1 MiB, in a mount namespace that ends with the test."""
    script = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" -c "$3" "$1/store"'
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    ran = subprocess.run(
        ["unshare", "--mount", *root, "sh", "-c", script, "sh", tmp_path, sys.executable, FULL],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in ran.stderr or "mount" in ran.stderr:
        pytest.skip(f"no mount namespace here: {ran.stderr.strip()}")
    assert (ran.stdout.split("\n"), ran.stderr) == (["StoreFull", "StoreFull", "works again", ""], "")


def test_the_senders_own_error_is_not_the_stores(store):
    def chunks():
        yield b"1"
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    with pytest.raises(ConnectionResetError):
        store.put_new("a", chunks(), 2)
    assert list(store.list()) == []


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: data + b"\0"])
def test_a_file_that_is_no_whole_object_is_never_served(store, tmp_path, damage):
    store.put_new("a", [b"content"], 7)
    path = tmp_path / "store" / "a~"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StoreBroken, match="no whole object"):
        content(store)
    store.delete("a")
    store.put_new("a", [b"again"], 5)
    assert content(store) == b"again"


def test_files_that_are_not_ours_are_no_objects(store, tmp_path):
    (tmp_path / "store" / "README").write_text("x")
    (tmp_path / "store" / ".hidden~").write_text("x")
    (tmp_path / "store" / "folder~").mkdir()
    assert list(store.list()) == []


def test_the_etag_survives_a_copy_of_the_directory(store, tmp_path):
    stat = store.put_new("a/b", [b"1"], 1)
    subprocess.run(["cp", "-r", tmp_path / "store", tmp_path / "copy"], check=True)
    assert DirectoryStore(tmp_path / "copy").stat("a/b") == stat


def test_many_processes_worth_of_increments_lose_none(store, tmp_path):
    store.put_new("n", [b"0"], 1)

    def add(_: int) -> None:
        mine = DirectoryStore(tmp_path / "store")
        while True:
            with mine.get("n") as opened:
                number = b"%d" % (int(b"".join(opened.chunks)) + 1)
            with contextlib.suppress(WriteLost):
                mine.put_over("n", [number], len(number), opened.stat.etag)
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(40)))
    assert content(store, "n") == b"40"


def test_a_store_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreBroken, match="the store"):
        DirectoryStore(tmp_path / "file" / "store")

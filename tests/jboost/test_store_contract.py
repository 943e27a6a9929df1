"""What every object store promises; run against a directory and against a real S3 server."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from jboost_server.store.port import CHUNK
from warmroot.errors import BadRange, NoObject, TooLarge, UploadCut, WriteLost


def content(store, name, start=0, end=None) -> bytes:
    with store.get(name, start, end) as opened:
        return b"".join(opened.chunks)


def put(store, name, data: bytes):
    return store.put_new(name, [data], len(data))


def names(store, prefix="") -> list[str]:
    return [stat.name for stat in store.list(prefix)]


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 4 * 1024 + b"end"])
def test_what_was_written_is_read(store, data):
    stat = store.put_new("a/b.bin", [data[:7], data[7:]], len(data))
    assert content(store, "a/b.bin") == data
    assert store.stat("a/b.bin") == stat
    assert (stat.name, stat.size) == ("a/b.bin", len(data))


def test_bytes_come_in_chunks(store):
    put(store, "a", bytes(CHUNK * 2 + 1))
    with store.get("a") as opened:
        assert max(map(len, opened.chunks)) <= CHUNK


@pytest.mark.parametrize(("start", "end"), [(0, 1), (3, 7), (9, 10), (4, None), (5, 99), (0, 10)])
def test_a_range_is_read(store, start, end):
    put(store, "a", b"0123456789")
    assert content(store, "a", start, end) == b"0123456789"[start:end]


def test_a_range_knows_the_whole_object(store):
    stat = put(store, "a", b"0123456789")
    with store.get("a", 3, 5) as opened:
        assert opened.stat == stat


@pytest.mark.parametrize(("start", "end"), [(10, None), (10, 12), (4, 4), (5, 4), (-1, 4)])
def test_a_range_that_is_not_there_is_refused(store, start, end):
    put(store, "a", b"0123456789")
    with pytest.raises(BadRange):
        content(store, "a", start, end)


def test_nothing_there_is_an_error_with_a_name(store):
    for read in (store.stat, lambda name: content(store, name), lambda name: content(store, name, 1, 2)):
        with pytest.raises(NoObject, match="a/b"):
            read("a/b")


def test_an_object_is_written_once(store):
    put(store, "a", b"first")
    with pytest.raises(WriteLost):
        put(store, "a", b"second")
    assert content(store, "a") == b"first"


def test_a_version_is_written_over_by_whoever_knows_it(store):
    first = put(store, "a", b"first")
    second = store.put_over("a", [b"second"], 6, first.etag)
    assert (content(store, "a"), store.stat("a")) == (b"second", second)
    assert second.etag != first.etag


def test_a_write_over_a_version_that_is_gone_is_lost(store):
    first = put(store, "a", b"first")
    store.put_over("a", [b"second"], 6, first.etag)
    with pytest.raises(WriteLost):
        store.put_over("a", [b"third"], 5, first.etag)
    assert content(store, "a") == b"second"


def test_a_write_over_nothing_is_lost(store):
    first = put(store, "a", b"first")
    store.delete("a")
    with pytest.raises(WriteLost):
        store.put_over("a", [b"second"], 6, first.etag)
    assert names(store) == []


def test_of_many_first_writers_one_wins(store):
    def write(number: int) -> bool:
        try:
            put(store, "a", b"%d" % number)
        except WriteLost:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    assert won.count(True) == 1
    assert content(store, "a") == b"%d" % won.index(True)


def test_of_many_writers_over_one_version_one_wins(store):
    etag = put(store, "a", b"first").etag

    def write(number: int) -> bool:
        try:
            store.put_over("a", [b"%d" % number], 1, etag)
        except WriteLost:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    assert won.count(True) == 1
    assert content(store, "a") == b"%d" % won.index(True)


class Broken(Exception):
    pass


def breaks():
    yield b"1234"
    raise Broken


@pytest.mark.parametrize(
    ("chunks", "size", "error"),
    [
        (lambda: [b"1234"], 5, UploadCut),
        (list, 1, UploadCut),
        (lambda: [b"1234"], 3, TooLarge),
        (breaks, 9, Broken),
    ],
)
def test_an_upload_that_is_not_whole_does_not_exist(store, chunks, size, error):
    with pytest.raises(error):
        store.put_new("a", chunks(), size)
    assert names(store) == []
    put(store, "a", b"later")


def test_an_upload_that_is_not_whole_leaves_the_version_before(store):
    stat = put(store, "a", b"first")
    with pytest.raises(UploadCut):
        store.put_over("a", [b"sec"], 6, stat.etag)
    assert (content(store, "a"), store.stat("a")) == (b"first", stat)


def test_a_reader_keeps_its_version_while_another_is_written(store):
    data = bytes(CHUNK) + b"first"
    stat = put(store, "a", data)
    with store.get("a") as opened:
        store.put_over("a", [b"second"], 6, stat.etag)
        assert b"".join(opened.chunks) == data


def test_objects_are_listed_by_name_below_a_prefix(store):
    for name in ("b", "a/c", "a/b/d", "a/b/c", "a.x"):
        put(store, name, b"1")
    assert names(store) == ["a.x", "a/b/c", "a/b/d", "a/c", "b"]
    assert names(store, "a/") == ["a/b/c", "a/b/d", "a/c"]
    assert names(store, "a/b/") == ["a/b/c", "a/b/d"]
    assert names(store, "missing/") == []
    assert next(iter(store.list("a/b/"))) == store.stat("a/b/c")


def test_what_was_deleted_is_gone_and_deleting_nothing_is_no_error(store):
    put(store, "a/b", b"1")
    for name in ("a/b", "a/b", "x", "x/y/z"):
        store.delete(name)
    assert names(store) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "../a",
        "a/../b",
        ".a",
        "a/.b",
        "a:b",
        "a b",
        "a~",
        "a\n",
        "a/" * 8 + "a",
        "x" * 129,
    ],
)
def test_a_name_that_could_leave_the_store_is_none(store, name):
    for use in (store.stat, lambda n: content(store, n), lambda n: put(store, n, b"1"), store.delete):
        with pytest.raises(ValueError, match="no name"):
            use(name)
    with pytest.raises(ValueError, match="no name"):
        store.put_over(name, [b"1"], 1, "e")


@pytest.mark.parametrize("prefix", ["a", "/", "../", "a//"])
def test_a_prefix_is_whole_folders(store, prefix):
    with pytest.raises(ValueError, match="prefix"):
        names(store, prefix)


@pytest.mark.s3
def test_a_real_s3_server_passes_the_probe_and_is_left_as_it_was(bucket):
    bucket.probe()
    assert names(bucket) == []

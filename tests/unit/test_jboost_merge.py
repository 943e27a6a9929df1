import json

import pytest

from jboost_server.core.classlist import Entry, Kind, parse
from jboost_server.core.merge import Merge, decode, kept
from tests.unit.test_jboost_classlist import FORM, PROXY
from warmroot.errors import EmptyRecording, ForeignSource, StoreBroken, TooLarge

A, B = "a" * 64, "b" * 64


def classes(*names: str) -> list[Entry]:
    return [Entry(Kind.CLASS, name) for name in names]


def test_one_pods_traffic_fills_what_anothers_missed():
    merge = Merge(17).fold(A, classes("x/A", "x/B")).fold(B, classes("x/C", "x/A"))
    assert merge.lines() == ("x/A", "x/B", "x/C")
    assert dict(merge.support) == {"x/A": 2, "x/B": 1, "x/C": 1}


def test_a_recording_counts_once():
    merge = Merge(17).fold(A, classes("x/A"))
    assert merge.fold(A, classes("x/A", "x/B")) is merge


def test_a_line_counts_once_in_a_recording():
    assert dict(Merge(17).fold(A, classes("x/A", "x/A")).support) == {"x/A": 1}


def test_tagged_lines_come_after_all_classes_and_keep_their_order():
    entries = [Entry(Kind.PROXY, PROXY), *classes("x/A"), Entry(Kind.FORM, FORM), *classes("x/B")]
    assert Merge(17).fold(A, entries).lines() == ("x/A", "x/B", PROXY, FORM)


def test_a_threshold_asks_for_support_of_as_many_recordings_as_there_are():
    merge = Merge(17).fold(A, classes("x/A", "x/B"))
    assert merge.lines(threshold=3) == ("x/A", "x/B")
    assert merge.fold(B, classes("x/A")).lines(threshold=3) == ("x/A",)
    with pytest.raises(ValueError, match="threshold"):
        merge.lines(threshold=0)


@pytest.mark.parametrize(
    "name",
    [
        "jdk/proxy2/$Proxy17",
        "com/sun/proxy/$Proxy3",
        "$Proxy1",
        "x/Main$$Lambda$14/0x0000000800c03000",
        "java/lang/invoke/LambdaForm$MH+0x00007f1c01000400",
        "jdk/internal/reflect/GeneratedConstructorAccessor12",
        "jdk/jfr/events/FileReadEvent",
    ],
)
def test_noise_is_dropped(name):
    assert not kept(Entry(Kind.CLASS, name))


def test_names_that_only_look_like_noise_are_kept():
    assert all(map(kept, classes("x/MyProxy1", "jdk/internal/event/EventHelper", "x/GeneratedAccessor1")))


def test_what_holds_for_one_list_only_is_dropped():
    text = b"a/B id: 1\n@cp a/B 2\na/C id: 2 super: 0 source: /app.jar\n"
    merge = Merge(25).fold(A, parse([text], feature=25, class_path={"/app.jar"}))
    assert merge.render() == b"# merged by warmroot\na/B\n"


def test_a_recording_that_is_refused_leaves_no_trace():
    merge = Merge(25).fold(A, classes("x/A"))
    text = b"a/B id: 1\na/C id: 2 super: 0 source: /tmp/evil.jar\n"
    with pytest.raises(ForeignSource):
        merge.fold(B, parse([text], feature=25, class_path=()))
    assert merge == Merge(25).fold(A, classes("x/A"))


def test_bounds_hold():
    merge = Merge(17).fold(A, classes("x/A", "x/B"))
    with pytest.raises(TooLarge, match="lines"):
        merge.fold(B, classes("x/C"), max_lines=2)
    with pytest.raises(TooLarge, match="10 bytes"):
        merge.fold(B, classes("x/Ä"), max_text=10)
    assert len(merge.fold(B, classes("x/Ä"), max_text=13).lines()) == 3
    with pytest.raises(TooLarge, match="recordings"):
        merge.fold(B, classes("x/A"), max_recordings=1)


def test_a_recording_of_noise_alone_is_empty():
    with pytest.raises(EmptyRecording):
        Merge(17).fold(A, [*classes("$Proxy1"), Entry(Kind.FORM, FORM)])


def test_a_recording_is_named_by_its_sha256():
    with pytest.raises(ValueError, match="sha256"):
        Merge(17).fold("pod-1", classes("x/A"))


def test_a_merge_is_stored_with_its_order_and_its_counts():
    merge = Merge(17).fold(B, classes("x/B", "x/A")).fold(A, classes("x/A"))
    assert decode(merge.encode()) == merge
    assert decode(merge.encode()).lines() == ("x/B", "x/A")


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree["support"].append(["@lambda-form-invoker nope", 1]),
        lambda tree: tree["support"].append(["$Proxy1", 1]),
        lambda tree: tree["support"].append(["x/A", 1]),
        lambda tree: tree["support"].append(["x/B id: 1", 1]),
        lambda tree: tree["support"].append(["x/B", 2]),
        lambda tree: tree["support"].append(["x/B", True]),
        lambda tree: tree["support"].append("x/B"),
        lambda tree: tree["recordings"].append(A),
        lambda tree: tree.update(feature=11),
        lambda tree: tree.update(more=1),
        lambda tree: tree.pop("support"),
    ],
)
def test_a_stored_merge_is_not_believed_blindly(change):
    tree = json.loads(Merge(17).fold(A, classes("x/A")).encode())
    change(tree)
    with pytest.raises(StoreBroken):
        decode(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize("data", [b"", b"\xff", b"[" * 20_000, b"{}", b"null"])
def test_garbage_is_no_merge(data):
    with pytest.raises(StoreBroken):
        decode(data)

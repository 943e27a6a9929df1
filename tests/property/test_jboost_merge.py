"""Whatever pods send, a merge is a set operation and holds nothing that a JDK refuses."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from jboost_server.core.classlist import MAX_LINE, Entry, Kind, parse, parse_line
from jboost_server.core.merge import Merge, decode
from warmroot.errors import TooLarge, UploadError

NAMES = st.sampled_from([f"x/{name}" for name in "ABCDEFGH"])
FORMS = st.sampled_from(
    [
        f"@lambda-form-invoker [LF_RESOLVE] java.lang.invoke.Invokers$Holder invoker L{n}_L"
        for n in range(3, 10)
    ]
)
ENTRIES = st.one_of(
    NAMES.map(lambda name: Entry(Kind.CLASS, name)),
    FORMS.map(lambda text: Entry(Kind.FORM, text)),
    st.just(Entry(Kind.CLASS, "jdk/proxy1/$Proxy7")),
    st.just(Entry(Kind.CONSTANTS, "@cp x/A 1 2")),
)
RECORDINGS = st.lists(
    st.lists(ENTRIES, max_size=20).map(lambda rest: [Entry(Kind.CLASS, "java/lang/Object"), *rest]),
    min_size=1,
    max_size=6,
)
LINES = st.one_of(
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")),
    st.binary(max_size=40),
    st.sampled_from(
        [b"x/A", b"x/B id: 3", b"x/C id: 1 super: 0 source: /app.jar", b"@cp x/A 1", b"# note", b""]
    ),
    st.builds(
        lambda *parts: " ".join(parts).encode(),
        st.sampled_from(["@lambda-form-invoker", "@lambda-proxy", "@cp", "@x"]),
        st.sampled_from(["[LF_RESOLVE]", "[SPECIES_RESOLVE]", "x/A"]),
        st.sampled_from(
            ["java.lang.invoke.Invokers$Holder", "java.lang.invoke.DirectMethodHandle$Holder", "x"]
        ),
        st.sampled_from(["invoker", "invokeStatic", ""]),
        st.from_regex(r"L?[LIJFDV0-9]{0,4}L?_?[LIJFDV]?", fullmatch=True),
    ),
)
FEATURES = st.sampled_from([17, 21, 25])


def name(recording: list[Entry]) -> str:
    return hashlib.sha256(repr(recording).encode()).hexdigest()


def merged(recordings: list[list[Entry]]) -> Merge:
    merge = Merge(25)
    for recording in recordings:
        merge = merge.fold(name(recording), recording)
    return merge


@given(RECORDINGS, st.randoms(use_true_random=False), st.integers(1, 7))
def test_the_content_does_not_depend_on_the_order(recordings, random, threshold):
    shuffled = random.sample(recordings, len(recordings))
    one, other = merged(recordings), merged(shuffled)
    assert dict(one.support) == dict(other.support)
    assert set(one.lines(threshold)) == set(other.lines(threshold))


@given(RECORDINGS)
def test_folding_again_changes_nothing(recordings):
    assert merged(recordings + recordings) == merged(recordings)


@given(RECORDINGS, RECORDINGS)
def test_more_recordings_never_move_or_lose_a_line(first, then):
    before, after = merged(first).lines(), merged(first + then).lines()
    assert [line for line in after if line in set(before)] == list(before)


@given(RECORDINGS, st.integers(1, 7))
def test_support_counts_recordings_and_the_threshold_selects_by_it(recordings, threshold):
    merge = merged(recordings)
    distinct = {name(recording): recording for recording in recordings}.values()
    for line, count in merge.support.items():
        assert count == sum(line in {entry.text for entry in recording} for recording in distinct)
    least = min(threshold, len(merge.recordings))
    assert set(merge.lines(threshold)) == {line for line, count in merge.support.items() if count >= least}


@given(RECORDINGS, st.integers(1, 10))
def test_a_merge_never_holds_more_than_its_bound(recordings, bound):
    merge = Merge(25)
    for recording in recordings:
        before = merge
        with suppress(TooLarge):
            merge = merge.fold(name(recording), recording, max_lines=bound)
        assert len(merge.support) <= bound
        assert merge is not before or before.support == merge.support


@given(RECORDINGS)
def test_a_merge_survives_the_store(recordings):
    merge = merged(recordings)
    assert decode(merge.encode()) == merge


@given(st.lists(LINES, max_size=12), FEATURES, st.integers(1, 50))
def test_a_list_is_refused_by_name_or_gives_lines_that_the_grammar_takes(lines, feature, step):
    text = b"x/A\n" + b"\n".join(lines) + b"\n"
    chunks = [text[at : at + step] for at in range(0, len(text), step)]
    try:
        merge = Merge(feature).fold("0" * 64, parse(chunks, feature=feature, class_path={"/app.jar"}))
    except UploadError:
        return
    rendered = merge.render()
    for line in rendered.decode().splitlines():
        assert len(line.encode()) <= MAX_LINE
        assert line.startswith("#") or parse_line(line, feature=feature).text == line
    again = Merge(feature).fold("0" * 64, parse([rendered], feature=feature, class_path=()))
    assert again.lines() == merge.lines()

"""A manifest has exactly one sequence of bytes, and nothing else is one."""

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_release_manifest import MANIFEST
from warmroot.errors import SourceError
from warmroot.release.manifest import decode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
PATHS = [
    (key,) if not isinstance(value, dict) else (key, name)
    for key, value in json.loads(MANIFEST.encode()).items()
    for name in (value if isinstance(value, dict) else [None])
]


def refused_or_unique(data):
    with contextlib.suppress(SourceError):
        assert decode(data).encode() == data


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_by_name(data):
    refused_or_unique(data)


@given(path=st.sampled_from(PATHS), value=JSON)
def test_any_value_in_any_field_is_refused_by_name_or_canonical(path, value):
    tree = json.loads(MANIFEST.encode())
    part = tree[path[0]] if len(path) == 2 else tree
    part[path[-1]] = value
    refused_or_unique(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode())


@given(at=st.integers(0, len(MANIFEST.encode()) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_never_gives_the_same_manifest(at, byte):
    data = bytearray(MANIFEST.encode())
    data[at] = byte
    refused_or_unique(bytes(data))
    if bytes(data) != MANIFEST.encode():
        with contextlib.suppress(SourceError):
            assert decode(bytes(data)) != MANIFEST

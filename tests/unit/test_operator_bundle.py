"""The file of `kubectl warmroot support-bundle`: whole or not at all, and it says what it lacks."""

from __future__ import annotations

import stat
import tarfile

import pytest

from os_operator.plugin.bundle import Bundle, write
from warmroot.errors import Forbidden, UserError


def refused():
    raise Forbidden("may not list pods with password=hunter2", status=403)


def test_what_can_not_be_read_keeps_nothing_else_out_and_is_named():
    bundle = Bundle()
    bundle.attempt("a.json", refused)
    bundle.attempt("b.json", lambda: [{"name": "b"}])
    assert list(bundle.files) == ["b.json"]
    assert bundle.unread == {"a.json": "may not list pods with password=(left out)"}


def test_it_is_for_its_owners_eyes_and_never_written_over_another(tmp_path):
    bundle, path = Bundle(), tmp_path / "b.tar.gz"
    bundle.add("why.txt", "node-1: Current")
    write(bundle, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as archive:
        assert archive.extractfile("warmroot-support/why.txt").read() == b"node-1: Current\n"
    with pytest.raises(UserError, match="there already"):
        write(bundle, path)


def test_where_it_can_not_be_written_nothing_is_left(tmp_path):
    with pytest.raises(UserError, match="can't be written"):
        write(Bundle(), tmp_path / "nowhere" / "b.tar.gz")
    assert list(tmp_path.iterdir()) == []

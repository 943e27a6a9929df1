"""Keys that libraries want to read from files are in none that outlives us."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jboost_server.webhook.certificates import Terms, renewed
from warmroot.kube import inmemory
from warmroot.kube.inmemory import InMemory


def test_it_is_read_by_its_path_as_often_as_one_likes_and_gone_when_it_is_closed():
    one = InMemory(b"secret")
    assert [Path(one.path).read_bytes() for _ in range(2)] == [b"secret", b"secret"]
    one.close()
    one.close()
    assert not Path(one.path).exists()


def test_a_library_of_tls_loads_a_certificate_and_its_key_from_it():
    bundle = renewed(None, ("a.example",), datetime.now(UTC), Terms())
    certificate, key = InMemory(bundle.certificate), InMemory(bundle.key)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate.path, key.path)


def test_children_do_not_inherit_it():
    one = InMemory(b"secret")
    seen = subprocess.run(["cat", one.path], capture_output=True, check=False)
    assert seen.stdout == b""


def test_a_killed_process_leaves_no_file(tmp_path):
    program = (
        "from warmroot.kube.inmemory import InMemory\none = InMemory(b'x')\nprint('up', flush=True)\ninput()"
    )
    words = [sys.executable, "-c", program]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(words, stdin=-1, stdout=-1, env=environment) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        child.send_signal(signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


def test_where_the_kernel_has_no_such_files_it_is_a_temporary_one(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(inmemory.tempfile, "tempdir", None)
    monkeypatch.delattr(os, "memfd_create")
    one = InMemory(b"secret")
    assert Path(one.path).read_bytes() == b"secret"
    assert Path(one.path).stat().st_mode & 0o077 == 0
    one.close()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(autouse=True)
def temporary_folder():
    yield
    inmemory.tempfile.tempdir = None

"""Images of our own programs: what is refused before the long work, and what is in them."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from typer.testing import CliRunner

from images import container, sbom
from images.cli import app
from images.containers import build, system
from images.debian.system import Installed
from images.timing import Steps
from warmroot.errors import NotInstalled, UserError

PREFIX = {"prefix": "localhost/warmroot", "version": "1"}


def test_a_folder_that_is_there_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine").write_text("of value")
    with pytest.raises(UserError, match="is there already"):
        build.build(tmp_path, Steps(), **PREFIX)
    assert (tmp_path / "mine").read_text() == "of value"


def test_an_image_that_we_do_not_have_is_refused_with_those_that_we_have(tmp_path):
    said = CliRunner().invoke(app, ["containers", "--out", str(tmp_path / "new"), "--only", "proxy"])
    assert said.exit_code != 0
    assert isinstance(said.exception, UserError)
    assert "operator, jboost, jboost-agent" in said.exception.hint
    assert not (tmp_path / "new").exists()


def test_what_fails_leaves_no_folder_behind(tmp_path, monkeypatch):
    def broken(_):
        raise NotInstalled("no busybox", hint="install it")

    monkeypatch.setattr(build, "_agent", broken)
    with pytest.raises(NotInstalled):
        build.build(tmp_path / "new", Steps(), **PREFIX, wanted=[build.AGENT])
    assert list(tmp_path.iterdir()) == []


def test_a_busybox_that_needs_libraries_would_not_run_there_and_is_refused(tmp_path, monkeypatch):
    dynamic = tmp_path / "busybox"
    dynamic.write_bytes(b"\x7fELF" + b"\0" * 100 + b"/lib64/ld-linux-x86-64.so.2\0")
    monkeypatch.setattr(build.shutil, "which", lambda _: str(dynamic))
    with container.Layer(io.BytesIO()) as layer, pytest.raises(NotInstalled, match="without libraries"):
        build._agent(layer)


def test_licences_come_along_and_what_no_program_reads_does_not(tmp_path):
    for name in (
        "usr/share/doc/libc6/copyright",
        "usr/share/doc/libc6/changelog.Debian.gz",
        "usr/share/doc/libc6/examples/copyright",
        "usr/share/man/man1/x.1",
        "usr/lib/python3.13/json/decoder.py",
        "usr/lib/python3.13/ensurepip/x.whl",
        "usr/lib/x86_64-linux-gnu/libc.so.6",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    content = io.BytesIO()
    with container.Layer(content) as layer:
        system.layer(tmp_path, layer)
    content.seek(0)
    with tarfile.open(fileobj=content) as archive:
        files = {one.name for one in archive if one.isfile()}
    assert files == {
        "usr/share/doc/libc6/copyright",
        "usr/lib/python3.13/json/decoder.py",
        "usr/lib/x86_64-linux-gnu/libc.so.6",
    }


def test_the_first_process_of_a_container_ends_when_it_is_told_to_while_it_still_imports(tmp_path):
    """In a namespace of its own it has number 1, and a signal without a handler does nothing to it."""
    if os.geteuid() != 0:
        pytest.skip("a namespace of processes needs root")
    (tmp_path / "slow.py").write_text("import time\nprint('imports', flush=True)\ntime.sleep(60)\n")
    launcher = tmp_path / "program"
    launcher.write_text(build._LAUNCHER.format(interpreter=sys.executable, module="slow"))
    words = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, str(launcher)]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment) as outside:
        assert outside.stdout is not None
        assert outside.stdout.readline() == b"imports\n"
        (first,) = subprocess.check_output(["pgrep", "-P", str(outside.pid)], text=True).split()
        began = time.monotonic()
        os.kill(int(first), signal.SIGTERM)
        assert outside.wait(10) == 143
    assert time.monotonic() - began < 5


def test_the_bill_of_an_image_names_its_digest_and_equal_images_have_equal_bills():
    packages = (Installed("libc6", "2.41-12", "amd64", "glibc", "2.41-12"),)
    one, same, other = (
        sbom.write_container("warmroot/jboost", "1", f"sha256:{digest * 64}", "trixie", packages)
        for digest in "aab"
    )
    assert one == same
    assert json.loads(one)["serialNumber"] != json.loads(other)["serialNumber"]
    assert json.loads(one)["metadata"]["component"]["type"] == "container"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(one) is None

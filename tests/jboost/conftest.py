"""The stores under test: a directory, and a bucket of a real S3 server."""

from __future__ import annotations

import http.client
import os
import secrets
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from jboost_server.store.directory import DirectoryStore
from jboost_server.store.port import ObjectStore
from jboost_server.store.s3 import S3Store
from testbed.setup.gotool import S3_SERVER
from tests.jboost.agent_pod import classes, home, offered, pod, runtime, server, trained
from tests.jboost.application import agent, jar, jdk17, jdk25, service
from tests.waiting import until
from warmroot.cache import cache_dir

__all__ = ["agent", "jar", "jdk17", "jdk25", "service"]  # fixtures of what it does besides `fetch`
__all__ += ["classes", "home", "offered", "pod", "runtime", "server", "trained"]  # fixtures of the pod agent

VERSITYGW = S3_SERVER.program(cache_dir())


def s3_client(url: str, key: str = "warmroot", secret: str = "secret", attempts: int = 1) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": attempts},
            connect_timeout=5,
            read_timeout=20,
        ),
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of a real S3 server over an empty folder."""
    folder = tmp_path_factory.mktemp("s3")
    for name in ("data", "meta"):
        (folder / name).mkdir()
    port, secret = free_port(), secrets.token_hex(16)
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [
                VERSITYGW,
                "--port",
                f"127.0.0.1:{port}",
                "posix",
                "--sidecar",
                folder / "meta",
                folder / "data",
            ],
            env=os.environ | {"ROOT_ACCESS_KEY": "warmroot", "ROOT_SECRET_KEY": secret},
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            until(lambda: answers(port) or server.poll() is not None, 60, "versitygw answers")
            assert server.poll() is None, (folder / "log").read_text()
            yield s3_client(f"http://127.0.0.1:{port}", secret=secret)
        finally:
            server.terminate()


def answers(port: int) -> bool:
    """Whether anything speaks HTTP there."""
    try:
        probe = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        probe.request("GET", "/")
        probe.getresponse().read()
    except OSError:
        return False
    return True


@pytest.fixture
def bucket(s3_server: Any) -> S3Store:
    """An empty store in a bucket of its own."""
    name = f"b-{uuid.uuid4().hex}"
    s3_server.create_bucket(Bucket=name)
    return S3Store(s3_server, name, "warmroot/")


@pytest.fixture(params=["directory", pytest.param("s3", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """One empty store of each kind."""
    if request.param == "directory":
        return DirectoryStore(tmp_path / "store")
    found: S3Store = request.getfixturevalue("bucket")
    return found

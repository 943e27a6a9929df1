"""The stores under test: a directory, and a bucket of a real S3 server."""

from __future__ import annotations

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
from testbed import s3
from testbed.apps.running import free_port
from tests.jboost.agent_pod import classes, home, offered, pod, runtime, server, trained
from tests.jboost.application import agent, jar, jdk17, jdk25, service

# Fixtures of what it does besides `fetch`, of the pod agent, and what tests import from here.
__all__ = ["agent", "jar", "jdk17", "jdk25", "service"]
__all__ += ["classes", "home", "offered", "pod", "runtime", "server", "trained"]
__all__ += ["free_port"]


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


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of a real S3 server over an empty folder."""
    with s3.running(tmp_path_factory.mktemp("s3")) as server:
        yield s3_client(server.url, secret=server.secret)


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

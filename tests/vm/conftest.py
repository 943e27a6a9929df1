"""One Debian worker's product line for all tests: building it is most of what they cost."""

import pytest

from tests.vm import small
from tests.vm.worker import Line, Worker, removed


@pytest.fixture(scope="session")
def line(tmp_path_factory):
    return Line(tmp_path_factory.mktemp("line"))


@pytest.fixture(scope="session")
def first_release(line):
    """With its disk."""
    return line.build(disk=True)


@pytest.fixture
def worker(first_release, tmp_path):
    """A machine that was just installed with the first release."""
    yield Worker.of(first_release.dir, tmp_path)
    removed(tmp_path)


@pytest.fixture(scope="session")
def small_release(tmp_path_factory):
    """A system without Kubernetes, with a user, two hooks and an SSH server; with its disk."""
    return small.build_one(tmp_path_factory.mktemp("small"))

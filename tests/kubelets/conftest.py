"""One bed for all tests of real kubelets."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from images.containers.build import Built, build
from images.timing import Steps
from testbed.workers.bed import Bed, bed
from warmroot import __version__

PREFIX = "localhost/warmroot"


@pytest.fixture(scope="session")
def our_images(
    tmp_path_factory: pytest.TempPathFactory, tally: Callable[[str, int], None]
) -> dict[str, Built]:
    """Images of our own programs, as a person builds them, by their short names."""
    folder = tmp_path_factory.mktemp("ours") / "containers"
    found = build(folder, Steps(), prefix=PREFIX, version=__version__)
    for one in found:
        tally(f"bytes of the image {one.file.stem} that a node fetches", one.written.size)
    return {one.file.stem: one for one in found}


@pytest.fixture(scope="package")
def kubelets(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """Both workers are off; whoever needs one starts it, and pulls its plug."""
    if any("our_images" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("our_images")  # before this thread is in a network without mirrors
    with bed(tmp_path_factory.mktemp("kubelets")) as one:
        yield one

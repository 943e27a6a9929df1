"""One bed for all tests of real kubelets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.workers.bed import Bed, bed


@pytest.fixture(scope="package")
def kubelets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """Both workers are off; whoever needs one starts it, and pulls its plug."""
    with bed(tmp_path_factory.mktemp("kubelets")) as one:
        yield one

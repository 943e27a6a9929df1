"""What the operator relies on in Alertmanager, asked of its own code.

Here because it takes minutes to compile; tests/unit/test_operator_silences.py asks the stand-in.
"""

import subprocess
import sys

import pytest

from testbed.setup.gotool import ALERTMANAGER
from testbed.setup.progress import Progress
from tests.alertmanager_contract import *  # noqa: F403 - its tests run here
from warmroot import golang
from warmroot.cache import cache_dir

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def program():
    wanted = golang.required((ALERTMANAGER.source / "go.mod").read_text())
    go = golang.find(wanted, cache_dir())
    if go is None:
        pytest.skip(f"alertmanager needs Go {wanted}")
    return ALERTMANAGER.compile_it(go, cache_dir(), Progress(sys.stderr))


@pytest.fixture
def url(program, tmp_path):
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([program], stdout=subprocess.PIPE, stderr=log, text=True)
    with process:
        address = process.stdout.readline().strip()
        assert address, (tmp_path / "log").read_text()
        yield address
        process.kill()

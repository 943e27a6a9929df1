"""`testbed up` leaves a control plane running, `testbed down` ends exactly that one, whatever was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from testbed.controlplane.clients import admin_cluster
from testbed.controlplane.plane import PATIENCE, ControlPlane
from testbed.controlplane.processes import Identity
from warmroot.errors import UserError
from warmroot.kube.cluster import NAMESPACE

pytestmark = pytest.mark.api


def testbed(*arguments, code=0):
    """Runs the command in a process of its own."""
    command = [sys.executable, "-c", "from testbed.cli import main; main()", *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == code, answer.stderr
    return answer.stdout


testbed.__test__ = False


@pytest.fixture
def folder(tmp_path):
    yield tmp_path / "plane"
    ControlPlane(tmp_path / "plane").remove()


def pids(plane):
    return {program.name: program.pid for program in plane.status().programs}


def test_up_status_and_down_are_processes_of_their_own(folder, control_plane):
    first = json.loads(testbed("up", "--dir", folder, "--output", "json"))
    assert (first["ready"], first["running"]) == (True, True)
    assert json.loads(testbed("up", "--dir", folder, "--output", "json")) == first
    assert f"export KUBECONFIG={folder}/kubeconfig" in testbed("status", "--dir", folder)
    identities = [Identity.of(program["pid"]) for program in first["programs"]]
    testbed("down", "--dir", folder)
    assert not any(identity.alive for identity in identities)
    assert not folder.exists()
    assert control_plane.status().ready
    assert "not ready" in testbed("status", "--dir", folder, code=1)


def test_a_new_start_over_what_a_kill_left_is_a_new_cluster(folder):
    testbed("up", "--dir", folder)
    before = pids(ControlPlane(folder))
    with pytest.raises(UserError, match="testbed down"):
        ControlPlane(folder).start()
    os.kill(before["kube-apiserver"], signal.SIGKILL)
    os.kill(before["etcd"], signal.SIGKILL)
    with ControlPlane(folder).start() as again:
        assert again.status().ready
        assert not set(before.values()) & set(pids(again).values())
        leftover = Identity.of(before["kube-scheduler"])
        assert leftover is None or not leftover.alive
    assert set(pids(again).values()) == {None}


def test_a_control_plane_ends_without_waiting_for_those_who_watch_it(folder):
    plane = ControlPlane(folder).start()
    watching = admin_cluster(plane).watch(NAMESPACE, "0")
    next(watching)  # it is open
    began = time.monotonic()
    plane.stop()
    assert time.monotonic() - began < PATIENCE
    assert set(pids(plane).values()) == {None}

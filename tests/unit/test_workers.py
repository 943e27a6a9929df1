"""What a worker with a real kubelet is told, and when there can be none."""

import json
import tomllib
from pathlib import Path

from images import pause
from testbed.controlplane import programs
from testbed.controlplane.plane import NODE_GRACE
from testbed.controlplane.programs import Paths, Ports
from testbed.workers import cgroups, network, settings

LAYOUT = settings.Layout(Path("/var/tmp/worker-1"))


def test_a_kubelet_stays_in_its_own_group_and_talks_to_its_own_containerd():
    told = json.loads(settings.kubelet(LAYOUT, Path("/pki/ca.crt"), "worker-1234"))
    assert told["cgroupRoot"] == "/worker-1234"
    containerd = tomllib.loads(settings.containerd(LAYOUT))
    assert told["containerRuntimeEndpoint"] == f"unix://{containerd['grpc']['address']}"
    assert told["authentication"]["anonymous"] == {"enabled": False}


def test_a_kubelet_renews_its_lease_often_enough_for_the_control_plane():
    told = json.loads(settings.kubelet(LAYOUT, Path("/pki/ca.crt"), "worker-1234"))
    assert told["nodeLeaseDurationSeconds"] * 2 <= NODE_GRACE


def test_the_container_of_a_pods_namespaces_is_the_image_that_workers_have():
    (cri,) = tomllib.loads(settings.containerd(LAYOUT))["plugins"].values()
    assert cri["sandbox_image"] == pause.NAME


def test_pods_of_two_workers_have_ranges_that_do_not_meet():
    ranges = [json.loads(settings.network(network.pods(number)))["plugins"][0]["ipam"] for number in (1, 2)]
    assert ranges[0]["ranges"] != ranges[1]["ranges"]


def test_without_control_groups_of_version_1_a_worker_says_why_it_can_not_be(monkeypatch, tmp_path):
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    assert "version 1" in cgroups.lacking()


def test_a_group_of_processors_is_filled_and_goes_with_all_below(monkeypatch, tmp_path):
    """A folder stands in for the kernel's: that it takes processes is seen where real workers run."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    hierarchy = tmp_path / "memory"
    hierarchy.mkdir()
    made = cgroups.make("worker-1")
    assert made == [hierarchy / "worker-1"]
    (hierarchy / "worker-1" / "pod" / "container").mkdir(parents=True)
    cgroups.remove("worker-1")
    assert not (hierarchy / "worker-1").exists()


def test_an_api_server_listens_where_workers_reach_it_and_elsewhere_on_loopback_alone():
    def told(*address):
        words = programs.api_server(Paths(Path("/x")), Ports(1, 2, 3), *address)
        return {name: value for name, _, value in (word.partition("=") for word in words)}

    assert told()["--bind-address"] == "127.0.0.1"
    assert told(network.HOST)["--bind-address"] == told(network.HOST)["--advertise-address"] == network.HOST

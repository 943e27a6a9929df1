"""One OS object moves real machines: GRUB, systemd, containerd, a kubelet with pods, and our operator."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from images import pause
from images.recipe import File
from testbed.controlplane import build
from testbed.demo import objects
from testbed.demo.kubectl import Kubectl
from testbed.demo.objects import Pace, Run
from testbed.demo.scene import Scene
from testbed.demo.system import Operator
from testbed.releases.server import ReleaseServer
from testbed.vm import hardening, joined
from testbed.vm.joined import KeptOn
from tests.installation import install
from tests.vm.worker import UP, Worker, machine_status
from tests.waiting import until
from warmroot import nodeconfig
from warmroot.api.nodeconfig import NodeConfig
from warmroot.errors import NotFound
from warmroot.kube.cluster import NODE, OS, OSINSTANCE, POD

pytestmark = [pytest.mark.image, pytest.mark.vm, pytest.mark.api, pytest.mark.timeout(3600)]
BOTH = Run("vm", 2)
PACE = Pace(max_unavailable=1, ready_seconds=5, health_timeout="9m", drain_timeout="2m")
"""Other tests run beside these: a start that takes a minute may take five. The node's own guard has ten."""
FAULT_PACE = Pace(max_unavailable=1, ready_seconds=5, health_timeout="150s", drain_timeout="2m")
MEMORY = 1024
ENDED = ("Complete", "Halted")
ROLLED = 1500
"""Seconds, on a busy machine, for a rollout over both machines, or its failure."""
PAGE = Path(__file__).parents[2] / "docs" / "hardening.md"


def workload():
    """Pods that do nothing, in containers that do exist: the image is the one that every node brings."""
    namespace, deployment, budget = objects.workload(BOTH)
    spec = deployment["spec"]
    spec["replicas"] = BOTH.machines
    template = spec["template"]["spec"]
    template["nodeSelector"] = {}
    # Not on nodes that other tests left in this control plane.
    ours = {"matchExpressions": [{"key": objects.LABEL, "operator": "Exists"}]}
    wanted = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [ours]}}
    template["affinity"] = {"nodeAffinity": wanted}
    (container,) = template["containers"]
    container |= {"image": pause.NAME, "imagePullPolicy": "Never"}
    budget["spec"]["maxUnavailable"] = 1
    return [namespace, deployment, budget]


class Cell:
    """Two machines in a cluster, an operator, and a release server."""

    def __init__(self, line, control_plane, cluster, folder):
        self.line, self.plane, self.cluster, self.folder = line, control_plane, cluster, folder
        self.kubectl = Kubectl(build.installed() / "kubectl", control_plane.kubeconfig)
        self.workers, self.power = {}, {}

    def bring_up(self, undo: ExitStack, release) -> None:
        install(self.plane)
        self.server = undo.enter_context(ReleaseServer(self.line.repository))
        for name in BOTH.nodes:
            home = self.folder / name
            home.mkdir()
            worker = self.workers[name] = Worker.of(release.dir, home)
            self.power[name] = undo.enter_context(KeptOn(partial(worker.on, memory=MEMORY)))
        for number, name in enumerate(BOTH.nodes, start=1):
            machine = self.power[name].machine()
            machine_status(machine)
            own = joined.kubelet(self.plane, name, f"10.88.{number}.0/24")
            joined.join(machine, name, joined.proxy(self.plane, name) | own)
        self.scene = undo.enter_context(Scene(self.plane.kubeconfig, objects.LABEL))
        for name in BOTH.nodes:
            self.select(name, BOTH, UP)
        self.operator = Operator(self.folder / "operator", self.plane.kubeconfig, self.cluster)
        undo.callback(self.operator.end)
        self.operator.start()
        self.kubectl.run("create", "-f", "-", text=objects.manifest(workload()))
        undo.callback(self.kubectl.run, "delete", "namespace", BOTH.namespace, "--wait=false")
        self.wait(self.in_service, "both machines in service, with pods", UP)

    def select(self, name, run, seconds=20):
        """Puts a node into the selection of a run's OS object, and out of any other's."""
        labels = {"metadata": {"labels": run.labels}}
        label = partial(self.cluster.patch, NODE, name, labels)
        until(label, seconds, f"{name} registers", forgive=(NotFound,))

    def in_service(self):
        views = self.scene.nodes().values()
        pods = self.scene.ready_replicas(objects.WORKLOAD)
        return (len(views), pods) == (BOTH.machines, BOTH.machines) and all(view.ready for view in views)

    def wait(self, holds, what, seconds):
        self.scene.wait(holds, what=what, seconds=seconds, hint=f"read the consoles below {self.folder}")

    def apply(self, release, run, pace=PACE, config=None):
        source = self.server.url.replace("127.0.0.1", joined.HOST_OF_GUESTS)
        about = {"version": release.manifest.version, "source": source, "digest": release.digest}
        self.kubectl.run(
            *("apply", "-f", "-"),
            text=objects.manifest([objects.os_object(run, **about, pace=pace, config=config)]),
        )

    def roll(self, release, run, pace=PACE, config=None):
        """Applies the OS object, and waits until its rollout has ended."""
        self.apply(release, run, pace, config)
        revision = revision_of(config)

        def over():
            system = self.scene.os(run.os)
            status = self.cluster.get(OS, run.os).get("status", {})
            said = status.get("configRevision", nodeconfig.NONE)
            known = system.observed and nodeconfig.of_target(system.target)[0] == release.digest
            known = known and said == revision
            return known and system.phase in ENDED

        self.wait(over, f"the end of {release.manifest.version}'s rollout", ROLLED)
        return self.scene.os(run.os)

    def status(self, name):
        return self.cluster.get(OSINSTANCE, name)["status"]

    def run(self, name, text):
        return joined.command(self.power[name].machine(), text).strip()


def revision_of(config):
    return nodeconfig.revision(NodeConfig.model_validate(config or {}).text())


@pytest.fixture(scope="module")
def cell(line, first_release, control_plane, cluster, tmp_path_factory):
    with ExitStack() as undo:
        made = Cell(line, control_plane, cluster, tmp_path_factory.mktemp("cell"))
        made.bring_up(undo, first_release)
        yield made


def test_one_object_moves_two_machines_with_pods_to_the_next_release(cell):
    second = cell.line.build()
    system = cell.roll(second, BOTH)
    assert (system.phase, system.failed) == ("Complete", ())
    cell.wait(cell.in_service, "pods are back", UP)
    for name, view in cell.scene.nodes().items():
        assert (view.system, view.settled) == (f"debian-worker {second.manifest.version}", True), name
        assert cell.workers[name].record().good.value == "B"
    cell.serving = second


def test_what_a_worker_is_open_to_is_what_its_page_says(cell):
    said = hardening.page(cell.power[BOTH.nodes[0]].machine())
    assert said == PAGE.read_text(), f"{PAGE} has to say:\n{said}"


SETTINGS = {
    "sysctl": {"net.core.somaxconn": "8191"},
    "kubelet": {"maxPods": 77},
    "containerd": {"plugins": {"io.containerd.grpc.v1.cri": {"max_container_log_line_size": 4096}}},
    "limits": [{"domain": "*", "type": "hard", "item": "nofile", "value": "65536"}],
    "files": [{"path": "/etc/motd", "content": "ours\n", "mode": "0640"}],
}
"""One of each section."""
ASKED = {
    "cat /proc/sys/net/core/somaxconn": "8191",
    "grep -c 'hard nofile 65536' /etc/security/limits.d/90-warmroot.conf": "1",
    "stat -c %a /etc/motd": "640",
    "containerd config dump | grep -c -e 'max_container_log_line_size = 4096' -e 'warmroot/pause:1'": "2",
    "systemctl is-active kubelet containerd": "active\nactive",
    "systemctl --failed --plain --no-legend": "",
}


def pods_of(cell):
    """Who serves, and how often anything of it started."""
    found = cell.cluster.list(POD, namespace=BOTH.namespace).items
    return {
        one["metadata"]["uid"]: [each["containerID"] for each in one["status"]["containerStatuses"]]
        for one in found
    }


def counts_pods(cell, name, wanted):
    return cell.cluster.get(NODE, name)["status"]["capacity"]["pods"] == wanted


def test_settings_reach_both_machines_without_a_boot_and_pods_run_on(cell):
    boots = {name: cell.status(name)["booted"]["bootID"] for name in BOTH.nodes}
    pods = pods_of(cell)
    system = cell.roll(cell.serving, BOTH, config=SETTINGS)
    assert (system.phase, system.failed) == ("Complete", ())
    for name in BOTH.nodes:
        assert cell.status(name)["configRevision"] == revision_of(SETTINGS)
        assert {asked: cell.run(name, asked) for asked in ASKED} == ASKED
        assert cell.status(name)["booted"]["bootID"] == boots[name]
        until(partial(counts_pods, cell, name, "77"), 60, "the kubelet counts pods anew")
    assert pods_of(cell) == pods


@pytest.mark.long
def test_settings_that_a_kubelet_refuses_are_taken_back_on_the_first_machine(cell):
    wrong = SETTINGS | {"kubelet": {"maxPods": -5}}
    system = cell.roll(cell.serving, BOTH, config=wrong)
    waiting = {row["node"]: row for row in cell.cluster.get(OS, BOTH.os)["status"]["waiting"]}
    assert system.phase == "Halted", waiting
    assert sorted(row["reason"] for row in waiting.values()) == ["ConfigRefused", "Halted"]
    (refused,) = (name for name, row in waiting.items() if row["reason"] == "ConfigRefused")
    assert "kubelet.service" in waiting[refused]["message"]
    assert "maxPods" in waiting[refused]["message"]
    for name in BOTH.nodes:
        assert cell.status(name)["configRevision"] == revision_of(SETTINGS)
        assert {asked: cell.run(name, asked) for asked in ASKED} == ASKED
    cell.wait(cell.in_service, "both machines in service, with pods", UP)


@pytest.mark.long
def test_settings_that_nobody_wants_any_more_are_the_images_again(cell):
    system = cell.roll(cell.serving, BOTH)
    assert (system.phase, system.failed) == ("Complete", ())
    for name in BOTH.nodes:
        assert "configRevision" not in cell.status(name)
        assert cell.status(name)["configPending"] == "Reboot"  # a kernel keeps what it was told
        left = "find /etc -name '90-warmroot*'; cat /etc/motd | grep -c ours"
        assert cell.power[name].machine().run(left).output.strip() == "0"


@pytest.mark.long
def test_a_deliberate_rollback_is_one_activation(cell, first_release):
    """The release before is still in the other slot: nothing is staged, one boot brings it back."""
    before = {name: cell.status(name) for name in BOTH.nodes}
    boots = {name: boots_of(cell, name) for name in BOTH.nodes}
    system = cell.roll(first_release, BOTH)
    assert (system.phase, system.failed) == ("Complete", ())
    for name in BOTH.nodes:
        now = cell.status(name)
        assert (now["booted"]["digest"], now["good"]) == (first_release.digest, "A")
        assert now.get("staging") == before[name].get("staging")
        assert boots_of(cell, name) == boots[name] + 1
    cell.serving = first_release


def boots_of(cell, name):
    return int(cell.run(name, "grep -c ' initrd$' /data/warmroot/boots"))


ARGUMENTS = {"kernelArguments": ["mitigations=off", "hugepages=2"]}


@pytest.mark.long
def test_kernel_arguments_are_tried_confirmed_and_given_up_like_a_release(cell):
    assert cell.roll(cell.serving, BOTH, config=ARGUMENTS).phase == "Complete"
    revision = nodeconfig.arguments_revision(ARGUMENTS["kernelArguments"])
    for name in BOTH.nodes:
        assert cell.run(name, "cat /proc/cmdline").endswith(
            f" wr.args={revision} mitigations=off hugepages=2"
        )
        assert cell.run(name, "cat /proc/sys/vm/nr_hugepages") == "2"
        booted = cell.status(name)["booted"]
        assert (booted["digest"], booted["argumentsRevision"]) == (cell.serving.digest, revision)
        assert cell.status(name)["staging"]["bytesFetched"] == 0

    deadly = {"kernelArguments": ["module_blacklist=virtio_blk"]}  # the initrd finds no disk
    assert cell.roll(cell.serving, BOTH, FAULT_PACE, config=deadly).phase == "Halted"
    # Its three tries may take longer than its health's time limit: until it is back it "never came back".
    cell.wait(
        lambda: [row.reason for row in cell.scene.os(BOTH.os).failed] == ["FellBack"], "its fallback", ROLLED
    )
    (failed,) = cell.scene.os(BOTH.os).failed
    refused = nodeconfig.arguments_revision(deadly["kernelArguments"])
    assert nodeconfig.of_target(failed.digest) == (cell.serving.digest, refused)
    cell.wait(cell.in_service, "both machines serve on, with pods", UP)
    for name in BOTH.nodes:
        assert cell.status(name)["booted"]["argumentsRevision"] == revision
    cell.kubectl.run("delete", OS.plural, BOTH.os, "--timeout=60s")


def setting(path, content):
    return File(path=f"/usr/lib/systemd/{path}", content=content)


HANG = setting(
    "system/testbed-hang.service",
    """[Unit]
DefaultDependencies=no
[Service]
ExecStart=/bin/sh -c 'echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze'
[Install]
WantedBy=sysinit.target
""",
)
"""PID 1 stands still, long before the system is up."""
IMPATIENT_DOG = setting("system.conf.d/20-testbed.conf", "[Manager]\nRuntimeWatchdogSec=10\n")
IMPATIENT_GUARD = setting(
    "system/warmroot-boot-guard.timer.d/testbed.conf", "[Timer]\nOnBootSec=\nOnBootSec=100\n"
)


def broken(recipe, how):
    """What to change about a recipe to get a release that fails in this way."""
    if how == "panics":
        return {"kernel_arguments": (*recipe.kernel_arguments, "rdinit=/none")}
    if how == "hangs":
        units = recipe.units.model_copy(update={"enable": (*recipe.units.enable, "testbed-hang.service")})
        return {"files": (*recipe.files, HANG, IMPATIENT_DOG), "units": units}
    if how == "no kubelet":
        masked = recipe.units.model_copy(update={"mask": (*recipe.units.mask, "kubelet.service")})
        return {"units": masked}
    assert how == "no network"
    others = tuple(file for file in recipe.files if not file.path.endswith("80-warmroot.network"))
    assert len(others) < len(recipe.files)
    return {"files": (*others, IMPATIENT_GUARD)}


FAULTS = {
    "panics": ("FellBack", "NeverStarted"),
    "hangs": ("FellBack", "NeverCameUp"),
    "no kubelet": ("Unhealthy", "RolledBack"),
    "no network": ("FellBack", "NotConfirmed"),
}
"""The operator's reason, and the node's own."""
PAIRS = (("panics", "no network"), ("hangs", "no kubelet"))
"""Of each machine, one after the other: both machines at a time."""


@pytest.mark.long
def test_each_broken_release_falls_back_by_itself_and_is_told_apart(cell):
    # Both machines go down at a time, and the workload has no third one to go to.
    cell.kubectl.run("delete", "poddisruptionbudget", objects.WORKLOAD, "-n", BOTH.namespace)
    releases = {how: cell.line.build(**broken(cell.line.recipe, how)) for how in FAULTS}
    serving = {name: view.booted_digest for name, view in cell.scene.nodes().items()}

    def suffer(name, faults):
        run = Run(name, 1)
        cell.select(name, run)
        told = {}
        for how in faults:
            cell.roll(releases[how], run, FAULT_PACE)
            told[how] = fallen_back(cell, name, run, releases[how], serving[name])
        return told

    with ThreadPoolExecutor(len(PAIRS)) as pool:
        first, second = pool.map(suffer, BOTH.nodes, PAIRS)
    assert first | second == FAULTS
    cell.wait(cell.in_service, "both machines serve on, with pods", UP)


def fallen_back(cell, name, run, release, serving):
    """Once a node is in service again: the reasons that its OS object and its OSInstance give."""

    def row():
        return next((row for row in cell.scene.os(run.os).failed if row.digest == release.digest), None)

    def back():
        view, known = cell.scene.nodes()[name], row()
        served = view.settled and view.booted_digest == serving and release.digest in view.barred
        return served and known is not None and known.reason != "NeverCameBack"

    cell.wait(back, f"{name} in service on its old release, and why", ROLLED)
    events = cell.kubectl.run("events", "--for", f"{OS.kind}/{run.os}")
    reason = cell.scene.nodes()[name].error.partition(":")[0]
    assert row().reason in events, events
    assert f"{reason}: {release.digest}" in row().message or row().reason == "Unhealthy", row()
    return row().reason, reason

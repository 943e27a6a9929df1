"""Settings become files of /etc, who reads them takes notice, and what does not hold is taken back."""

import hashlib
import json
import os
import tomllib
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from os_proxy.backends import configuring
from os_proxy.backends.etc import KEPT, PLACED, Etc
from os_proxy.backends.files import DataFolder
from os_proxy.configure import main
from os_proxy.core.configuration import (
    CONTAINERD,
    KUBELET,
    LIMITS,
    SYSCTL,
    Change,
    Rendered,
    change,
    merged,
    render,
)
from os_proxy.core.orders import Goal
from tests.proxy_world import PowerCut, World, cut_off_at_each_step, make_image, new_world
from warmroot import nodeconfig
from warmroot.disk.bootrecord import Slot
from warmroot.errors import ConfigRefused, NodeError

BASE = {
    "version": 2,
    "plugins": {"io.containerd.grpc.v1.cri": {"sandbox_image": "pause:1", "cni": {"bin_dir": "/opt"}}},
}
CRI = "io.containerd.grpc.v1.cri"


def rendered(base=BASE, **sections):
    return render(nodeconfig.parse(nodeconfig.encode(sections)), base)


# -- rendering --------------------------------------------------------------------------------------------


def test_each_section_is_a_file_that_its_reader_knows():
    files = rendered(
        sysctl={"vm.swappiness": "1", "net.core.somaxconn": "4096"},
        limits=[{"domain": "*", "type": "soft", "item": "nofile", "value": "65536"}],
        kubelet={"maxPods": 200},
        containerd={"oom_score": -999},
    )
    assert files[SYSCTL].data.splitlines()[1:] == [b"net.core.somaxconn = 4096", b"vm.swappiness = 1"]
    assert files[LIMITS].data.splitlines()[1:] == [b"* soft nofile 65536"]
    kubelet = json.loads(files[KUBELET].data)
    assert (kubelet["kind"], kubelet["maxPods"]) == ("KubeletConfiguration", 200)
    assert tomllib.loads(files[CONTAINERD].data.decode()) == {"version": 2, "oom_score": -999}


def test_a_plugin_of_containerd_keeps_what_the_image_says_about_it():
    files = rendered(containerd={"plugins": {CRI: {"cni": {"conf_dir": "/etc/cni"}, "registry": None}}})
    plugin = tomllib.loads(files[CONTAINERD].data.decode())["plugins"][CRI]
    assert plugin == {"sandbox_image": "pause:1", "cni": {"bin_dir": "/opt", "conf_dir": "/etc/cni"}}


def test_a_drop_in_of_a_unit_restarts_that_unit():
    path = "/etc/systemd/system/containerd.service.d/proxy.conf"
    files = rendered(files=[{"path": path, "content": "[Service]\n", "mode": "0600"}])
    assert (files[path].mode, files[path].restart) == (0o600, ("containerd.service",))
    assert change({}, files) == Change(("containerd.service",), reload=True)


def test_units_restart_in_the_order_in_which_they_stand_on_one_another():
    wanted = rendered(
        sysctl={"a.b": "1"},
        kubelet={"maxPods": 1},
        containerd={"oom_score": 0},
        files=[{"path": "/etc/x", "content": "", "restart": ["chrony.service"]}],
    )
    order = ("chrony.service", "systemd-sysctl.service", "containerd.service", "kubelet.service")
    assert change({}, wanted).restart == order


def test_only_what_changed_restarts_anything():
    before = rendered(kubelet={"maxPods": 1}, sysctl={"a.b": "1"})
    after = rendered(kubelet={"maxPods": 1}, sysctl={"a.b": "2"})
    assert change(before, before) == Change()
    assert change(before, after) == Change(("systemd-sysctl.service",))


def test_a_kernel_setting_that_is_taken_away_stays_until_the_next_boot():
    before, after = rendered(sysctl={"a.b": "1", "c.d": "1"}), rendered(sysctl={"c.d": "2"})
    assert change(before, after).needs_boot
    assert not change(after, before).needs_boot


trees = st.recursive(st.integers() | st.text(), lambda inner: st.dictionaries(st.text(max_size=2), inner))


@given(trees, trees)
def test_of_two_trees_the_second_wins_and_nothing_of_the_first_is_lost(base, over):
    both = merged(base, over)
    assert merged(both, over) == both
    if isinstance(base, dict) and isinstance(over, dict):
        assert set(both) == {*base, *over}
        assert all(both[key] == base[key] for key in set(base) - set(over))


# -- /etc -------------------------------------------------------------------------------------------------


@pytest.fixture
def node(tmp_path):
    """A root with one file of the image, and a data partition."""
    for name in ("root", "image"):
        (tmp_path / name / "etc").mkdir(parents=True)
        (tmp_path / name / "etc/of-the-image").write_text("original\n")
        (tmp_path / name / "etc/of-the-image").chmod(0o640)
    return tmp_path


def etc(node):
    return Etc(node / "root", node / "image", DataFolder(node / "data"))


def read(node, path):
    file = node / f"root{path}"
    return file.read_text(), oct(file.stat().st_mode & 0o7777)


def test_files_come_with_their_mode_and_go_back_to_the_images(node):
    wanted = {"/etc/of-the-image": Rendered(b"ours", 0o600), "/etc/deep/er/new": Rendered(b"new")}
    assert etc(node).bring(wanted) == ["/etc/deep/er/new", "/etc/of-the-image"]
    assert read(node, "/etc/of-the-image") == ("ours", "0o600")
    assert read(node, "/etc/deep/er/new") == ("new", "0o644")
    assert etc(node).bring(wanted) == []

    assert etc(node).bring({}) == ["/etc/deep/er/new", "/etc/of-the-image"]
    assert read(node, "/etc/of-the-image") == ("original\n", "0o640")
    assert not (node / "root/etc/deep/er/new").exists()


def test_what_a_person_wrote_there_is_kept(node):
    (node / "root/etc/of-the-image").write_text("by hand")
    etc(node).bring({"/etc/of-the-image": Rendered(b"ours")})
    assert (node / f"data/{KEPT}/etc/of-the-image").read_text() == "by hand"
    (node / "root/etc/of-the-image").write_text("by hand again")
    etc(node).bring({})
    assert (node / f"data/{KEPT}/etc/of-the-image").read_text() == "by hand again"
    assert read(node, "/etc/of-the-image")[0] == "original\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_who_reads_a_file_of_the_image_goes_on_to(node):
    for name in ("root", "image"):
        os.chown(node / name / "etc/of-the-image", 0, 12345)
    etc(node).bring({"/etc/of-the-image": Rendered(b"ours", 0o640), "/etc/new": Rendered(b"new")})
    assert (node / "root/etc/of-the-image").stat().st_gid == 12345
    assert (node / "root/etc/new").stat().st_gid == os.getegid()
    etc(node).bring({})
    assert (node / "root/etc/of-the-image").stat().st_gid == 12345


def test_our_own_former_content_is_not_kept(node):
    etc(node).bring({"/etc/x": Rendered(b"1")})
    etc(node).bring({"/etc/x": Rendered(b"2")})
    assert not (node / f"data/{KEPT}").exists()


@pytest.mark.parametrize("what", ["folder", "file"])
def test_nothing_is_written_through_a_link(node, what):
    (node / "elsewhere").mkdir()
    (node / "elsewhere/x").write_text("untouched")
    if what == "folder":
        (node / "root/etc/d").symlink_to(node / "elsewhere")
        with pytest.raises(ConfigRefused, match="link"):
            etc(node).bring({"/etc/d/x": Rendered(b"ours")})
    else:
        (node / "root/etc/x").symlink_to(node / "elsewhere/x")
        etc(node).bring({"/etc/x": Rendered(b"ours")})
        assert not (node / "root/etc/x").is_symlink()
    assert (node / "elsewhere/x").read_text() == "untouched"


@pytest.mark.parametrize("cut_at", range(5), ids=["note", "first", "b", "c", "last note"])
def test_cut_off_anywhere_it_is_done_by_doing_it_again(node, cut_at, monkeypatch):
    """Also if what is wanted is other by then: nothing of ours stays behind."""
    etc(node).bring({"/etc/a": Rendered(b"1"), "/etc/of-the-image": Rendered(b"1")})
    left, real = cut_at, os.rename

    def cut(*arguments, **more):
        nonlocal left
        left -= 1
        if left < 0:
            raise PowerCut
        real(*arguments, **more)

    monkeypatch.setattr(os, "rename", cut)
    with pytest.raises(PowerCut):
        etc(node).bring({"/etc/b": Rendered(b"2"), "/etc/c": Rendered(b"2")})
    monkeypatch.undo()
    etc(node).bring({"/etc/c": Rendered(b"3")})
    assert {path.name for path in (node / "root/etc").iterdir()} == {"c", "of-the-image"}
    assert read(node, "/etc/of-the-image")[0] == "original\n"
    assert json.loads((node / "data" / PLACED).read_text()) == {"/etc/c": hashlib.sha256(b"3").hexdigest()}


def test_a_disk_that_refuses_is_named(node, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NodeError):
        etc(node).bring({"/etc/x": Rendered(b"ours")})


# -- what the node's service does --------------------------------------------------------------------------


@pytest.fixture
def booted(node):
    (node / "proc").mkdir()
    (node / "proc/cmdline").write_text("quiet wr.slot=B\n")
    (node / "data/config").mkdir(parents=True)

    def run():
        return main(
            [
                *("--data", str(node / "data"), "--root", str(node / "root"), "--image", str(node / "image")),
                *("--run", str(node / "run"), "--proc", str(node / "proc")),
            ]
        )

    return run


def test_a_boot_has_the_settings_of_its_own_slot(node, booted):
    text = nodeconfig.encode({"sysctl": {"vm.swappiness": "1"}})
    (node / "data/config/B.json").write_text(text)
    (node / "data/config/A.json").write_text(nodeconfig.encode({"sysctl": {"vm.swappiness": "9"}}))
    assert booted() == 0
    assert "vm.swappiness = 1" in read(node, SYSCTL)[0]
    assert (node / "run/configuration").read_text() == nodeconfig.revision(text)


def test_settings_that_rotted_leave_etc_as_it_was_and_say_so(node, booted, capsys):
    (node / "data/config/B.json").write_bytes(b'{"sysctl":{"vm.swappin\xff')
    assert booted() == 1
    assert "slot B" in capsys.readouterr().err
    assert not (node / "run/configuration").exists()
    assert not (node / f"root{SYSCTL}").exists()


# -- the transaction --------------------------------------------------------------------------------------

ONE = make_image(1)
GOOD = nodeconfig.encode({"kubelet": {"maxPods": 100}})
OTHER = nodeconfig.encode({"sysctl": {"vm.swappiness": "1"}})
BAD = nodeconfig.encode({"kubelet": {"unknownField": 1}})


def ordered(world, text):
    world.order(Goal.CONFIGURE, ONE, config=text)
    world.settle()
    return world


def state(world):
    status = world.instance.state
    return status["phase"], status.get("configRevision"), status["configPending"], world.error


def test_settings_come_into_force_without_a_boot():
    world = ordered(new_world(ONE), GOOD)
    assert state(world) == ("Confirmed", nodeconfig.revision(GOOD), "None", None)
    assert (world.boots, world.all_took_notice()) == (1, True)


def test_settings_that_do_not_hold_are_taken_back_and_not_tried_again_by_themselves():
    world = ordered(ordered(new_world(ONE), GOOD), BAD)
    assert state(world) == ("Failed", nodeconfig.revision(GOOD), "None", "ConfigRefused")
    assert world.all_took_notice()
    assert configuring.text_of(world.files, Slot.A) == GOOD
    tried = []
    world.spend = tried.append
    world.settle()
    assert tried == []
    ordered(world, GOOD)
    assert state(world)[0] == "Confirmed"


def test_what_was_refused_may_be_ordered_anew_once_something_else_was():
    world = ordered(ordered(ordered(new_world(ONE), BAD), ""), OTHER)
    assert state(world) == ("Confirmed", nodeconfig.revision(OTHER), "None", None)
    ordered(ordered(world, BAD), OTHER)
    assert world.error is None


def test_a_setting_that_needs_a_boot_to_go_says_so_until_there_was_one():
    world = ordered(ordered(new_world(ONE), OTHER), GOOD)
    assert state(world)[2] == "Reboot"
    world.boot()
    world.settle()
    assert state(world) == ("Confirmed", nodeconfig.revision(GOOD), "None", None)


def test_what_only_refused_settings_set_in_the_kernel_needs_a_boot_to_go():
    both = nodeconfig.encode({"kubelet": {"unknownField": 1}, "sysctl": {"vm.swappiness": "1"}})
    world = ordered(ordered(new_world(ONE), GOOD), both)
    assert state(world) == ("Failed", nodeconfig.revision(GOOD), "Reboot", "ConfigRefused")


def test_a_node_on_which_nobody_can_be_asked_says_so_and_goes_on_once_somebody_can():
    world, real = new_world(ONE), World.configure

    def silent(change):
        raise NodeError("systemctl could not be asked")

    world.configure = silent
    ordered(world, GOOD)
    assert (world.phase, world.error) == ("Failed", "NodeError")
    world.configure = partial(real, world)
    world.start_agent()
    world.settle()
    assert state(world) == ("Confirmed", nodeconfig.revision(GOOD), "None", None)


@pytest.mark.parametrize("wanted", [GOOD, BAD, ""], ids=["good", "bad", "none"])
@pytest.mark.parametrize("reboots", [True, False], ids=["power cut", "proxy killed"])
@pytest.mark.parametrize("orders", [True, False], ids=["ordered on", "nobody orders"])
def test_cut_off_at_any_step_the_node_has_old_or_new_settings_wholly(wanted, reboots, orders):
    def changing():
        world = ordered(new_world(ONE), OTHER)
        world.order(Goal.CONFIGURE, ONE, config=wanted)
        return world

    cuts = 0
    for world in cut_off_at_each_step(changing):
        cuts += 1
        world.boot() if reboots else world.start_agent()
        if not orders:
            world.instance.wanted = None
        world.settle()
        assert world.in_force in {nodeconfig.revision(one) for one in (OTHER, wanted) if one != BAD}
        assert world.in_force == nodeconfig.revision(configuring.text_of(world.files, Slot.A))
        assert world.all_took_notice()
    assert cuts > 5


# -- settings and slots -----------------------------------------------------------------------------------

TWO, PANICS = make_image(2), make_image(3, healthy=False)


def test_settings_go_with_their_slot():
    """The release that is tried has the new ones from its first boot on; the one before keeps its own."""
    world = ordered(new_world(ONE, TWO), GOOD)
    for goal in (Goal.STAGE, Goal.ACTIVATE, Goal.CONFIRM):
        world.order(goal, TWO, config=OTHER)
        world.settle()
    assert state(world) == ("Confirmed", nodeconfig.revision(OTHER), "None", None)
    assert configuring.text_of(world.files, Slot.A) == GOOD


def test_a_release_that_falls_back_takes_its_settings_with_it():
    world = ordered(new_world(ONE, PANICS), GOOD)
    for goal in (Goal.STAGE, Goal.ACTIVATE):
        world.order(goal, PANICS, config=OTHER)
        world.settle()
    assert (world.phase, world.booted_slot) == ("FellBack", Slot.A)
    assert world.instance.state["configRevision"] == nodeconfig.revision(GOOD)
    assert world.all_took_notice()


def to_two(world, config):
    for goal in (Goal.STAGE, Goal.ACTIVATE, Goal.CONFIRM):
        world.order(goal, TWO, config=config)
        world.settle()
    return world


def test_a_release_that_is_returned_to_has_the_settings_that_its_slot_kept():
    world = to_two(ordered(new_world(ONE, TWO), GOOD), OTHER)
    kept = world.instance.state["slots"]["A"]["configRevision"]
    fetched = len(world.source.served)
    for goal in (Goal.STAGE, Goal.ACTIVATE, Goal.CONFIRM):
        world.order(goal, ONE, kept=kept)
        world.settle()
    assert state(world) == ("Confirmed", nodeconfig.revision(GOOD), "None", None)
    assert len(world.source.served) == fetched, "both slots have what they had"
    assert world.instance.state["slots"]["B"]["configRevision"] == nodeconfig.revision(OTHER)


def test_settings_that_no_slot_has_are_refused_where_they_come_without_their_text():
    world = to_two(ordered(new_world(ONE, TWO), GOOD), OTHER)
    world.order(Goal.STAGE, ONE, kept=nodeconfig.revision(BAD))
    world.settle()
    assert (world.phase, world.error) == ("Failed", "ConfigRefused")
    assert configuring.text_of(world.files, Slot.A) == GOOD


@pytest.mark.parametrize("lowest", [1, 2])
def test_what_runs_bars_an_older_release_that_still_lies_in_the_other_slot(lowest):
    """`minSeq`: nothing below it comes back, and nothing has to be written for that."""
    strict = make_image(2, min_seq=lowest)
    world = new_world(ONE, strict)
    for goal in (Goal.STAGE, Goal.ACTIVATE, Goal.CONFIRM):
        world.order(goal, strict)
        world.settle()
    for goal in (Goal.STAGE, Goal.ACTIVATE):
        world.order(goal, ONE)
        world.settle()
    if lowest > 1:
        assert (world.phase, world.error, world.booted_slot) == ("Failed", "Replayed", Slot.B)
    else:
        assert (world.phase, world.booted_slot) == ("Trial", Slot.A)


def test_settings_that_change_after_staging_are_placed_without_another_download():
    world = new_world(ONE, TWO)
    world.order(Goal.STAGE, TWO, config=GOOD)
    world.settle()
    fetched = len(world.source.served)
    world.order(Goal.STAGE, TWO, config=OTHER)
    world.settle()
    assert (world.phase, len(world.source.served)) == ("Staged", fetched)
    assert configuring.text_of(world.files, Slot.B) == OTHER


def test_a_trial_whose_settings_are_not_in_force_is_not_confirmed():
    world = new_world(ONE, TWO)
    for goal in (Goal.STAGE, Goal.ACTIVATE):
        world.order(goal, TWO, config=GOOD)
        world.settle()
    world.in_force = ""
    world.order(Goal.CONFIRM, TWO, config=GOOD)
    world.settle()
    assert (world.phase, world.error, world.record.good) == ("Failed", "ConfigRefused", Slot.A)


def test_settings_for_another_release_than_the_one_that_runs_are_refused():
    world = new_world(ONE, TWO)
    world.order(Goal.CONFIGURE, TWO, config=GOOD)
    world.settle()
    assert (world.phase, world.error, world.in_force) == ("Failed", "WrongRelease", "")


def test_settings_that_this_proxy_can_not_read_are_refused_and_change_nothing():
    world = new_world(ONE)
    ordered(world, nodeconfig.encode({"files": [{"path": "/etc/passwd", "content": ""}]}))
    assert (world.phase, world.error, world.in_force) == ("Failed", "ConfigRefused", "")
    assert world.files.read(configuring.name_of(Slot.A)) is None

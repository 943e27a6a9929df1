"""Settings that somebody changed by hand are told by path and difference, not kept or lost in silence."""

import os

import pytest

from os_proxy.backends.settings import CommandBringer, Settings
from os_proxy.core.configuration import KUBELET, Rendered
from os_proxy.core.drift import drift
from os_proxy.core.orders import Goal
from tests.proxy_world import make_image, new_world
from warmroot import nodeconfig

ONE = make_image(1)
MOTD = nodeconfig.encode(
    {"files": [{"path": "/etc/motd", "content": "ours\nall\n"}], "kubelet": {"maxPods": 9}}
)


def ordered(world, text):
    world.order(Goal.CONFIGURE, ONE, config=text)
    world.settle()
    return world


def drifted(world):
    """What the status says once a while has passed."""
    world.clock.time += 61
    world.settle()
    return {one["path"]: one["diff"] for one in world.instance.state["configDrift"]}


def test_what_somebody_changed_by_hand_is_told_by_path_and_line_and_not_undone():
    world = ordered(new_world(ONE), MOTD)
    assert drifted(world) == {}
    world.edits = {"/etc/motd": Rendered(b"ours\nmine\n", 0o664), KUBELET: None}
    assert drifted(world) == {
        "/etc/motd": "its mode is 0664, not 0644\n-all\n+mine",
        KUBELET: "it is gone, or no plain file",
    }
    assert world.phase == "Confirmed"
    assert world.by_hand()["/etc/motd"].data == b"ours\nmine\n"
    world.edits = {}
    assert drifted(world) == {}


def test_drift_is_looked_for_once_in_a_while_and_not_where_nothing_was_ordered():
    world, asked = ordered(new_world(ONE), MOTD), []
    world.by_hand = lambda: asked.append(1) or world.etc
    for _ in range(5):
        world.settle()
    assert asked == []
    drifted(world)
    assert asked != []
    asked.clear()
    drifted(ordered(world, ""))
    assert asked == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (b"\xff\xfe", "2 bytes that are no text, not 4 bytes"),
        (b"a\r\nb", "only the ends of its lines differ"),
        (b"a\nb\nc", "+c"),
    ],
)
def test_a_difference_is_said_in_a_line_or_two(found, said):
    wanted = {"/etc/x": Rendered(b"a\nb\n")}
    assert [one.diff for one in drift(wanted, {"/etc/x": Rendered(found)})] == [said]


@pytest.mark.parametrize(("wanted", "found"), [(0o600, 0o600), (0o640, 0o644), (0o644, 0o600)])
def test_what_not_everybody_may_read_is_not_told_to_everybody(wanted, found):
    before = {"/etc/key": Rendered(b"old secret", wanted)}
    (told,) = drift(before, {"/etc/key": Rendered(b"new secret", found)})
    assert "its content differs" in told.diff
    assert "secret" not in told.diff


def test_what_can_not_be_told_is_not_called_drift_and_a_status_stays_small():
    many = {f"/etc/{n:02}": Rendered(b"x" * 9000) for n in range(20)}
    assert drift(many, {}) == ()
    told = drift(many, dict.fromkeys(many, Rendered(b"y" * 9000)))
    assert (len(told), max(len(one.diff) for one in told)) == (8, 512)


def test_only_plain_files_are_looked_at_and_no_link_is_followed(tmp_path):
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "plain").write_text("x")
    (etc / "plain").chmod(0o640)
    (etc / "link").symlink_to("plain")
    os.mkfifo(etc / "pipe")
    settings = Settings(tmp_path, tmp_path / "run", CommandBringer(["true"]))
    found = settings.lying(["/etc/plain", "/etc/link", "/etc/pipe", "/etc/none"])
    assert found == {
        "/etc/plain": Rendered(b"x", 0o640),
        "/etc/link": None,
        "/etc/pipe": None,
        "/etc/none": None,
    }

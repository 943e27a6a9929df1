"""Users and hooks of a recipe on a machine that boots twice."""

import re

import pytest

from images.command import EPOCH
from tests.vm.small import COUNTED, UID, USER
from tests.vm.worker import Worker, machine_status, removed
from warmroot.disk.bootrecord import Slot

pytestmark = [pytest.mark.long, pytest.mark.image, pytest.mark.vm, pytest.mark.timeout(1200)]
HOOKS = "warmroot-first-boot.service"
DAY = EPOCH // 86400


@pytest.fixture
def machine_of(small_release, tmp_path):
    worker = Worker.of(small_release.built.dir, tmp_path)
    yield worker
    removed(tmp_path)


def ssh(machine, key, words, user=USER):
    """Logs in from the machine itself: it has the only client that every machine of the tests has."""
    told = machine.run(
        f"umask 077; cat >/run/key <<'END'\n{key}END\n"
        "ssh -i /run/key -o BatchMode=yes -o StrictHostKeyChecking=accept-new "
        f"-o UserKnownHostsFile=/run/known {user}@127.0.0.1 '{words}'; status=$?; rm /run/key; exit $status",
        180,
    )
    return told.status, told.output.strip().splitlines()[-1:]


def said_of(machine, text):
    told = machine.run(text)
    assert told.status == 0, told.output
    return told.output.strip()


def test_a_user_logs_in_by_key_alone_and_a_hook_runs_once_and_a_failing_one_is_named(
    machine_of, small_release
):
    failed = r"^warmroot-first-boot: broken failed with status 3, and runs again at the next start$"
    with machine_of.on() as machine:
        status = machine_status(machine)
        assert (status["slot"], status["state"], status["failed"]) == (Slot.A.value, "good", HOOKS)
        assert re.search(failed, machine.console(), re.MULTILINE)
        assert said_of(machine, f"cat {COUNTED}").split() == ["broken", "works"]
        is_as_the_recipe_says(machine)
        assert ssh(machine, small_release.private_key, "id -un; echo kept >note; id -un") == (0, [USER])
        refused_without_the_key(machine, small_release.private_key)
        host_key = said_of(machine, "cat /etc/ssh/ssh_host_ed25519_key.pub")
        machine.reboot()
    with machine_of.on() as machine:
        assert machine_status(machine)["failed"] == HOOKS
        assert said_of(machine, f"cat {COUNTED}").split() == ["broken", "works", "broken"]
        assert said_of(machine, f"cat /var/home/{USER}/note") == "kept"
        assert said_of(machine, "cat /etc/ssh/ssh_host_ed25519_key.pub") == host_key


def is_as_the_recipe_says(machine):
    assert (
        said_of(machine, f"id {USER}") == f"uid={UID}({USER}) gid={UID}({USER}) groups={UID}({USER}),4(adm)"
    )
    assert said_of(machine, f"getent passwd {USER}").endswith(f":/var/home/{USER}:/usr/bin/bash")
    assert said_of(machine, f"stat -c '%a %U:%G' /var/home/{USER}") == f"700 {USER}:{USER}"
    assert said_of(machine, f"findmnt -no SOURCE -T /var/home/{USER}") == said_of(
        machine, "findmnt -no SOURCE -T /var"
    )
    assert said_of(machine, "stat -c '%a %U:%G' /etc/ssh/authorized_keys.d/*") == "644 root:root"
    # No password, and a day that is not that of the build.
    assert said_of(machine, f"getent shadow {USER} bob | cut -d: -f2,3").split() == [f"!:{DAY}"] * 2


def refused_without_the_key(machine, key):
    assert ssh(machine, key, f"id -un; touch /etc/ssh/authorized_keys.d/{USER}")[0] != 0, "its own keys"
    assert ssh(machine, key, "id -un", user="bob")[0] == 255, "nobody's key"
    assert ssh(machine, key, "id -un", user="root")[0] == 255, "root"

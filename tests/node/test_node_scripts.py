"""The scripts of `images/node` run here as they run on a node: by bash, on a file in a device's place."""

import contextlib
import os
import random
import signal
import subprocess
from importlib.resources import files

import pytest

from tests.vm.states import every_state
from warmroot.disk.bootrecord import decode, newest
from warmroot.disk.layout import BOOTSTATE_BYTES, COPY_OFFSETS

SCRIPT = files("images") / "node" / "record"


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    device = tmp_path_factory.mktemp("record") / "bootstate"
    device.write_bytes(bytes(BOOTSTATE_BYTES))

    def said(copies):
        with device.open("r+b") as file:
            for offset, copy in zip(COPY_OFFSETS, copies, strict=True):
                file.seek(offset)
                file.write(copy)
        done = subprocess.run(["bash", SCRIPT, device], capture_output=True, text=True, check=False)
        assert "nvalid argument" not in done.stderr, "this file system takes no direct reads"
        return done.stdout.strip()

    return said


def spelt(record):
    return f"{record.gen:08d}:{record.good}:{record.next or '-'}:{record.left}" if record else ""


def ours(copy):
    """Whether these are bytes that proxy and GRUB write."""
    record = decode(copy)
    return record is not None and record.encode() == copy


def test_the_nodes_own_script_reads_the_record_that_the_boot_loader_reads(ask):
    """Every state that our own writers can leave, torn or lost copies too; the rest it takes for lost."""
    states = random.Random(7).sample(every_state(), 150)
    compared = 0
    for state in states:
        copies = (state.copy1, state.copy2)
        if all(ours(copy) or decode(copy) is None for copy in copies):
            assert ask(copies) == spelt(newest(*copies)[1]), state
            compared += 1
    assert compared > 100


def test_bytes_that_none_of_ours_wrote_count_as_lost(ask):
    states = [state for state in every_state() if decode(state.copy1) and not ours(state.copy1)]
    assert states
    for state in random.Random(7).sample(states, min(20, len(states))):
        assert ask((state.copy1, bytes(512))) == "", state


REBOOTED, NOTED = "rebooted", "noted"
HANGS = "exec tail -f /dev/null"


@pytest.fixture
def give_up(tmp_path):
    """`give-up` among programs that stand for those of a node; gives what happened, by name."""

    def run(**instead):
        programs = {
            "on-trial": "exit 0",
            "mark": f'echo "$*" >{tmp_path}/{NOTED}',
            "ip": "echo default via 10.0.2.2 dev eth0",
            "systemctl": f'[[ $1 == is-active ]] && echo active || echo "$*" >{tmp_path}/{REBOOTED}',
            "sleep": "exec /bin/sleep 0.01",
        } | {name.replace("_", "-"): text for name, text in instead.items()}
        for name, text in programs.items():
            program = tmp_path / name
            program.write_text(f"#!/bin/bash\n{text}\n")
            program.chmod(0o755)
        script = tmp_path / "give-up"
        script.write_text(SCRIPT.with_name("give-up").read_text().replace("/dev/console", f"{tmp_path}/said"))
        path = f"{tmp_path}:/usr/bin:/bin"
        with subprocess.Popen(
            ["bash", script, "unconfirmed"], env={"PATH": path}, start_new_session=True
        ) as done:
            try:
                assert done.wait(20) == 0
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(done.pid, signal.SIGKILL)  # what hangs is still there
        left = [tmp_path / name for name in (REBOOTED, NOTED)]
        return {path.name: path.read_text().strip() for path in left if path.exists()}

    return run


def test_a_system_on_trial_is_started_over_with_a_note_of_what_is_known(give_up):
    assert give_up() == {
        NOTED: "unconfirmed route=10.0.2.2 proxy=active kubelet=active",
        REBOOTED: "--force reboot",
    }


def test_a_confirmed_system_is_left_alone(give_up):
    assert give_up(on_trial="exit 1") == {}


@pytest.mark.parametrize("what", ["ip", "mark"])
def test_what_hangs_under_the_note_does_not_keep_a_broken_system_up(give_up, what):
    assert give_up(**{what: HANGS}) == {REBOOTED: "--force reboot"}


@pytest.fixture
def first_boot(tmp_path):
    """`first-boot` over hooks by name; gives its status, the console's lines, the hooks that ran so far."""

    def run(hooks, kind="ext2/ext3"):
        folder, data = tmp_path / "hooks", tmp_path / "data"
        for path in (folder, data):
            path.mkdir(exist_ok=True)
        for number, (name, text) in enumerate(hooks.items(), start=1):
            hook = folder / f"{number:02d}-{name}"
            hook.write_text(f"#!/bin/bash\necho {name} >>{data}/ran\n{text}\n")
            hook.chmod(0o755)
        stat = tmp_path / "stat"
        stat.write_text(f"#!/bin/sh\necho {kind}\n")
        stat.chmod(0o755)
        script = (
            SCRIPT.with_name("first-boot")
            .read_text()
            .replace("/usr/lib/warmroot/first-boot.d", str(folder))
            .replace("/var/lib/warmroot/first-boot", f"{data}/notes")
            .replace("/dev/console", f"{tmp_path}/said")
            .replace("300 ", "1 ")
        )
        (tmp_path / "said").write_text("")
        path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        done = subprocess.run(["bash", "-c", script], env=path, capture_output=True, check=False)
        ran = (data / "ran").read_text().split() if (data / "ran").exists() else []
        return done.returncode, (tmp_path / "said").read_text().splitlines(), ran

    return run


def test_a_hook_runs_once_in_the_recipes_order_and_a_new_one_at_the_next_start(first_boot):
    said = ["warmroot-first-boot: z is done", "warmroot-first-boot: a-b is done"]
    assert first_boot({"z": "true", "a-b": "true"}) == (0, said, ["z", "a-b"])
    assert first_boot({"z": "true", "a-b": "true"}) == (0, [], ["z", "a-b"])
    assert first_boot({"z": "true", "a-b": "true", "new": "true"})[2] == ["z", "a-b", "new"]


@pytest.mark.parametrize(("how", "status"), [("exit 3", 3), ("exec sleep 60", 124)], ids=["fails", "hangs"])
def test_a_hook_that_fails_is_named_keeps_no_other_from_running_and_runs_again(first_boot, how, status):
    failed = f"warmroot-first-boot: bad failed with status {status}, and runs again at the next start"
    hooks = {"bad": how, "good": "true"}
    first = first_boot(hooks)
    assert (first[0], first[2]) == (1, ["bad", "good"])
    assert first_boot(hooks) == (1, [failed], ["bad", "good", "bad"])


@pytest.mark.parametrize("kind", ["tmpfs", "overlayfs"])
def test_no_hook_runs_where_it_could_not_be_noted(first_boot, kind):
    """Data that is lost is in memory; over data that is full or read-only, /var is."""
    status, said, ran = first_boot({"a": "true"}, kind=kind)
    assert (status, ran) == (0, [])
    assert said[0].startswith("warmroot-first-boot: not run: /var is in memory")

"""What the scheduler says of threads, held against threads whose work is known."""

import os
import subprocess
import sys
import time

import pytest

from testbed.apps.threads import Spent, Threads

BUSY_AND_IDLE = """
import ctypes, threading, time
def named(name, work):
    def run():
        ctypes.CDLL(None).prctl(15, name, 0, 0, 0)
        print(flush=True)
        work()
    threading.Thread(target=run).start()
def spin():
    while True: pass
named(b"busy-1", spin)
named(b"idle-1", lambda: time.sleep(60))
"""


@pytest.fixture
def process():
    with subprocess.Popen([sys.executable, "-c", BUSY_AND_IDLE], stdout=subprocess.PIPE) as started:
        started.stdout.readline()
        started.stdout.readline()
        yield started.pid
        started.kill()


def test_only_threads_of_that_name_are_counted(process):
    with (
        Threads((process, "busy")) as busy,
        Threads((process, "idle")) as idle,
        Threads((process, "")) as all_,
    ):
        assert (len(busy), len(idle), len(all_)) == (1, 1, 3)
        before = busy.spent(), idle.spent()
        time.sleep(0.3)
        worked, slept = busy.spent() - before[0], idle.spent() - before[1]
    assert 150 < worked.ran + worked.waited < 600
    assert slept.ran + slept.waited < 30


def test_threads_of_several_processes_count_together(process):
    with Threads((process, "busy"), (os.getpid(), "")) as both:
        assert len(both) > 1


def test_a_thread_that_ended_counts_nothing(process):
    with Threads((process, "")) as watched:
        os.kill(process, 9)
        os.waitpid(process, 0)
        assert watched.spent() == Spent()


def test_a_process_that_is_gone_is_told():
    with pytest.raises(OSError, match="No such"):
        Threads((2**22 + 1, ""))

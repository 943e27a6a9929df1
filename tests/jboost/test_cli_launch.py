"""An application that we start can't tell that we did: its signals, its exit status, its descriptors."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress

import pytest

BECOME = "from jboost_server.local.launch import become; import os; become({words!r}, os.environ)"
PARENT = """
from jboost_server.local.launch import Child
import os
child = Child({words!r}, os.environ)
ended = child.wait()
raise SystemExit(ended.status)
"""
COUNTS = """
import signal
got, counted = 0, {{{number}, signal.SIGUSR2}}
signal.pthread_sigmask(signal.SIG_BLOCK, counted)
print("ready", flush=True)
while signal.sigwait(counted) == {number}:
    got += 1
    print("got", flush=True)
print(got, "in all", flush=True)
"""
"""Says how often a signal came until SIGUSR2, which comes the same way, and so after all that came before."""
WAYS = pytest.mark.parametrize("way", [BECOME, PARENT], ids=["become", "parent"])


def start(way: str, program: str, **more) -> subprocess.Popen:
    words = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.Popen([sys.executable, "-c", way.format(words=words)], **more)


@WAYS
@pytest.mark.parametrize("code", [0, 1, 143])
def test_the_exit_status_is_the_applications(way, code):
    assert start(way, f"raise SystemExit({code})").wait() == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_an_application_that_a_signal_killed_ends_as_128_and_its_number(number):
    assert start(PARENT, f"import os; os.kill(os.getpid(), {number.value})").wait() == 128 + number


@WAYS
def test_input_and_output_are_not_touched(way):
    program = (
        "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1]); print('e', file=sys.stderr)"
    )
    running = start(way, program, stdin=-1, stdout=-1, stderr=-1)

    assert running.communicate(b"\x00\xffabc") == (b"cba\xff\x00", b"e\n")


@WAYS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_that_somebody_sends_reaches_the_application_once(way, number):
    with start(way, COUNTS.format(number=number.value), stdout=-1) as running:
        assert running.stdout.readline() == b"ready\n"

        running.send_signal(number)
        assert running.stdout.readline() == b"got\n"
        running.send_signal(signal.SIGUSR2)

        assert running.stdout.read() == b"1 in all\n"
        assert running.wait() == 0


@WAYS
def test_a_terminals_ctrl_c_reaches_the_application_once(way):
    words = [sys.executable, "-c", COUNTS.format(number=signal.SIGINT.value)]
    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, "-c", way.format(words=words)])
    seen = b""
    while b"ready" not in seen:
        seen += os.read(terminal, 100)
    os.write(terminal, b"\x03")
    while b"got" not in seen:
        seen += os.read(terminal, 100)
    os.kill(pid, signal.SIGUSR2)
    with suppress(OSError):  # the terminal is gone with its last process
        while True:
            seen += os.read(terminal, 100)
    os.close(terminal)

    assert b"1 in all" in seen
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@WAYS
def test_the_application_has_the_signals_that_a_shell_would_give_it(way):
    program = """
        import signal
        print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    """
    program += """
        line = next(line for line in open("/proc/self/status") if line.startswith("SigBlk"))
        print(line.split()[1])
    """
    running = start(way, program, stdout=-1)

    assert running.communicate()[0].split() == [b"set()", b"0000000000000000"]


def test_a_broken_pipe_kills_the_application_as_in_a_shell():
    # What Python ignores at its own start, a child would inherit: /bin/sh shows what it got.
    for way in (BECOME, PARENT):
        words = ["/bin/sh", "-c", "grep SigIgn /proc/$$/status"]
        done = subprocess.run(
            [sys.executable, "-c", way.format(words=words)], stdout=-1, check=True, text=True
        )
        assert not int(done.stdout.split()[1], 16) & 1 << signal.SIGPIPE - 1

"""An application that is started is ended by whoever starts it, however the start ends."""

from __future__ import annotations

import os
import sys

import pytest

from testbed.apps import running

WRITES_ITS_NUMBER = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


def test_an_interrupted_start_leaves_no_process_behind(tmp_path, monkeypatch):
    log = tmp_path / "log"

    def interrupted(port, path):
        if log.read_text().strip():
            raise KeyboardInterrupt
        return False

    monkeypatch.setattr(running, "answers", interrupted)
    command = [sys.executable, "-c", WRITES_ITS_NUMBER]
    with pytest.raises(KeyboardInterrupt):
        running.start(command, running.free_port(), "/", log=log, cwd=tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text()), 0)

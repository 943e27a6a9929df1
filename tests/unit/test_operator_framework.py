"""The framework's life: an order to end is obeyed at once, whatever the API server does meanwhile."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time

import pytest
import yaml

HUNG = 5.0
"""Seconds that kopf gives tasks which do not end by themselves; with one of them no end takes less."""
SERVES = """if True:
    import sys
    from os_operator.shell.framework import Framework, registry

    Framework(registry(lambda: None, dict, sys.argv[1]), None).run()
"""


@pytest.fixture
def silent(tmp_path):
    """A kubeconfig of an API server that takes connections and never answers; and its socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        path = tmp_path / "kubeconfig"
        host, port = server.getsockname()
        named = {
            "clusters": [{"name": "a", "cluster": {"server": f"http://{host}:{port}"}}],
            "users": [{"name": "a", "user": {"token": "none"}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        }
        path.write_text(yaml.safe_dump(named | {"current-context": "a"}))
        yield path, server


def test_sigterm_ends_it_while_the_api_server_is_silent(silent):
    path, server = silent
    command = [sys.executable, "-c", SERVES, str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            asked, _ = server.accept()  # it asks what kinds there are
            with asked:
                began = time.monotonic()
                process.send_signal(signal.SIGTERM)
                _, said = process.communicate(timeout=60)
                assert time.monotonic() - began < HUNG, said
        finally:
            process.kill()
    assert process.returncode == 0, said

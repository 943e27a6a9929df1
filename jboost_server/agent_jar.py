"""The agent's jar, as the webhook and the controller are given it."""

from __future__ import annotations

from pathlib import Path

from jboost_server.core.injection.delivery import Agent
from warmroot.errors import UserError

MAX_BYTES = 700_000
"""In base64 that stays below the mebibyte that an object of the API may have."""
_ZIP = b"PK\x03\x04"


def read(path: Path) -> Agent:
    """The agent in a file.

    Raises:
        UserError: it can't be read, or it is no jar that goes into a ConfigMap.
    """
    hint = "give --agent-jar the agent.jar of this version, or leave it out"
    try:
        jar = path.read_bytes()
    except OSError as error:
        raise UserError(f"--agent-jar {path} can't be read: {error.strerror}", hint=hint) from error
    if not jar.startswith(_ZIP) or len(jar) > MAX_BYTES:
        raise UserError(f"--agent-jar {path} is no jar of at most {MAX_BYTES:,} bytes", hint=hint)
    return Agent.of(jar)

"""Fat jars are run from their extracted layout, which the agent makes once for each jar.

Whoever runs an application from a layout holds a lock on its folder, and so does the application itself,
which inherits it: `jboost gc` leaves such a folder alone, however long ago it was started.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from jboost_server.local.agent import Agent
from jboost_server.local.command import JavaCommand
from jboost_server.local.home import Home, named_errors
from jboost_server.local.say import say
from warmroot.errors import StepFailed


def extracted(home: Home, agent: Agent, command: JavaCommand) -> JavaCommand:
    """The same command, with the extracted layout of its fat jar; it stays until this process has ended, and
    what it starts or becomes.

    Raises:
        StepFailed: Spring Boot's own tool could not extract it.
        UserError, DiskFull: the folder can't be written.
    """
    jar = command.jar
    assert jar is not None
    with named_errors(home.root):
        known = _remembered(agent, jar)
        if known is not None and _hold(known):
            return command.with_jar(known)
        say(f"{jar.name} is run from its extracted layout, which is made once")
        made = agent.extract(jar, home.extracted())
        if not _hold(made):
            raise StepFailed(f"{made} was deleted while it was made", hint="start the application once more")
        _note(agent).write_text(json.dumps({"of": _facts(jar), "jar": str(made)}))
        return command.with_jar(made)


@contextmanager
def unheld(folder: Path) -> Iterator[bool]:
    """Whether nobody runs an application from this layout; nobody begins to until the block ends."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(handle)


def delete(folder: Path) -> None:
    """Deletes a layout that is `unheld`. At no time it is there by half.

    Raises:
        OSError: it can't be deleted.
    """
    gone = folder.with_name(f".gone-{token_hex(4)}")
    folder.rename(gone)
    shutil.rmtree(gone)


def _hold(jar: Path) -> bool:
    """Holds the folder of this jar; False if it is gone. The descriptor is for the application to inherit."""
    try:
        handle = os.open(jar.parent, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    fcntl.flock(handle, fcntl.LOCK_SH)  # waits for who deletes it just now
    if not jar.is_file():
        os.close(handle)
        return False
    os.set_inheritable(handle, True)
    os.utime(jar.parent)  # `jboost gc` goes by when it was used last
    return True


def _remembered(agent: Agent, jar: Path) -> Path | None:
    """Where this very file was extracted to. To ask the agent costs a JVM, and the application waits."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(_note(agent).read_text())
        if found["of"] == _facts(jar):
            return Path(found["jar"])
    return None


def _note(agent: Agent) -> Path:
    return agent.folder / "layout.json"


def _facts(jar: Path) -> list[object]:
    """What changes whenever the file does."""
    found = jar.stat()
    return [str(jar), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]

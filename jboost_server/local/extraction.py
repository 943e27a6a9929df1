"""Fat jars are run from their extracted layout, which is made once for each jar and then kept."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
import zipfile
from pathlib import Path

from jboost_server.local.command import JavaCommand
from jboost_server.local.home import Home, named_errors
from jboost_server.local.say import say
from warmroot.errors import StepFailed

CONSTANT = 1_577_836_800
"""Seconds since 1970 at which all that is extracted was modified: JDKs compare it."""
PATIENCE = 300.0


def extracted(home: Home, command: JavaCommand) -> JavaCommand:
    """The same command, with the extracted layout of its fat jar.

    The folder is named by the jar's content, so a new build of the application gets a new one.

    Raises:
        StepFailed: Spring Boot's own tool could not extract it.
        UserError, DiskFull: the folder can't be written.
    """
    jar = command.jar
    assert jar is not None
    with named_errors(home.root):
        folder = home.extracted() / _digest(jar)[:32]
        if not folder.is_dir():
            _extract(command.java, jar, folder)
        os.utime(folder)  # `jboost gc` goes by when it was used last
    return command.with_jar(folder / jar.name)


def _extract(java: Path, jar: Path, folder: Path) -> None:
    say(f"extracting {jar.name}, once")
    new = folder.with_name(f".new-{secrets.token_hex(4)}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            [java, "-Djarmode=tools", "-jar", jar, "extract", "--destination", new],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode or not (new / jar.name).is_file():
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise StepFailed(
                f"{jar} was not extracted: {' '.join(last) or f'exit status {done.returncode}'}",
                hint="Spring Boot 3.3 and later bring the tool; else extract it by hand and name that jar",
            )
        for path in new.rglob("*.jar"):
            os.utime(path, (CONSTANT, CONSTANT))
        try:
            new.rename(folder)
        except OSError:
            if not folder.is_dir():  # or else another start of the same jar was faster
                raise
    except subprocess.TimeoutExpired:
        raise StepFailed(f"{jar} was not extracted within {PATIENCE:.0f} s") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _digest(jar: Path) -> str:
    """Of the names, sizes and checksums of what is in it, which is how the agent tells jars apart, too."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(jar) as archive:
        for entry in archive.infolist():
            digest.update(f"{entry.filename}\0{entry.file_size}\0{entry.CRC}\n".encode())
    return digest.hexdigest()

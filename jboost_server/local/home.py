"""The folder in which one machine keeps what it knows of its applications: store, keys, the agent's files."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from warmroot.canonical import Fields
from warmroot.errors import DiskFull, UserError

_YOURS = "name a folder of yours with --home"


def default_home(environment: Mapping[str, str]) -> Path:
    """`$XDG_DATA_HOME/warmroot/jboost`, or `~/.local/share/warmroot/jboost`."""
    data = environment.get("XDG_DATA_HOME", "")
    base = Path(data) if data.startswith("/") else Path("~/.local/share").expanduser()
    return base / "warmroot" / "jboost"


@dataclass(frozen=True)
class Running:
    """A cache service that somebody runs: its address, and its process."""

    url: str
    pid: int


@dataclass(frozen=True)
class Home:
    """Paths below the folder. Its mode is 0700: an archive is code, and the token opens the service."""

    root: Path

    @property
    def store(self) -> Path:
        """The object store."""
        return self.root / "store"

    @property
    def signing_key(self) -> Path:
        """The private key with which archives are signed."""
        return self.root / "signing.pem"

    @property
    def public_keys(self) -> Path:
        """The public key that the agent believes, in base64."""
        return self.root / "signing.pub"

    @property
    def token(self) -> Path:
        """What the service wants from whoever talks to it: other people of this machine can't read it."""
        return self.root / "token"

    def agent(self, group: str) -> Path:
        """The agent's files for one application."""
        return self.root / "apps" / group

    def extracted(self) -> Path:
        """Where fat jars are extracted to, a folder for each."""
        return self.root / "extracted"

    def make(self) -> None:
        """Makes the folder.

        Raises:
            UserError: it can't be made or written.
        """
        with named_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.root.chmod(0o700)
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise UserError(f"{self.root} can't be written", hint=_YOURS)

    def running(self) -> Running | None:
        """The service that runs on this folder; None if there is none, or if it died without a word."""
        try:
            with (self.root / "service.lock").open("rb") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    fields = Fields("service.json", json.loads((self.root / "service.json").read_bytes()))
                    return Running(fields.text("url"), fields.integer("pid"))
        except (OSError, ValueError):
            return None
        return None

    @contextmanager
    def announced(self, url: str) -> Iterator[None]:
        """While in it, other commands find the service at `url` through this folder.

        Raises:
            UserError: another service runs on the folder, or it can't be written.
        """
        with self.locked("service.lock") as mine:
            if mine is None:
                other = self.running()
                raise UserError(
                    f"a cache service runs on {self.root} already" + (f": {other.url}" if other else ""),
                    hint="use that one, or give this one another --home",
                )
            path = self.root / "service.json"
            with named_errors(self.root):
                replace(path, json.dumps({"url": url, "pid": os.getpid()}).encode())
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    @contextmanager
    def locked(self, name: str) -> Iterator[BinaryIO | None]:
        """A lock of this folder for as long as the file is open anywhere; None if somebody else has it.

        Raises:
            UserError: the folder can't be written.
        """
        path = self.root / name
        with contextlib.ExitStack() as stack:
            with named_errors(self.root):
                path.parent.mkdir(parents=True, exist_ok=True)
                handle = stack.enter_context(path.open("ab"))
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield handle


def replace(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Writes a small file whole or not at all. Raises OSError."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with open(handle, "wb") as file:  # noqa: PTH123 - by descriptor, so that the mode holds from the start
            file.write(content)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def named_errors(folder: Path) -> Iterator[None]:
    """Errors of the file system as those of a person's folder.

    Raises:
        DiskFull, UserError: in place of OSError.
    """
    try:
        yield
    except OSError as error:
        words = f"{folder} can't be written: {error.strerror or error}"
        if error.errno in {28, 122}:
            raise DiskFull(words, hint="free space there, or name another folder with --home") from error
        raise UserError(words, hint=_YOURS) from error

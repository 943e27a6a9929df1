"""The folder in which one machine keeps what it knows of its applications: store, keys, the agent's files."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from warmroot.canonical import Fields
from warmroot.durable import sync_folder
from warmroot.errors import DiskFull, UserError

_YOURS = "name a folder of yours with --home"
_ANNOUNCED = "service.json"


def default_home(environment: Mapping[str, str]) -> Path:
    """`$XDG_DATA_HOME/warmroot/jboost`, or `~/.local/share/warmroot/jboost`."""
    data = environment.get("XDG_DATA_HOME", "")
    if data.startswith("/"):
        return Path(data) / "warmroot" / "jboost"
    try:
        person = Path("~").expanduser()
    except RuntimeError:  # a user of a container whom neither HOME nor passwd knows
        person = Path()
    if not person.is_absolute():
        person = Path("/nonexistent")  # as Debian calls the folder of who has none: the application starts
    return person / ".local" / "share" / "warmroot" / "jboost"


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
        """Where fat jars are extracted to: a folder for each name, in it one for each content."""
        return self.root / "extracted"

    def make(self) -> None:
        """Makes the folder. Modes of one that exists are its owner's affair: it may be another program's.

        Raises:
            UserError: it can't be made or written, or others may look into it.
        """
        with named_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            found = self.root.stat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise UserError(
                f"{self.root} is open to others, and what lies in it runs as code",
                hint=f"`chmod 700 {self.root}` if it is for jboost alone; else {_YOURS}",
            )
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise UserError(f"{self.root} can't be written", hint=_YOURS)

    def running(self) -> str | None:
        """Address of the service that runs on this folder; None if there is none, or if it died."""
        try:
            with (self.root / _ANNOUNCED).open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return Fields(_ANNOUNCED, json.loads(file.read())).text("url")
        except (OSError, ValueError):
            return None
        return None

    @contextmanager
    def only_service(self) -> Iterator[None]:
        """While in it, nobody else runs a service on the folder.

        Raises:
            UserError: somebody does, or the folder can't be written.
        """
        with self.locked("service.lock") as mine:
            if mine is None:
                other = self.running()
                raise UserError(
                    f"a cache service runs on {self.root} already" + (f": {other}" if other else ""),
                    hint="use that one, or give this one another --home",
                )
            yield

    @contextmanager
    def announced(self, url: str) -> Iterator[None]:
        """While in it, other commands find the service that listens at `url`. `only_service` comes first.

        Who is found gets the token, so address and lock are one file: no reader takes the address that
        a service left which was killed, whose port may be a stranger's by now.

        Raises:
            UserError, DiskFull: the folder can't be written.
        """
        path, new = self.root / _ANNOUNCED, self.root / f".{_ANNOUNCED}.{secrets.token_hex(4)}"
        with contextlib.ExitStack() as stack:
            with named_errors(self.root):
                stack.callback(new.unlink, missing_ok=True)
                write_secret(new, json.dumps({"url": url}).encode())
                fcntl.flock(stack.enter_context(new.open("rb")), fcntl.LOCK_EX)
                new.replace(path)
            stack.callback(path.unlink, missing_ok=True)
            yield

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


def make_once(path: Path, make: Callable[[Path], object]) -> None:
    """Makes a file that is whole, and on disk, from its first moment on, unless somebody else was faster.

    `make` writes a new file and brings it to the disk.

    Raises:
        OSError: it can't be made.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        make(new)
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
        sync_folder(path.parent)
    finally:
        new.unlink(missing_ok=True)


def write_secret(path: Path, content: bytes) -> None:
    """Writes a new file for the owner alone, and brings it to the disk.

    Raises:
        OSError: it exists, or can't be written.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "wb") as file:  # noqa: PTH123 - by descriptor, so that the mode holds from the start
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


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

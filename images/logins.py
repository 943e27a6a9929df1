"""Who may log in to a node: users without a password, homes on the data partition, a server for their keys.

A key opens a port: the SSH server comes with the first user that has one, and lets in nobody without a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from images.debian.system import inside
from images.parts import User

UNITS = ("ssh.service",)
FILES = {
    "sshd.conf": "etc/ssh/sshd_config.d/10-warmroot.conf",
    "host-key": "usr/lib/warmroot/host-key",
    "ssh-keys.conf": "usr/lib/systemd/system/ssh.service.d/10-warmroot.conf",
}
"""What keys bring from `images/node`, and where to."""
_HOMES = "usr/lib/tmpfiles.d/warmroot-homes.conf"
_NO_LOGIN_YET = "etc/tmpfiles.d/systemd-nologin.conf"


def packages(users: Sequence[User]) -> tuple[str, ...]:
    """Debian packages that they need."""
    return (*(("passwd",) if users else ()), *(("openssh-server",) if wanted(users) else ()))


def wanted(users: Sequence[User]) -> bool:
    """Whether anybody may log in."""
    return any(user.keys for user in users)


def add(tree: Path, users: Sequence[User]) -> None:
    """Adds the users; their keys go where sshd looks and they can't write.

    Raises:
        StepFailed: a number is taken, or a group does not exist.
    """
    for user in users:
        groups = ["--groups", ",".join(user.groups)] if user.groups else []
        inside(
            f"adding the user {user.name}",
            tree,
            *("useradd", "--uid", str(user.uid), "--user-group", *groups),
            *("--no-create-home", "--home-dir", home(user), "--shell", user.shell, user.name),
            hint=f"correct users.{user.name}: each group must be one of the packages', and its number free",
        )
        if user.keys:
            _write(tree / "etc/ssh/authorized_keys.d" / user.name, "".join(f"{key}\n" for key in user.keys))
    if users:
        lines = ["d /var/home 0755 root root -"]
        lines += [f"d {home(user)} 0700 {user.name} {user.name} -" for user in users]
        _write(tree / _HOMES, "".join(f"{line}\n" for line in lines))
    if wanted(users):
        # It forbids logins until a unit that our nodes do without has run.
        (tree / _NO_LOGIN_YET).parent.mkdir(parents=True, exist_ok=True)
        (tree / _NO_LOGIN_YET).symlink_to("/dev/null")


def home(user: User) -> str:
    """The folder of a user, made at every start if it is not there."""
    return f"/var/home/{user.name}"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

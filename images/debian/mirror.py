"""Where this machine's apt has Debian from, and how it gets there. A recipe names no mirror, so a build asks
the one that its machine is allowed to ask. The standard library is enough: set-up uses this before anything
is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from images import command
from warmroot.errors import NotInstalled

_KEYRINGS = Path("/usr/share/keyrings")
_OS_RELEASE = Path("/etc/os-release")
_HINT = "this needs Debian's apt with a Debian mirror"
_STEP = "finding a Debian mirror"


@dataclass(frozen=True)
class Archive:
    """One archive: its address and a suite in it, such as `trixie` or `trixie-security`."""

    address: str
    suite: str


def archives(suite: str) -> tuple[Archive, ...]:
    """The machine's Debian archives with another suite: the release, its updates, its security fixes.

    Raises:
        NotInstalled: this machine has no apt, or no Debian mirror.
        StepFailed: apt failed.
    """
    own = _own_codename()
    listed = command.run(
        _STEP,
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"],
        package="apt",
    )
    found: list[Archive] = []
    for line in listed.splitlines():
        release, _, address = line.partition(" ")
        if own and (release == own or release.startswith(f"{own}-")) and "backports" not in release:
            archive = Archive(address, suite + release.removeprefix(own))
            if archive not in found:
                found.append(archive)
    if not any(archive.suite == suite for archive in found):
        raise NotInstalled("apt on this machine has no Debian mirror", hint=_HINT)
    return tuple(found)


def main_archive(suite: str) -> Archive:
    """The archive of the release itself.

    Raises:
        NotInstalled: this machine has no apt, or no Debian mirror.
        StepFailed: apt failed.
    """
    return next(archive for archive in archives(suite) if archive.suite == suite)


def network() -> str:
    """How the machine's apt reaches its mirror, as lines of apt.conf: proxies, certificates, retries.

    A proxy's address may hold a password.

    Raises:
        NotInstalled: this machine has no apt.
        StepFailed: apt failed.
    """
    wanted = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries")
    dump = command.run(_STEP, ["apt-config", "dump"], package="apt")
    return "".join(line + "\n" for line in dump.splitlines() if line.startswith(wanted))


def keyring() -> Path:
    """Debian's own keys.

    Raises:
        NotInstalled: they are not there.
    """
    for name in ("debian-archive-keyring.pgp", "debian-archive-keyring.gpg"):
        if (_KEYRINGS / name).exists():
            return _KEYRINGS / name
    raise NotInstalled("Debian's keys are missing", hint="install debian-archive-keyring")


def _own_codename() -> str:
    """The codename of this machine's Debian release; empty if it is no Debian."""
    try:
        lines = _OS_RELEASE.read_text().splitlines()
    except OSError:
        return ""
    fields = {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}
    return fields.get("VERSION_CODENAME", "") if fields.get("ID") == "debian" else ""

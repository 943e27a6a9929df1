"""`warmroot-configure`: brings /etc in line with the settings of the slot that runs.

warmroot-config.service runs it at each boot, before anything reads /etc, and at each change of settings. It
alone may write there; the proxy, which speaks with the network, may not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from os_proxy.backends.configuring import text_of
from os_proxy.backends.etc import Etc
from os_proxy.backends.files import DataFolder
from os_proxy.backends.host import command_line
from os_proxy.backends.settings import IN_FORCE, containerd
from os_proxy.core.configuration import render
from warmroot import nodeconfig
from warmroot.disk.bootrecord import Slot
from warmroot.errors import ConfigRefused, ForeignDisk, WarmrootError


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="warmroot-configure", description="Brings /etc in line with the settings of the slot that runs."
    )
    add = parser.add_argument
    add("--data", required=True, type=Path, help="folder on the data partition that the proxy writes to")
    add("--root", type=Path, default=Path("/"), help="root of the running system (default: /)")
    add("--image", required=True, type=Path, help="the same root without what was laid over it")
    add("--run", required=True, type=Path, help="folder for what is in force in this boot")
    add("--proc", type=Path, default=Path("/proc"), help="the host's proc file system")
    return parser.parse_args(argv)


def configure(chosen: argparse.Namespace) -> list[str]:
    """The paths that changed.

    Raises:
        ConfigRefused: the settings of this slot can't be read or carried out; /etc is as it was.
        NodeError: something could not be read or written.
    """
    slot = command_line(chosen.proc).get("wr.slot")
    if slot not in list(Slot):
        raise ForeignDisk("the kernel command line has no wr.slot of a warmroot image")
    files = DataFolder(chosen.data)
    text = text_of(files, Slot(slot))
    try:
        wanted = render(nodeconfig.parse(text), containerd(chosen.image))
    except ValueError as error:
        raise ConfigRefused(f"the settings of slot {slot} can't be read: {error}") from error
    changed = Etc(chosen.root, chosen.image, files).bring(wanted)
    DataFolder(chosen.run).write(IN_FORCE, nodeconfig.revision(text).encode())
    return changed


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    chosen = arguments(argv)
    try:
        changed = configure(chosen)
    except WarmrootError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the journal is where it is read
        return 1
    print("\n".join(f"brought in line: {path}" for path in changed) or "all is in line")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A change of the running system's settings as one transaction over the data partition.

What is wanted lies in `config/A.json` and `config/B.json`, one for each slot; what was there before is kept
until the change has held. A node on which it is cut off knows from the note that it has to go on.

Settings that hold may yet prove bad. So the last ones with which the operator left the node in peace stay in
`config/A.former.json` and `config/B.former.json`, and an order may name them without their text.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from os_proxy.core.configuration import Change, Rendered, change, render
from os_proxy.core.drift import Drift, drift
from os_proxy.core.orders import Config
from os_proxy.core.receipts import ConfigNote, ConfigState, Former, config_note, encode, former
from os_proxy.ports import Files, Host
from warmroot import nodeconfig
from warmroot.disk.bootrecord import Slot
from warmroot.errors import ConfigRefused, WarmrootError

NOTE, BEGUN = "config/note.json", "config/begun.json"
log = logging.getLogger(__name__)


def name_of(slot: Slot) -> str:
    """The file that has a slot's settings."""
    return f"config/{slot.value}.json"


def text_of(files: Files, slot: Slot) -> str:
    """The settings of a slot; none where nobody ever ordered any."""
    return _text(files, name_of(slot))


def former_of(files: Files, slot: Slot) -> Former:
    """What a slot keeps of its settings."""
    return former(files.read(_former_name(slot)))


def _former_name(slot: Slot) -> str:
    return f"config/{slot.value}.former.json"


def forget(slot: Slot, files: Files) -> None:
    """A slot becomes the good one, with its settings: what it kept belonged to an earlier time of it.

    Raises:
        DiskFull, ReadOnlyDisk: it is still kept.
    """
    kept = former_of(files, slot)
    if kept.text is not None:
        files.write(_former_name(slot), encode(replace(kept, text=None)))


def settle(slot: Slot, files: Files) -> None:
    """The operator left the node in peace with the settings that it has.

    Raises:
        DiskFull, ReadOnlyDisk: it could not be noted.
    """
    settled = nodeconfig.revision(text_of(files, slot))
    files.write(_former_name(slot), encode(replace(former_of(files, slot), settled=settled)))


def drifted(slot: Slot, files: Files, host: Host) -> tuple[Drift, ...]:
    """What of the settings in force somebody changed by hand."""
    wanted = _files(text_of(files, slot), host)
    return drift(wanted, host.lying(wanted)) if wanted else ()


def _text(files: Files, name: str) -> str:
    return (files.read(name) or b"").decode(errors="replace")


def configure(slot: Slot, config: Config | None, files: Files, host: Host) -> None:
    """Puts settings in force in the slot that runs, or those before again if they don't hold.

    Raises:
        ConfigRefused: they don't hold; the settings before are in force again, or will be with the next boot.
        NodeError: they could not be kept, or nobody could be asked.
    """
    boot_id, now = host.booted().boot_id, text_of(files, slot)
    old = config_note(files.read(NOTE))
    text = now if config is None else _wanted(slot, config, files)
    _keep(slot, now, text, files)
    cut_off = old is not None and old.state is ConfigState.APPLYING
    before, tried = _begun(files) if cut_off else (now, [])
    tried = [*(one for one in tried if one != text), text]
    needs_boot = old is not None and old.boot_id == boot_id and old.needs_boot
    note = ConfigNote(nodeconfig.revision(text), boot_id, ConfigState.APPLYING, needs_boot)
    files.write(BEGUN, json.dumps({"before": before, "tried": tried}).encode())
    files.write(NOTE, encode(note))
    files.write(name_of(slot), text.encode())
    wanted = _change([before, *tried], host)
    try:
        host.configure(wanted)
    except ConfigRefused as refused:
        undone = _change([before, *tried, before], host)  # what only the refused ones set stays in the kernel
        _back(slot, before, files, host, undone)
        note = replace(note, needs_boot=needs_boot or undone.needs_boot)
        files.write(NOTE, encode(replace(note, state=ConfigState.REFUSED, message=refused.message)))
        raise
    needs_boot = needs_boot or wanted.needs_boot
    files.write(NOTE, encode(replace(note, state=ConfigState.APPLIED, needs_boot=needs_boot)))


def _wanted(slot: Slot, config: Config, files: Files) -> str:
    """The text of an order; one that names the former settings has none."""
    text = config.text if config.at_hand else former_of(files, slot).text
    if text is None or nodeconfig.revision(text) != config.revision:
        raise ConfigRefused(f"the text of settings {config.revision} is not kept here any more")
    return text


def _keep(slot: Slot, now: str, wanted: str, files: Files) -> None:
    """What the operator left the node in peace with stays at hand, until something else takes its place."""
    kept = former_of(files, slot)
    if nodeconfig.revision(now) == kept.settled and wanted not in (now, kept.text):
        files.write(_former_name(slot), encode(replace(kept, text=now)))


def _back(slot: Slot, before: str, files: Files, host: Host, undone: Change) -> None:
    log.warning("settings are taken back", extra={"to": nodeconfig.revision(before) or "the image's own"})
    files.write(name_of(slot), before.encode())
    try:
        host.configure(undone)
    except WarmrootError as error:
        log.error("the settings before are not in force either", extra={"error": str(error)})


def _begun(files: Files) -> tuple[str, list[str]]:
    """What was in force before a change that was cut off, and all that was tried in it."""
    try:
        found = json.loads(files.read(BEGUN) or b"")
        return str(found["before"]), [str(one) for one in found["tried"]]
    except (ValueError, KeyError, TypeError):
        return "", []


def _change(texts: Sequence[str], host: Host) -> Change:
    """All that has to take notice on the way to the last: what was cut off came as far as any unit."""
    steps = [_files(text, host) for text in texts]
    found = Change()
    for first, second in pairwise(steps):
        found = found.then(change(first, second))
    return found


def _files(text: str, host: Host) -> dict[str, Rendered]:
    """Nothing where a text can't be read: then everything that is wanted counts as changed."""
    try:
        return render(nodeconfig.parse(text), host.containerd())
    except ValueError:
        return {}

"""The slot engine: from what is seen and what is ordered to the next step. Pure and level-triggered.

Nothing is remembered between two decisions, so a proxy that was killed, a node that lost power and a second
look at an unchanged node all go on at the same place. Each step is one durable change; the shell performs it
and looks again. The tables are in docs/node-protocol.md, the invariants I1-I7 in architecture.md:

- a slot is written only while both copies of the boot record are intact and neither tries anything (I3), and
  never if it is good or runs (I2);
- only a trial whose root hash is the ordered manifest's becomes good (I1);
- a release that was given up is not tried again until its bar was seen and lifted (I7).
"""

from __future__ import annotations

from dataclasses import replace

from os_proxy.core.orders import Config, Goal, Orders, RebootOrder, Release
from os_proxy.core.receipts import (
    ConfigState,
    FallbackCause,
    FallbackNote,
    Fallbacks,
    FallbackState,
    Floor,
    RebootKind,
    RebootNote,
)
from os_proxy.core.seen import Seen, Situation
from os_proxy.core.steps import (
    Arm,
    Configure,
    Confirm,
    Decision,
    Disarm,
    FetchManifest,
    NoteFallback,
    NoteFloor,
    NoteReboot,
    NoteSettled,
    Nothing,
    Phase,
    Place,
    Reboot,
    Refusal,
    RepairRecord,
    Write,
)
from os_proxy.core.trials import Ending, ending
from warmroot import errors, nodeconfig
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.errors import WarmrootError
from warmroot.release.policy import may_install

_ENDINGS: dict[Ending, tuple[type[errors.FellBack], str]] = {
    Ending.UNKNOWN: (errors.FellBack, ""),
    Ending.NEVER_STARTED: (errors.NeverStarted, "; no start of it came as far as its root"),
    Ending.NEVER_CAME_UP: (errors.NeverCameUp, "; it started, and hung or crashed before it was up"),
    Ending.WAS_RESET: (errors.WasReset, "; it was up, and was reset before anybody confirmed it"),
    Ending.NOT_CONFIRMED: (errors.NotConfirmed, "; it was up, and nobody confirmed it in time"),
    Ending.EMERGENCY: (errors.CameToEmergency, "; it ended in emergency mode"),
}


def decide(seen: Seen, orders: Orders | None, now: float) -> Decision:
    """The next step. `orders` is None as long as none were read; `now` in seconds since 1970."""
    order_id = orders.reboot.id if orders and orders.reboot and orders.goal is Goal.ACTIVATE else None
    situation = seen.situation(order_id)
    record = seen.boot.record
    if record is None:
        lost = errors.BootRecordLost("both copies of the boot record were garbage")
        return Decision(RepairRecord(seen.booted.slot, None, 0), Phase.IDLE, Refusal.of(lost))
    wanted = _decide_known(seen, orders, record, situation, now)
    if not seen.boot.intact:
        # Before anything else: a stale second copy could name a slot that is about to be written (I3).
        return replace(wanted, step=RepairRecord(record.good, record.next, record.left))
    return wanted


def _decide_known(
    seen: Seen, orders: Orders | None, record: BootRecord, situation: Situation, now: float
) -> Decision:
    if situation is Situation.FELL_BACK:
        return _fallen_back(seen, record, now)
    if orders is None and situation is Situation.SETTLED and seen.config_cut_off:
        # Nobody may be able to order anything before the settings are those that held.
        return Decision(Configure(seen.booted.slot, None), Phase.CONFIGURING)
    if orders is None:
        return Decision(Nothing(), _resting_phase(seen, None, situation))
    fallbacks = _after_bars(seen, orders)
    if fallbacks != seen.fallbacks:
        return Decision(NoteFallback(fallbacks), _resting_phase(seen, orders, situation))
    match situation:
        case Situation.TRIAL:
            return _on_trial(seen, orders, now)
        case Situation.ASTRAY:
            return _astray(seen, orders, now)
        case Situation.ARMED:
            return _armed(seen, orders, record, now)
        case _:
            return _settled(seen, orders, now)


def _fallen_back(seen: Seen, record: BootRecord, now: float) -> Decision:
    """Note first, then disarm: the other way round a crash between them would forget why (I7)."""
    tried = _tried(seen, record)
    if tried is None:
        return Decision(Disarm(), Phase.FELL_BACK)
    known = seen.gave_up(tried)
    if known:
        return Decision(Disarm(), Phase.FELL_BACK, _gave_up(known))
    how, told = ending(seen.boots, seen.booted.slot.other, seen.booted.boot_id)
    fallback = FallbackNote(tried, FallbackCause.FELL_BACK, now, ending=how, told=told)
    return Decision(NoteFallback(seen.fallbacks.noting(fallback)), Phase.FELL_BACK, _gave_up(fallback))


def _tried(seen: Seen, record: BootRecord) -> str | None:
    """What the slot of a trial held, and what it was started with; as it was ordered, where that is known."""
    note, receipt = seen.reboot, seen.receipts.get(record.next) if record.next else None
    if note and note.gen == record.gen:
        return note.digest
    if receipt is None or record.next is None:
        return None
    return nodeconfig.target(receipt.digest, seen.arguments_of(record.next))


def _after_bars(seen: Seen, orders: Orders) -> Fallbacks:
    """The memory as it must become, now that the operator bars a digest or no longer does."""
    fallbacks = seen.fallbacks
    for note in seen.fallbacks.notes:
        barred = note.digest in orders.barred
        if note.state is FallbackState.STANDING and barred:
            fallbacks = fallbacks.acknowledging(note.digest)
        if note.state is FallbackState.ACKNOWLEDGED and not barred:
            fallbacks = fallbacks.without(note.digest)
    return fallbacks


def _on_trial(seen: Seen, orders: Orders, now: float) -> Decision:
    release, reboot = orders.release, orders.reboot
    match orders.goal:
        case Goal.CONFIRM:
            return _confirm(seen, release)
        case Goal.ROLLBACK if release and reboot:
            return _roll_back(seen, release, reboot, now)
        case Goal.ACTIVATE if release and reboot and not seen.noted(reboot.id) and seen.runs_as(release):
            # Power went between arming and the note; the boot that it brought is the ordered one.
            record = seen.boot.record
            gen = record.gen if record else 0
            note = RebootNote(reboot.id, "", release.target, RebootKind.ACTIVATE, gen)
            return Decision(NoteReboot(note), Phase.TRIAL)
        case Goal.STAGE if release and not seen.runs_as(release):
            busy = errors.SlotRefused(f"{release.version} can't be staged while a trial runs")
            return Decision(Nothing(), Phase.TRIAL, Refusal.of(busy))
        case _:
            return Decision(Nothing(), Phase.TRIAL)


def _confirm(seen: Seen, release: Release | None) -> Decision:
    receipt = seen.receipts.get(seen.booted.slot)
    digest = release.digest if release else receipt.digest if receipt else None
    if digest is None:
        return _refuse(errors.WrongRelease("no order and no receipt names the release that runs on trial"))
    if digest not in seen.manifests:
        if release is None:
            return _refuse(errors.WrongRelease(f"the manifest of {digest} is not on this node"))
        return Decision(FetchManifest(release), Phase.TRIAL)
    if not seen.runs(digest):
        booted = seen.booted.root_hash.hex()
        return _refuse(errors.WrongRelease(f"the booted root hash {booted} is not the one of {digest}"))
    here = seen.arguments_of(seen.booted.slot)
    if not seen.booted.arguments == here == (release.arguments if release else here):
        return _refuse(_other_arguments(seen))
    if not seen.config_in_force:
        found = seen.booted.configuration or "those of the image"
        return _refuse(
            errors.ConfigRefused(
                f"{found} are in force, not the settings of slot {seen.booted.slot}",
                hint="read the journal of warmroot-config.service",
            )
        )
    return Decision(Confirm(seen.booted.slot), Phase.TRIAL)


def _roll_back(seen: Seen, release: Release, order: RebootOrder, now: float) -> Decision:
    if now > order.deadline:
        return _refuse(_expired(order))
    digest = seen.booted_target or release.target
    if seen.gave_up(digest):
        return Decision(Disarm(), Phase.ACTIVATING)
    note = FallbackNote(digest, FallbackCause.ROLLED_BACK, now)
    return Decision(NoteFallback(seen.fallbacks.noting(note)), Phase.ACTIVATING)


def _astray(seen: Seen, orders: Orders, now: float) -> Decision:
    order = orders.reboot
    if orders.goal is Goal.ROLLBACK and order and orders.release and not seen.carried_out(order.id):
        if now > order.deadline:
            return _refuse(_expired(order))
        return _reboot_once(seen, orders.release, order, RebootKind.ROLLBACK)
    return _refuse(
        errors.NotOnTrial(
            f"slot {seen.booted.slot} runs, but is neither good nor on trial",
            hint="a reboot returns to the good slot",
        )
    )


def _armed(seen: Seen, orders: Orders, record: BootRecord, now: float) -> Decision:
    release, order = orders.release, orders.reboot
    if orders.goal is not Goal.ACTIVATE or release is None or order is None or record.next is None:
        return Decision(Disarm(), _resting_phase(seen, orders, Situation.SETTLED))
    if now > order.deadline:
        return Decision(Disarm(), Phase.FAILED, Refusal.of(_expired(order)))
    if _refused_here(seen, orders, release) or not _ready(seen, release, record.next):
        return Decision(Disarm(), Phase.ACTIVATING)
    return _reboot_once(seen, release, order, RebootKind.ACTIVATE)


def _reboot_once(seen: Seen, release: Release, order: RebootOrder, kind: RebootKind) -> Decision:
    """The note is durable before the reboot. It holds the boot id: the next boot is proof that it is done."""
    if seen.noted_in_this_boot(order.id):
        return Decision(Reboot(order.id), Phase.ACTIVATING)
    gen = seen.boot.record.gen if seen.boot.record else 0
    return Decision(
        NoteReboot(RebootNote(order.id, seen.booted.boot_id, release.target, kind, gen)), Phase.ACTIVATING
    )


def _settled(seen: Seen, orders: Orders, now: float) -> Decision:
    release, floor = orders.release, _floor(seen)
    if floor != seen.floor:
        return Decision(NoteFloor(floor), _resting_phase(seen, orders, Situation.SETTLED))
    if seen.config_cut_off and orders.goal is not Goal.CONFIGURE:
        return Decision(Configure(seen.booted.slot, None), Phase.CONFIGURING)
    if orders.goal is Goal.CONFIGURE and release is not None:
        return _configure(seen, orders, release)
    slot = seen.booted.slot
    unsettled = seen.config_of(slot) != seen.former_of(slot).settled
    if orders.goal is Goal.NONE and unsettled and seen.config_in_force:
        return Decision(NoteSettled(slot), _resting_phase(seen, orders, Situation.SETTLED))
    if release is not None and seen.runs_as(release):
        return Decision(Nothing(), Phase.CONFIRMED)
    match orders.goal:
        case Goal.STAGE if release:
            return _stage(seen, orders, release)
        case Goal.ACTIVATE if release and orders.reboot:
            return _activate(seen, orders, release, orders.reboot, now)
        case Goal.CONFIRM | Goal.ROLLBACK:
            return _nothing_on_trial(seen, orders)
        case _:
            note = seen.gave_up(release.target if release else None)
            return Decision(
                Nothing(), Phase.FELL_BACK if note else Phase.IDLE, _gave_up(note) if note else None
            )


def _floor(seen: Seen) -> Floor:
    """The floor as it must be now that what runs is good; the same one if it is that already."""
    manifest = seen.manifests.get(seen.booted_digest or "")
    release_seq, root_hash = manifest.release_seq if manifest else 0, seen.booted.root_hash.hex()
    if root_hash in seen.floor.confirmed and release_seq <= seen.floor.release_seq:
        return seen.floor
    return seen.floor.raised(root_hash, release_seq)


def _stage(seen: Seen, orders: Orders, release: Release) -> Decision:
    if refused := _refused_here(seen, orders, release):
        return refused
    slot = seen.booted.slot.other
    if seen.holds(slot, release.digest):
        return _place(seen, orders, release, slot, Phase.STAGING) or Decision(Nothing(), Phase.STAGED)
    return _write(seen, release, slot, Phase.STAGING)


def _write(seen: Seen, release: Release, slot: Slot, phase: Phase) -> Decision:
    manifest = seen.manifests.get(release.digest)
    if manifest is None:
        return Decision(FetchManifest(release), phase)
    running = seen.manifests.get(seen.booted_digest or "")
    was_confirmed = manifest.root.root_hash.hex() in seen.floor.confirmed
    try:
        may_install(
            manifest,
            release.digest,
            running_seq=running.release_seq if running else 0,
            floor=seen.floor.release_seq,
            lowest=running.min_seq if running else 0,
            confirmed=(release.digest,) if was_confirmed else (),
        )
    except errors.Replayed as error:
        return _refuse(error)
    return Decision(Write(slot, release, manifest), phase)


def _activate(seen: Seen, orders: Orders, release: Release, order: RebootOrder, now: float) -> Decision:
    if refused := _refused_here(seen, orders, release):
        return refused
    if now > order.deadline or seen.carried_out(order.id):
        return _refuse(_expired(order))
    slot = seen.booted.slot.other
    if not seen.holds(slot, release.digest):
        return _write(seen, release, slot, Phase.ACTIVATING)
    return _place(seen, orders, release, slot, Phase.ACTIVATING) or Decision(Arm(slot), Phase.ACTIVATING)


def _ready(seen: Seen, release: Release, slot: Slot) -> bool:
    """Whether a slot holds all that it is to be tried with."""
    return seen.holds(slot, release.digest) and seen.arguments_of(slot) == release.arguments


def _place(seen: Seen, orders: Orders, release: Release, slot: Slot, phase: Phase) -> Decision | None:
    """Settings go with their slot: what is tried has them from its first boot, what is good keeps its own."""
    config = orders.config
    if seen.config_of(slot) == config.revision and seen.arguments_of(slot) == release.arguments:
        return None
    if refused := _unreadable(config, release):
        return refused
    return Decision(Place(slot, config), phase)


def _configure(seen: Seen, orders: Orders, release: Release) -> Decision:
    """Other settings for what runs, without a boot."""
    slot, config, note = seen.booted.slot, orders.config, seen.config_note
    if release.digest not in seen.manifests:  # a node's first release came with no manifest
        return Decision(FetchManifest(release), _resting_phase(seen, orders, Situation.SETTLED))
    if not seen.runs(release.digest):
        booted = seen.booted_digest or "another release"
        return _refuse(errors.WrongRelease(f"{booted} runs here, not {release.version}"))
    if not seen.runs_as(release):
        return _refuse(_other_arguments(seen))
    if note and note.state is ConfigState.REFUSED and note.revision == config.revision:
        return _refuse(errors.ConfigRefused(note.message, hint="the settings before are in force"))
    if seen.config_of(slot) == config.revision and seen.config_in_force:
        if note and note.state is ConfigState.REFUSED:  # what was refused before may be tried again later
            return Decision(Configure(slot, None), Phase.CONFIGURING)
        return Decision(Nothing(), Phase.CONFIRMED)
    kept = not config.at_hand and seen.former_of(slot).revision == config.revision
    refused = None if kept else _unreadable(config, release)
    return refused or Decision(Configure(slot, config), Phase.CONFIGURING)


def _unreadable(config: Config, release: Release) -> Decision | None:
    if not config.at_hand:
        gone = f"the slot has no settings {config.revision}, and the order names them without their text"
        return _refuse(errors.ConfigRefused(gone, hint="make the release wanted again with spec.release"))
    try:
        found = nodeconfig.parse(config.text)
    except ValueError as error:
        return _refuse(errors.ConfigRefused(str(error)))
    if nodeconfig.arguments_revision(found.kernel_arguments) != release.arguments:
        other = "release.argumentsRevision is not that of the kernel arguments in spec.config"
        return _refuse(errors.ConfigRefused(other, hint="bring proxy and operator to one version"))
    return None


def _other_arguments(seen: Seen) -> WarmrootError:
    found = seen.booted.arguments or "none but the image's"
    return errors.ConfigRefused(
        f"the kernel was not started with the arguments that are wanted, but with {found}",
        hint="compare /proc/cmdline with spec.config.kernelArguments; an older disk's boot loader adds none",
    )


def _refused_here(seen: Seen, orders: Orders, release: Release) -> Decision | None:
    if release.target in orders.barred:
        return _refuse(errors.Barred(f"{release.version} ({release.target}) is barred on this node"))
    if note := seen.gave_up(release.target):
        return Decision(Nothing(), Phase.FELL_BACK, _gave_up(note))
    if too_old := _below_what_runs(seen, release):
        return too_old
    if release.arguments and seen.booted.signed:
        signed = "under Secure Boot the kernel arguments are signed with the kernel, so none can be added"
        return _refuse(errors.ConfigRefused(signed, hint="put them into kernelArguments of the recipe"))
    return None


def _below_what_runs(seen: Seen, release: Release) -> Decision | None:
    """A release that still lies in the other slot is written by nobody, and must not come back either."""
    running = seen.manifests.get(seen.booted_digest or "")
    held = seen.receipts.get(seen.booted.slot.other)
    if running is None or held is None or held.digest != release.digest:
        return None
    if held.release_seq >= running.min_seq:
        return None
    return _refuse(
        errors.Replayed(
            f"{held.version} has sequence {held.release_seq}; what runs bars all below {running.min_seq}",
            hint="publish its content again as a release with a higher sequence",
        )
    )


def _nothing_on_trial(seen: Seen, orders: Orders) -> Decision:
    release = orders.release
    if note := seen.gave_up(release.target if release else None):
        return Decision(Nothing(), Phase.FELL_BACK, _gave_up(note))
    if orders.goal is Goal.CONFIRM and release is None:
        return Decision(Nothing(), Phase.CONFIRMED)
    if orders.goal is Goal.CONFIRM and release and release.digest not in seen.manifests:
        return Decision(FetchManifest(release), _resting_phase(seen, orders, Situation.SETTLED))
    version = release.version if release else "nothing"
    return _refuse(errors.NotOnTrial(f"{version} is not on trial on this node"))


def _resting_phase(seen: Seen, orders: Orders | None, situation: Situation) -> Phase:
    """The phase where no order is being carried out."""
    if situation is Situation.TRIAL:
        return Phase.TRIAL
    if situation is Situation.ARMED:
        return Phase.ACTIVATING
    if situation is Situation.ASTRAY:
        return Phase.FAILED
    release = orders.release if orders else None
    if release and seen.runs_as(release):
        return Phase.CONFIRMED
    return Phase.FELL_BACK if seen.gave_up(release.target if release else None) else Phase.IDLE


def _gave_up(note: FallbackNote) -> Refusal:
    if note.cause is FallbackCause.ROLLED_BACK:
        return Refusal.of(errors.RolledBack(f"{note.digest} was taken back by order"))
    error, how = _ENDINGS[note.ending]
    told = f" ({note.told})" if note.told else ""
    return Refusal.of(error(f"{note.digest} was tried and given up by the firmware{how}{told}"))


def _expired(order: RebootOrder) -> WarmrootError:
    return errors.OrderExpired(
        f"the reboot order {order.id} is past its deadline, or it was carried out before"
    )


def _refuse(error: WarmrootError) -> Decision:
    return Decision(Nothing(), Phase.FAILED, Refusal.of(error))

"""The loop: look, decide, tell, do one step, look again.

All that it remembers between two rounds is what went wrong and when to try again. Everything else is read
anew from disk, data partition and orders, so ending it at any moment loses nothing.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from os_proxy.backends import configuring
from os_proxy.backends.staging import Limits, Surroundings, stage
from os_proxy.core import receipts, trials
from os_proxy.core.drift import Drift
from os_proxy.core.engine import decide
from os_proxy.core.orders import Orders
from os_proxy.core.seen import Seen
from os_proxy.core.status import Progress, Report, heartbeat_due, render
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
    Step,
    Write,
)
from os_proxy.core.trouble import Trouble, after
from os_proxy.following import FOLLOWING
from os_proxy.ports import Host, Index, Instance
from warmroot import nodeconfig
from warmroot.disk.bootrecord import Slot
from warmroot.errors import Bug, ClusterError, NetworkError, SourceError, Superseded, UserError, WarmrootError
from warmroot.release import manifest as manifests
from warmroot.release.manifest import Manifest
from warmroot.rollout_id import rollout_id

IDLE_WAIT = 25.0
"""Seconds between two looks at an unchanged node: a repair must not wait for new orders."""
REBOOT_PATIENCE = 120.0
"""Seconds after which a reboot that did not come is asked for again."""
DRIFT_EVERY = 60.0
"""Seconds after which settings that somebody changed by hand are looked for again."""
PROGRESS_AFTER = (5.0, 15.0, 30.0)
"""Seconds of staging after which progress is told; then with each heartbeat."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ports:
    """Everything the agent touches."""

    surroundings: Surroundings
    host: Host
    index: Index
    instance: Instance
    in_flight: int = 3
    jitter: Callable[[], float] = random.random


class Agent:
    """One node's proxy."""

    def __init__(self, ports: Ports, *, version: str) -> None:
        self._ports, self._version = ports, version
        self._stopped = threading.Event()
        self._trouble: Trouble | None = None
        self._troubled: tuple[type[Step], Orders | None] | None = None
        self._refusal: Trouble | None = None
        self._incident: tuple[Orders | None, Refusal] | None = None
        self._asked_to_reboot: tuple[str, float] | None = None
        self._progress: tuple[str, Progress] | None = None
        self._unreachable_until = 0.0
        self._drifts: tuple[Drift, ...] = ()
        self._drifts_known: tuple[str, float] | None = None
        """For which settings they were looked for, and when that is old (monotonic seconds)."""

    def stop(self) -> None:
        """Ends `run` soon. Safe in a signal handler."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    @property
    def failing(self) -> bool:
        """Whether the last step was not done."""
        return self._trouble is not None

    def run(self) -> None:
        """Works until `stop`."""
        while not self.stopped:
            pause = self.turn()
            if pause > 0:
                self._ports.instance.wait(pause)

    def turn(self) -> float:
        """One round: at most one step. Returns the seconds until there may be more to do."""
        now = self._ports.surroundings.clock.now()
        orders, unread = self._orders()
        if orders is not None and orders.release is not None:
            FOLLOWING.rollout = rollout_id(orders.os, orders.release.digest)
        try:
            seen = self.look(orders)
            decision = decide(seen, orders, now)
        except WarmrootError as error:
            log.error("the node can't be read", extra={"reason": error.reason, "error": str(error)})
            return IDLE_WAIT
        if unread:
            decision = Decision(Nothing(), Phase.FAILED, Refusal.of(unread))
        pause = self._pause(decision, orders, now)
        self._tell(seen, decision, orders, now, failing=pause is not None and self._trouble is not None)
        if pause is not None:
            return pause
        if isinstance(decision.step, Nothing):
            return IDLE_WAIT
        self._attempt(decision, seen, orders)
        return 0.0

    def _orders(self) -> tuple[Orders | None, UserError | None]:
        try:
            return self._ports.instance.orders(), None
        except UserError as error:
            return None, error

    def _pause(self, decision: Decision, orders: Orders | None, now: float) -> float | None:
        """Seconds to wait before this step may be tried again; None if it may be tried now."""
        if isinstance(decision.step, Reboot) and (left := self._until_reboot_is_late(decision.step)) > 0:
            return min(IDLE_WAIT, left)
        if self._troubled != (type(decision.step), _work(orders)):
            if self._troubled and self._troubled[1] != _work(orders):
                self._forget()
            return None
        if self._trouble is None or not self._trouble.waits(now):
            return None
        retry_at = self._trouble.retry_at
        return IDLE_WAIT if retry_at is None else min(IDLE_WAIT, retry_at - now)

    def _forget(self) -> None:
        self._trouble = self._troubled = None

    def _attempt(self, decision: Decision, seen: Seen, orders: Orders | None) -> None:
        step, clock = decision.step, self._ports.surroundings.clock
        log.info("step", extra={"step": type(step).__name__, "phase": decision.phase.value})
        try:
            self._perform(step, seen, orders)
        except Superseded as error:
            log.info("work was overtaken", extra={"error": str(error)})
            return
        except WarmrootError as error:
            self._trouble = after(self._trouble, error, clock.now(), self._ports.jitter())
            self._troubled = (type(step), _work(orders))
            log.warning("step failed", extra={"reason": error.reason, "error": str(error)})
            return
        if isinstance(step, RepairRecord) and decision.refusal:
            self._incident = (_work(orders), decision.refusal)
        if self._troubled and self._troubled[0] is type(step):
            self._forget()

    # -- look -------------------------------------------------------------------------------------------

    def look(self, orders: Orders | None) -> Seen:
        """The node as it is now.

        Raises:
            NodeError: boot record or host can't be read.
        """
        ports, files = self._ports.surroundings, self._ports.surroundings.files
        found = {slot: receipts.receipt(files.read(f"receipts/{slot.value}.json")) for slot in Slot}
        known = {slot: receipt for slot, receipt in found.items() if receipt}
        digests = [receipt.digest for receipt in known.values()]
        if orders and orders.release:
            digests.append(orders.release.digest)
        seen = Seen(
            boot=ports.boot_state.read(),
            booted=self._ports.host.booted(),
            receipts=known,
            manifests=self._manifests(digests),
            reboot=receipts.reboot_note(files.read("reboot.json")),
            fallbacks=receipts.fallbacks(files.read("fallback.json")),
            floor=receipts.floor(files.read("floor.json")),
            boots=trials.read(files.read(trials.NAME)),
            configs={slot: nodeconfig.revision(configuring.text_of(files, slot)) for slot in Slot},
            config_note=receipts.config_note(files.read(configuring.NOTE)),
            formers={slot: configuring.former_of(files, slot) for slot in Slot},
        )
        if seen.booted_digest is None:  # its receipt is lost: any manifest that was kept may name it
            every = [_digest_of(name) for name in files.names("manifests")]
            seen = replace(seen, manifests=self._manifests(every))
        return seen

    def _manifests(self, digests: list[str]) -> dict[str, Manifest]:
        found = {}
        for digest in digests:
            data = self._ports.surroundings.files.read(_manifest_name(digest))
            if data is None or manifests.digest(data) != digest:
                continue
            try:
                found[digest] = manifests.decode(data)
            except SourceError as error:
                log.warning("a kept manifest is odd", extra={"digest": digest, "error": str(error)})
        return found

    # -- tell -------------------------------------------------------------------------------------------

    def _tell(
        self,
        seen: Seen,
        decision: Decision,
        orders: Orders | None,
        now: float,
        *,
        failing: bool = False,
    ) -> None:
        phase = decision.phase
        if failing and phase in (Phase.STAGING, Phase.ACTIVATING, Phase.CONFIGURING):
            phase = Phase.FAILED
        report = Report(
            seen=seen,
            phase=phase,
            generation=orders.generation if orders else 0,
            trouble=self._worth_telling(decision, orders, now),
            progress=self._progress_of(orders),
            agent_version=self._version,
            drifts=self._look_for_drift(seen),
        )
        previous = self._ports.instance.status()
        status = render(report, previous, now)
        if self._progress is None and phase not in (Phase.IDLE, Phase.STAGING) and "staging" in previous:
            status["staging"] = previous["staging"]  # of an attempt before this process
        unchanged = {**status, "heartbeat": previous.get("heartbeat")} == previous
        if (unchanged and not heartbeat_due(previous, phase, now)) or now < self._unreachable_until:
            return
        try:
            self._ports.instance.publish(status)
        except (ClusterError, NetworkError) as error:
            self._unreachable_until = now + IDLE_WAIT * (0.5 + self._ports.jitter() / 2)
            log.warning("the status was not written", extra={"reason": error.reason, "error": str(error)})

    def _look_for_drift(self, seen: Seen) -> tuple[Drift, ...]:
        """Settings that somebody changed by hand. While they change by order, that is not known."""
        now, settings = self._ports.surroundings.clock.monotonic(), seen.booted.configuration
        if not seen.config_in_force or not settings:
            self._drifts, self._drifts_known = (), None
        elif self._drifts_known is None or self._drifts_known[0] != settings or now >= self._drifts_known[1]:
            self._drifts = configuring.drifted(
                seen.booted.slot, self._ports.surroundings.files, self._ports.host
            )
            self._drifts_known = (settings, now + DRIFT_EVERY)
        return self._drifts

    def _progress_of(self, orders: Orders | None) -> Progress | None:
        if self._progress and orders and orders.release and orders.release.digest == self._progress[0]:
            return self._progress[1]
        return None

    def _worth_telling(self, decision: Decision, orders: Orders | None, now: float) -> Trouble | None:
        """What stands in the way now, else what was refused, else what happened to the node."""
        if self._trouble:
            return self._trouble
        refusal = decision.refusal
        if refusal is None and self._incident and self._incident[0] == _work(orders):
            refusal = self._incident[1]
        if refusal is None:
            self._refusal = None
            return None
        if self._refusal is None or (self._refusal.reason, self._refusal.message) != (
            refusal.reason,
            refusal.message,
        ):
            self._refusal = Trouble(refusal.reason, refusal.message, now)
        return self._refusal

    # -- do ---------------------------------------------------------------------------------------------

    def _perform(self, step: Step, seen: Seen, orders: Orders | None) -> None:
        """One step of the engine.

        Raises:
            WarmrootError: it was not done, or not wholly; the next look shows what is.
        """
        files, clock = self._ports.surroundings.files, self._ports.surroundings.clock
        match step:
            case NoteReboot(note):
                files.write("reboot.json", receipts.encode(note))
            case NoteFallback(fallbacks):
                files.write("fallback.json", receipts.encode(fallbacks))
            case NoteFloor(floor):
                files.write("floor.json", receipts.encode(floor))
            case FetchManifest(release):
                files.write(_manifest_name(release.digest), self._ports.index.manifest(release))
            case Write():
                self._stage(step, seen, orders)
            case Place(slot, config):
                self._ports.surroundings.boot_state.add_arguments(
                    slot, nodeconfig.parse(config.text).kernel_arguments
                )
                files.write(configuring.name_of(slot), config.text.encode())
            case Configure(slot, wanted):
                self._tell(seen, Decision(step, Phase.CONFIGURING), orders, clock.now())
                configuring.configure(slot, wanted, files, self._ports.host)
            case NoteSettled(slot):
                configuring.settle(slot, files)
            case Reboot(order_id):
                self._reboot(order_id)
            case _:
                self._change_boot_state(step)

    def _change_boot_state(self, step: Step) -> None:
        boot_state = self._ports.surroundings.boot_state
        match step:
            case RepairRecord(good, nxt, left):
                boot_state.repair(good, nxt, left)
            case Disarm():
                boot_state.disarm()
            case Arm(slot):
                boot_state.activate(slot)
            case Confirm(slot):
                configuring.forget(slot, self._ports.surroundings.files)
                boot_state.confirm(slot)
            case _:
                raise Bug(f"there is no way to perform {step}")

    def _reboot(self, order_id: str) -> None:
        self._asked_to_reboot = (order_id, self._ports.surroundings.clock.monotonic())
        self._ports.host.reboot(f"warmroot order {order_id}")

    def _until_reboot_is_late(self, step: Reboot) -> float:
        """Seconds for which a reboot that was asked for may still be under way."""
        if self._asked_to_reboot is None or self._asked_to_reboot[0] != step.id:
            return 0.0
        return self._asked_to_reboot[1] + REBOOT_PATIENCE - self._ports.surroundings.clock.monotonic()

    def _stage(self, step: Write, seen: Seen, orders: Orders | None) -> None:
        clock = self._ports.surroundings.clock
        began, told = clock.monotonic(), 0

        def observe(progress: Progress) -> None:
            nonlocal told
            self._progress = (step.release.digest, progress)
            self._refuse_overtaken(orders)
            passed = clock.monotonic() - began
            due = told < len(PROGRESS_AFTER) and passed >= PROGRESS_AFTER[told]
            now = clock.now()
            if due or heartbeat_due(self._ports.instance.status(), Phase.STAGING, now):
                told += 1
                self._tell(seen, Decision(step, Phase.STAGING), orders, now)

        limits = Limits(in_flight=self._ports.in_flight, rate=self._rate)
        stage(step, seen, self._ports.surroundings, limits, observe)

    def _rate(self) -> int | None:
        orders, _ = self._orders()
        return orders.bandwidth if orders else None

    def _refuse_overtaken(self, orders: Orders | None) -> None:
        if self.stopped:
            raise Superseded("the proxy is to end")
        newest, unread = self._orders()
        if unread or _work(newest) != _work(orders):
            raise Superseded("there are newer orders")


def _work(orders: Orders | None) -> Orders | None:
    """The orders without what changes nothing about the work: then an error of it is old news."""
    return replace(orders, generation=0, bandwidth=None) if orders else None


def _manifest_name(digest: str) -> str:
    return f"manifests/{digest.removeprefix('sha256:')}.json"


def _digest_of(name: str) -> str:
    return "sha256:" + name.removeprefix("manifests/").removesuffix(".json")

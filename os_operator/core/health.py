"""Health checks of nodes on trial: what has to be asked, and what the answers come to.

A node is confirmed when its Node was Ready and every check held, all together, for `readySeconds`. What an
answer is about is a part of its key (the node, its boot and the check as it is written): an answer about
another boot, or to a check that was edited since, is no answer. So is one that is too old.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from os_operator.core import cel, instants, promql
from os_operator.core.world import Answer, CheckKey, InstanceView, NodeView, Standing
from warmroot.api.base import seconds, share
from warmroot.api.health import ONE_OF, CheckReason, HealthCheck
from warmroot.api.os import Health

RETELL = 60.0
"""Seconds after which a failing check's figures are told anew: each telling is a write of the status."""
NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `key` is the digest of how it is written; times in seconds."""

    key: str
    spec: HealthCheck
    interval: float
    timeout: float

    @property
    def lasts(self) -> float:
        """Seconds for which an answer is believed. One comes every interval, and a timeout late at most."""
        return 2 * self.interval + self.timeout


@dataclass(frozen=True, slots=True)
class Question:
    """One check about one boot of one node. `address`: the node's, empty where it has none."""

    node: str
    boot_id: str
    address: str
    check: Check

    @property
    def key(self) -> CheckKey:
        """What an answer belongs to."""
        return self.node, self.boot_id, self.check.key


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks of one node together. `since`: from when on they hold, if they do.

    Else `check` and `reason` are those of the first that does not, without a reason if it was not answered
    yet; `text` is for people. `asked`: when the last of them was asked first. Times in Unix seconds.
    """

    holds: bool = True
    since: float = NEVER
    asked: float = NEVER
    slack: float = 0.0
    check: str = ""
    reason: CheckReason | None = None
    text: str = ""


ALL_HOLD = Verdict()


@dataclass(frozen=True, slots=True)
class Trials:
    """How the nodes of one OS object are judged. `readable` is False where nobody knows the checks."""

    checks: tuple[Check, ...] = ()
    standings: Mapping[CheckKey, Standing] = field(default_factory=dict)
    readable: bool = True

    def verdict(self, node: str, boot_id: str, now: float) -> Verdict:
        """Whether everything holds on this boot of the node."""
        if not self.readable:
            return Verdict(False, text="spec.rollout.health can't be read: nobody knows its checks")
        if not self.checks:
            return ALL_HOLD
        found = [(check, self.standings.get((node, boot_id, check.key))) for check in self.checks]
        asked = max(now if standing is None else standing.asked for _, standing in found)
        slack = max(check.lasts for check in self.checks)
        failing = [(check, one) for check, one in found if _fresh(check, one, now) and one and not one.holds]
        if failing:
            check, worst = failing[0]
            assert worst.answer is not None
            reason, detail = worst.answer.reason, worst.answer.detail
            others = ", ".join(other.spec.name for other, _ in failing[1:])
            text = f"check {check.spec.name}: {reason}, {detail}" + (f"; also {others}" if others else "")
            return Verdict(False, worst.since, asked, slack, check.spec.name, reason, text)
        open_ = [check for check, one in found if not _fresh(check, one, now)]
        if open_:
            text = f"check {open_[0].spec.name} is not answered yet"
            return Verdict(False, now, asked, slack, open_[0].spec.name, None, text)
        since, name = max((one.since, check.spec.name) for check, one in found if one is not None)
        return Verdict(True, since, asked, slack, name)

    def questions(self, node: NodeView, instance: InstanceView) -> Iterator[Question]:
        """What is to be asked about a node on trial."""
        for check in self.checks:
            yield Question(node.name, instance.boot_id, node.address, check)


NO_CHECKS = Trials()


def trials(health: Health | None, standings: Mapping[CheckKey, Standing]) -> Trials:
    """The judgement that an OS object wants; None where its spec can't be read."""
    if health is None:
        return Trials(readable=False)
    if not health.checks:
        return NO_CHECKS
    return Trials(tuple(_check(one) for one in health.checks), standings)


def _check(spec: HealthCheck) -> Check:
    text = json.dumps(spec.wire(), sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Check(key, spec, seconds(spec.interval), seconds(spec.timeout))


def _fresh(check: Check, standing: Standing | None, now: float) -> bool:
    return standing is not None and standing.answer is not None and now <= standing.at + check.lasts


def follow(before: Standing, answer: Answer, at: float, check: Check) -> Standing:
    """What is known after an answer to what was asked at `at`.

    A silence that was too long for the answer before begins anew, as a change does.
    """
    same = before.answer is not None and before.answer.reason is answer.reason
    if not same or at > before.at + check.lasts:
        return replace(before, answer=answer, at=at, since=at, told=at)
    if answer.holds or at < before.told + RETELL:
        return replace(before, at=at)
    return replace(before, answer=answer, at=at, told=at)


def since_when(verdict: Verdict) -> str:
    """A verdict's text and since when it is so, for a record that is read later."""
    if verdict.since == NEVER:
        return verdict.text
    return f"{verdict.text} (since {instants.text(verdict.since)})"


def problem(health: Health) -> str:
    """What is wrong with the checks that no schema can say, with the check's name; or nothing."""
    names = [check.name for check in health.checks]
    for check in health.checks:
        wrong = _problem(check)
        if names.count(check.name) > 1:
            wrong = "another check has the same name"
        if wrong:
            return f"check {check.name}: {wrong}"
    return ""


def _problem(check: HealthCheck) -> str:
    kinds = (check.pods, check.http, check.prometheus, check.object, check.java_caches)
    if sum(one is not None for one in kinds) != 1:
        return ONE_OF
    if check.pods is not None:
        try:
            share(check.pods.min_ready, 1, round_up=True)
        except ValueError as error:
            return f"minReady: {error}"
    if check.prometheus is not None:
        if (check.prometheus.max is None) == (check.prometheus.min is None):
            return "give one of max and min"
        return promql.problem(check.prometheus.query)
    if check.java_caches is not None and check.java_caches.names and check.java_caches.namespace is None:
        return "javaCaches: names need a namespace"
    if check.object is not None:
        wrong = cel.problem(check.object.cel)
        return f"cel: {wrong}" if wrong else ""
    return ""

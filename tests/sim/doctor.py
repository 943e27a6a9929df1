"""Health checks in virtual time: they hold, fail, hang, flap or come late; and a judge of who was confirmed.

What a check says of a boot is drawn once and stays, whichever operator process asks. The judge goes by what
was answered, not by what the operator made of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Any

from os_operator.core.health import Question, follow
from os_operator.core.world import Answer, CheckKey, Standing
from tests.sim.fleet import Fleet
from tests.sim.harness import Judge
from tests.sim.memory_cluster import OSINSTANCE
from warmroot.api.health import CheckReason
from warmroot.kube.cluster import Kind, Object

CHECKS: list[dict[str, Any]] = [
    {"name": "web", "interval": "5s", "timeout": "2s", "http": {"url": "http://{nodeIP}/"}},
    {"name": "dns", "interval": "10s", "timeout": "5s", "pods": {"namespace": "dns", "selector": {}}},
]
LASTS = {"web": 12.0, "dns": 25.0}
FAILS = Answer(CheckReason.WRONG_STATUS, "it answered 503")


class Course(Enum):
    """How a check does on one boot of a machine."""

    HOLDS = "holds"
    FAILS = "fails"
    HANGS = "hangs"
    FLAPS = "flaps"
    LATE = "late"


@dataclass(frozen=True)
class Told:
    """One answer as it was given. `life` is the operator process that it was given to."""

    at: float
    life: int
    holds: bool


class Doctor:
    """The truth about every check, and a prober for each operator process."""

    def __init__(self, fleet: Fleet, random: Random) -> None:
        self.fleet, self.random = fleet, random
        self.weights = [40, 1, 1, 2, 4]
        self.courses: dict[tuple[str, str], tuple[Course, float]] = {}
        self.told: dict[tuple[str, str], list[Told]] = {}

    def answer(self, boot_id: str, name: str) -> Answer | None:
        """What the check says now; None where it hangs."""
        now = self.fleet.time.now
        if (boot_id, name) not in self.courses:
            drawn = self.random.choices(list(Course), self.weights)[0]
            self.courses[boot_id, name] = drawn, now + self.random.uniform(1, 200)
        course, turn = self.courses[boot_id, name]
        if course is Course.HANGS:
            return None
        if course is Course.LATE and now < turn:
            return FAILS
        flapped = course is Course.FLAPS and int(now / 17) % 3 == 0
        return FAILS if course is Course.FAILS or flapped else Answer()

    def prober(self, operator: Any) -> "SimProber":
        """Who asks for one operator process."""
        return SimProber(self, operator)


class SimProber:
    """The port `Prober` in virtual time."""

    def __init__(self, doctor: Doctor, operator: Any) -> None:
        self.doctor, self.operator, self.life = doctor, operator, operator.life
        self.time = doctor.fleet.time
        self.wanted: dict[CheckKey, Question] = {}
        self.known: dict[CheckKey, Standing] = {}
        self.begun: dict[CheckKey, float] = {}

    def ask(self, questions: Iterable[Question]) -> None:
        wanted = {question.key: question for question in questions}
        begun = [key for key in wanted if key not in self.wanted]
        self.begun = {key: self.begun.get(key, self.time.now) for key in wanted}
        self.known = {key: self.known.get(key) or Standing(self.time.now) for key in wanted}
        self.wanted = wanted
        for key in begun:
            self._later(wanted[key], self.time.now, 0.05)

    def standings(self) -> Mapping[CheckKey, Standing]:
        return dict(self.known)

    def _later(self, question: Question, begun: float, delay: float) -> None:
        self.time.after(delay, lambda: self._once(question, begun))

    def _over(self, question: Question, begun: float) -> bool:
        """The process is dead, or the question was dropped since, if only for a while."""
        return self.operator.life != self.life or self.begun.get(question.key) != begun

    def _once(self, question: Question, begun: float) -> None:
        check = question.check
        if self._over(question, begun):
            return
        at, answer = self.time.now, self.doctor.answer(question.boot_id, check.spec.name)
        delay = 0.1 if answer is not None else check.timeout
        answer = answer or Answer(CheckReason.TIMED_OUT, f"no answer within {check.timeout:g} s")
        self.time.after(delay, lambda: self._take(question, begun, answer, at))
        self._later(question, begun, max(check.interval, delay + 0.2))

    def _take(self, question: Question, begun: float, answer: Answer, at: float) -> None:
        if self._over(question, begun):
            return
        key = question.boot_id, question.check.spec.name
        self.doctor.told.setdefault(key, []).append(Told(at, self.life, answer.holds))
        before = self.known[question.key]
        after = self.known[question.key] = follow(before, answer, at, question.check)
        if after.told != before.told or before.answer is None:
            self.operator.wake(0.2)


class HealthJudge(Judge):
    """Beside R1 to R6: whom an operator confirms has proved itself to that very process."""

    def __init__(self, fleet: Fleet, doctor: Doctor) -> None:
        super().__init__(fleet)
        self.doctor = doctor
        self.confirmed = 0
        self.operator: Any = None

    def written(self, verb: str, kind: Kind, args: Any, result: Any, before: dict[Any, Object]) -> None:
        super().written(verb, kind, args, result, before)
        if kind == OSINSTANCE and verb == "patch" and result["spec"]["goal"] == "Confirm":
            self._confirmed(result)

    def _confirmed(self, instance: Object) -> None:
        os = self.told.get(instance["spec"]["os"])
        if os is None:
            return
        self.confirmed += 1
        health = os["spec"]["rollout"]["health"] if "rollout" in os["spec"] else {}
        name, now = instance["metadata"]["name"], self.fleet.time.now
        boot_id = self.fleet.machines[name].boot_id
        for check in health.get("checks", ()):
            told = self.doctor.told.get((boot_id, check["name"]), [])
            if wrong := _unproved(told, now, health["readySeconds"], LASTS[check["name"]]):
                self.breaches.append(f"health: {name} is confirmed, and check {check['name']} {wrong}")


def _unproved(told: list[Told], now: float, ready_seconds: float, lasts: float) -> str:
    if not told or told[-1].at < now - lasts:
        return "was not answered"
    mine = [one for one in told if one.life == told[-1].life]
    if mine[0].at > now - ready_seconds:
        return "was not asked for long enough by this process"
    held = [one for one in mine if one.at >= now - ready_seconds] or mine[-1:]
    return "" if all(one.holds for one in held) else "did not hold"

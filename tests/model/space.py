"""All steps from a world.

Nodes are interned as small numbers and a world is a few of them: a step of one node is worked out once for
all worlds that have a node like it, and `plan()` is asked once for all worlds that look the same to it.
"""

from collections.abc import Iterator
from typing import NamedTuple

from os_operator.core.plan import plan
from tests.model.environment import Cost, calm, steps
from tests.model.machine import LONG, NOTHING, Node, bit, later, normal
from tests.model.planner import NOW, Change, Os, Rules, ask, carry_out, changes, views
from tests.model.promises import FIRST_WAVE, breach, ends_well, members, moved, suffered

World = tuple[int, tuple[int, ...]]
"""Interned: the OS object, the nodes."""
WIDTH = 20
"""Bits of an interned number."""
WHOLE = 64
"""One pass in so many is also made with its status written out, one known answer in so many asked again."""
REST = "from here on no fault happens"
CALM = 60
"""Rounds in which a world must come to rest once faults have stopped."""


class Start(NamedTuple):
    """Where a search begins, how deep it goes, and how many worlds it sees at the most."""

    name: str
    rules: Rules
    os: Os
    nodes: tuple[Node, ...]
    depth: int
    most: int = 1_000_000


class Broken(Exception):
    """A promise is broken by a step, given in words."""

    def __init__(self, promise: str, step: str = "") -> None:
        super().__init__(promise)
        self.promise, self.step = promise, step


class Space:
    """All that can happen in worlds of one kind."""

    def __init__(self, start: Start) -> None:
        self.start, self.rules = start, start.rules
        self._number: dict[object, int] = {}
        self._things: list[object] = []
        self._steps: dict[int, list[tuple[Cost, str, int]]] = {}
        self._later: dict[int, int] = {}
        self._calm: dict[int, int] = {}
        self._asked: dict[World, tuple[Change, ...]] = {}
        self._seen: dict[int, int] = {}
        self.plans = self._known_answers = 0

    # -- interning -----------------------------------------------------------------------------------------

    def number(self, thing: object) -> int:
        """A small number for a node or an OS object."""
        found = self._number.get(thing)
        if found is None:
            found = self._number[thing] = len(self._things)
            self._things.append(thing)
            assert found < 1 << WIDTH
            if isinstance(thing, Node):
                self._seen[found] = self.number(_visible(thing))
        return found

    def intern(self, os: Os, nodes: tuple[Node, ...]) -> World:
        return self.number(os), tuple(self.number(node) for node in nodes)

    def open(self, world: World) -> tuple[Os, tuple[Node, ...]]:
        things = self._things
        return things[world[0]], tuple(things[node] for node in world[1])

    # -- steps ---------------------------------------------------------------------------------------------

    def onward(self, world: World) -> Iterator[tuple[str, World]]:
        """Every step from a world, in words.

        Raises:
            Broken: the step breaks a promise; the words are the exception's.
        """
        os_number, nodes = world
        os: Os = self._things[os_number]
        paid = {
            Cost.FREE: os_number,
            Cost.FAULT: self.number(os._replace(faults=os.faults - 1)) if os.faults else NOTHING,
            Cost.PERSON: self.number(os._replace(persons=os.persons - 1)) if os.persons else NOTHING,
        }
        for at, node in enumerate(nodes):
            if node in nodes[:at]:
                continue  # what may happen to its like was told already
            for cost, words, new in self._of_node(node):
                if paid[cost] != NOTHING:
                    yield f"n{at}: {words}", (paid[cost], (*nodes[:at], new, *nodes[at + 1 :]))
        yield "time passes", self._tick(os, nodes)
        if os.persons:
            whole = self.open(world)[1]
            for words, changed in _edits(os._replace(persons=os.persons - 1), whole):
                yield words, self.intern(*changed)
        yield from self._passes(world, os)

    def _of_node(self, number: int) -> list[tuple[Cost, str, int]]:
        found = self._steps.get(number)
        if found is None:
            node: Node = self._things[number]
            found = [(cost, words, self.number(new)) for cost, words, new in steps(node)]
            self._steps[number] = found
        return found

    def _tick(self, os: Os, nodes: tuple[int, ...]) -> World:
        aged = []
        for number in nodes:
            new = self._later.get(number)
            if new is None:
                new = self._later[number] = self.number(normal(later(self._things[number])))
            aged.append(new)
        full = os.full_since
        if self.rules.waves:
            there = self.open((0, nodes))[1]
            enough = sum(moved(node, os.target) for node in members(there)) >= FIRST_WAVE
            full = min(LONG, max(0, full) + 1) if full != NOTHING or enough else NOTHING
        wave, cleared = os.wave, os.cleared
        if wave is not None:
            index, since, soak = wave
            wave = (index, min(LONG, since + 1), None if soak is None else max(-1, soak - 1))
        cleared = cleared + 1 if NOTHING < cleared < LONG - 1 else NOTHING
        return self.number(os._replace(wave=wave, cleared=cleared, full_since=full)), tuple(aged)

    # -- passes of the planner -----------------------------------------------------------------------------

    def wants(self, world: World) -> tuple[Change, ...]:
        """What `plan()` wants here; asked once for all worlds that look the same to it."""
        os: Os = self._things[world[0]]
        looks = os._replace(faults=0, persons=0, full_since=NOTHING)
        key = (self.number(looks), tuple(self._seen[node] for node in world[1]))
        found = self._asked.get(key)
        if found is None:
            found = self._asked[key] = ask(self.rules, *self.open(world), whole=False)
            if self.plans % WHOLE == 0:
                assert found == ask(self.rules, *self.open(world)), (
                    "the short pass decides what the whole one does"
                )
            self.plans += 1
            return found
        self._known_answers += 1
        if self._known_answers % WHOLE == 0:
            assert found == ask(self.rules, *self.open(world), whole=False), "what looks the same is the same"
        return found

    def _passes(self, world: World, os: Os) -> Iterator[tuple[str, World]]:
        wanted = self.wants(world)
        if not wanted:
            return
        after = self._carried(world, wanted)
        yield f"the operator: {_words(wanted)}", after[-1]
        if not os.faults:
            return
        less = os._replace(faults=os.faults - 1)
        for done in range(1, len(wanted)):
            words = f"the operator: {_words(wanted[:done])}; then it is killed and starts anew"
            yield words, self._anew(after[done], less.faults)
        for lost in range(len(wanted)):
            if wanted[lost].kind in ("evict", "force") or len(wanted) == 1:
                continue
            kept = (*wanted[:lost], *(one for one in wanted[lost + 1 :] if one.kind != "status"))
            if kept:
                words = f"the operator: {_words(kept)}; a conflict loses: {_words(wanted[lost : lost + 1])}"
                yield words, self._paid(self._carried(world, kept)[-1], less.faults)

    def _carried(self, world: World, wanted: tuple[Change, ...]) -> list[World]:
        """The worlds after none, one, two … of the changes.

        Raises:
            Broken: one of them breaks a promise.
        """
        os, there = self.open(world)
        nodes, after = list(there), [world]
        for change in wanted:
            if wrong := breach(self.rules, os, nodes, change):
                raise Broken(wrong, f"the operator: {_words(wanted[: len(after)])}")
            os = carry_out(os, nodes, change)
            after.append(self.intern(os, tuple(nodes)))
        return after

    def _anew(self, world: World, faults: int) -> World:
        """Only in memory: how evictions were answered."""
        os, nodes = self.open(world)
        forgot = tuple(node._replace(refused=0) if node.refused else node for node in nodes)
        return self.intern(os._replace(faults=faults), forgot)

    def _paid(self, world: World, faults: int) -> World:
        os: Os = self._things[world[0]]
        return self.number(os._replace(faults=faults)), world[1]

    # -- the end -------------------------------------------------------------------------------------------

    def check(self, world: World) -> None:
        """What must be true of every world.

        Raises:
            Broken: it is not.
        """
        for number in world[1]:
            if wrong := suffered(self._things[number]):
                raise Broken(wrong)

    def settle(self, world: World, known: set[int]) -> int:
        """Faults stop, nature takes its course, the operator works: the world comes to rest and says why.

        Returns how many worlds were new on the way; `known` are those that are known to end well.

        Raises:
            Broken: it does not, or it rests where nobody is told what to do.
        """
        way: list[int] = []
        for _ in range(CALM):
            key = self.key(world)
            if key in known:
                known.update(way)
                return len(way)
            way.append(key)
            new = self._fair(world)
            if new == world:
                self._rests(world)
                known.update(way)
                return len(way)
            world = new
        raise Broken(f"live: after {CALM} rounds without a fault it has not come to rest", REST)

    def _fair(self, world: World) -> World:
        os: Os = self._things[world[0]]
        world = self._tick(os, tuple(self._calmed(node) for node in world[1]))
        for _ in range(3):
            wanted = self.wants(world)
            world = self._carried(world, wanted)[-1]
            world = world[0], tuple(self._calmed(node) for node in world[1])
        return world

    def _calmed(self, number: int) -> int:
        new = self._calm.get(number)
        if new is None:
            new = self._calm[number] = self.number(calm(self._things[number]))
        return new

    def _rests(self, world: World) -> None:
        """The whole pass twice more, with the status as it is really written (R6)."""
        os, nodes = self.open(world)
        status = None
        for _ in range(3):
            last = plan(views(self.rules, os, nodes, status), NOW)
            status = last.statuses.get("workers")
        if rest := [one for one in changes(last) if one.kind not in ("evict", "force")]:
            raise Broken(f"R6: a pass over a world at rest wants {_words(tuple(rest))}", REST)
        rows = {int(row.node[1:]): row.reason.value for row in status.waiting} if status else {}
        if wrong := ends_well(self.rules, os, nodes, rows):
            raise Broken(wrong, REST)

    def rations(self, world: World) -> tuple[int, int]:
        """Faults and persons' doings that are left."""
        os: Os = self._things[world[0]]
        return os.faults, os.persons

    def key(self, world: World) -> int:
        """The world as one integer, whatever its nodes are called."""
        packed = world[0]
        for node in sorted(world[1]):
            packed = packed << WIDTH | node
        return packed


def _visible(node: Node) -> Node:
    """The node as a pass sees it: what only the machine or its proxy knows is left out."""
    aged = node.up_age if node.told_boot == node.boot else LONG
    pods = node.pods if node.note is not None and node.cordoned else 0
    return node._replace(
        run=0, other=0, trial=False, power="up", silent=False, boot=0, up_age=aged, phase="", problem=0,
        staging=0, carried=None, spent=(), twice=False, fell=0, kept=0, bar_seen=0, admin=False, pods=pods,
        blocked=False,
    )  # fmt: skip


def _edits(os: Os, nodes: tuple[Node, ...]) -> Iterator[tuple[str, tuple[Os, tuple[Node, ...]]]]:
    """What a person does to the OS object."""
    if not os.exists:
        yield "a person creates the OS object again", _again(os, nodes)
    if os.deleting or not os.exists:
        return
    yield ("a person resumes" if os.paused else "a person pauses"), (os._replace(paused=not os.paused), nodes)
    window = "a window opens" if os.closed else "the window closes"
    yield window, (os._replace(closed=not os.closed), nodes)
    for release in (2, 0, 1):
        if release != os.target:
            new = os._replace(target=release, full_since=NOTHING)
            yield f"a person sets release {release}", (new, nodes)
    if not os.approved & bit(os.target):
        yield "a person approves", (os._replace(approved=os.approved | bit(os.target)), nodes)
    if any(node.failed for node in nodes):
        forgiven = tuple(node._replace(fell=0) if node.fell else node for node in nodes)
        yield "a person forgives all failures", (os._replace(cleared=0), forgiven)
    yield "a person deletes the OS object", (os._replace(deleting=True, exists=os.finalizer), nodes)


def _again(os: Os, nodes: tuple[Node, ...]) -> tuple[Os, tuple[Node, ...]]:
    new = Os(os.faults, os.persons, finalizer=False, target=os.target)
    return new, tuple(node._replace(failed=None) for node in nodes)


def _words(wanted: tuple[Change, ...]) -> str:
    return ", ".join(
        f"{change.kind} n{change.at}" + (f" {change.what[0]}" if change.kind == "order" else "")
        if change.at != NOTHING
        else change.kind
        for change in wanted
    )

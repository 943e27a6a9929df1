"""The search: every order of everything that may happen, breadth first, each world once.

Worlds that differ only in which node is called what are one: nodes are sorted before a world is looked up.
The planner prefers the first name among equals, so of two such worlds one order is explored; the random walks
keep their names and see the others.
"""

from random import Random
from typing import NamedTuple

from tests.model.space import Broken, Space, Start, World

NO_PARENT = -1
ENDS = 400
"""Of the worlds at the edge of a search so many are brought to rest, and of all others one in `EVERY`."""
EVERY = 400


MISHAPS = 0.2
"""So many steps of a random walk are faults or persons' doing."""


class Found(NamedTuple):
    """A broken promise: which, and the shortest way there in words."""

    promise: str
    trace: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"  {number:2}. {line}" for number, line in enumerate(self.trace, 1)]
        return "\n".join((self.promise, *lines))


class Counts(NamedTuple):
    """What a search has seen."""

    worlds: int = 0
    steps: int = 0
    plans: int = 0
    ends: int = 0
    depth: int = 0


class Search:
    """A search from one start."""

    def __init__(self, start: Start) -> None:
        self.space = Space(start)
        self.first = self.space.intern(start.os, start.nodes)
        self.parents: dict[int, int] = {self.space.key(self.first): NO_PARENT}
        self.known: set[int] = set()
        self.taken = self.depth = 0
        self.some = [self.first]

    def run(self) -> Found | None:
        """Every world within the depth of the start; the first broken promise ends it."""
        edge = last = [self.first]
        for _ in range(self.space.start.depth):
            if not edge or len(self.parents) >= self.space.start.most:
                break
            edge, found = self._step(edge)
            if found is not None:
                return found
            self.depth += 1
            last = edge or last
        for world in (*last[:: max(1, len(last) // ENDS)], *self.some):
            try:
                self.space.settle(world, self.known)
            except Broken as broken:
                return self._trace(self.space.key(world), broken)
        return None

    def _step(self, edge: list[World]) -> tuple[list[World], Found | None]:
        """The worlds one step beyond those at the edge, as far as the search may go."""
        space, parents, most = self.space, self.parents, self.space.start.most
        beyond: list[World] = []
        for world in edge:
            if len(parents) >= most:
                self.depth -= 1  # the last step was not taken from everywhere
                break
            here = at = space.key(world)
            try:
                for _, new in space.onward(world):
                    self.taken += 1
                    key = space.key(new)
                    if key not in parents:
                        parents[key] = here
                        beyond.append(new)
                        at = key
                        if len(parents) % EVERY == 0:
                            self.some.append(new)
                        space.check(new)
                        at = here
            except Broken as broken:
                return beyond, self._trace(at, broken)
        return beyond, None

    def _trace(self, last: int, broken: Broken) -> Found:
        """The shortest way to a world, in the words of its steps."""
        keys = [last]
        while (parent := self.parents[keys[-1]]) != NO_PARENT:
            keys.append(parent)
        world, told = self.first, []
        for key in reversed(keys[:-1]):
            steps = self.space.onward(world)
            words, world = next((words, new) for words, new in steps if self.space.key(new) == key)
            told.append(words)
        return Found(broken.promise, (*told, broken.step) if broken.step else tuple(told))


def search(start: Start) -> tuple[Counts, Found | None]:
    """Every world within `depth` steps of the start."""
    one = Search(start)
    found = one.run()
    return Counts(len(one.parents), one.taken, one.space.plans, len(one.known), one.depth), found


def walk(start: Start, seed: int) -> tuple[Counts, Found | None]:
    """One long random way through a world that is too big to search."""
    space, random = Space(start), Random(seed)
    world, told = space.intern(start.os, start.nodes), []
    seen, known = {space.key(world)}, set()
    try:
        for _ in range(start.depth):
            onward = _some(space, world, random.random() < MISHAPS)
            if not onward:
                break
            words, world = random.choice(onward)
            told.append(words)
            seen.add(space.key(world))
            space.check(world)
        space.settle(world, known)
    except Broken as broken:
        return Counts(len(seen), len(told), space.plans, len(known)), Found(
            broken.promise, (*told, broken.step)
        )
    return Counts(len(seen), len(told), space.plans, len(known)), None


def _some(space: Space, world: World, mishap: bool) -> list[tuple[str, World]]:
    """Mishaps, or the steps that nature and the operator take; all steps where there are none of them."""
    onward = [step for step in space.onward(world) if step[1] != world]
    rations = space.rations(world)
    wanted = [step for step in onward if (space.rations(step[1]) != rations) == mishap]
    return wanted or onward

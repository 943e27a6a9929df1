"""Every order of faults, persons and the operator's own steps, in small worlds, keeps every promise."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest

from os_operator.core import begin, finish, node_way, rollout, survey
from os_operator.core.budget import Budget
from os_operator.core.drain import DrainOutcome, DrainState
from os_operator.core.waves import Progress
from os_operator.core.world import EvictionAnswer, NodeView
from tests.model.explore import search, walk
from tests.model.planner import Rules
from tests.model.space import Start
from tests.model.worlds import TRIAL, TRYING, UPDATED, WALKS, WAVES, WORLDS, fleet

FEWEST, SHALLOWEST = 1_000_000, 5
"""Worlds that a run sees at the least, and how deep it sees all of them."""
SEED = int(os.environ.get("WARMROOT_MODEL_SEED", "0"))
WALKED = 20
"""Seeds for each kind of walk."""


def search_of(number):
    return search(WORLDS[number])


def walks_of(seed):
    return [walk(start, seed) for start in WALKS]


def everywhere(do, what):
    """On all processors: each search is a process's own."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(do, what))


@pytest.mark.timeout(900)
def test_no_order_of_events_breaks_a_promise_and_every_world_comes_to_rest(tally):
    results = everywhere(search_of, range(len(WORLDS)))
    for counts, _ in results:
        tally("worlds of the model of the planner, each once", counts.worlds)
        tally("steps between them", counts.steps)
        tally("passes of the planner for them", counts.plans)
        tally("worlds followed until they rest", counts.ends)
    shallowest = min(counts.depth for counts, _ in results)
    tally("steps to which every one of the searches has seen all worlds", shallowest)
    wrong = [f"{start.name}: {found}" for start, (_, found) in zip(WORLDS, results, strict=True) if found]
    assert wrong == []
    assert sum(counts.worlds for counts, _ in results) >= FEWEST
    assert shallowest >= SHALLOWEST


def test_no_long_way_through_bigger_worlds_breaks_a_promise(tally):
    results = everywhere(walks_of, range(SEED, SEED + WALKED))
    wrong = []
    for number, walks in enumerate(results):
        for start, (counts, found) in zip(WALKS, walks, strict=True):
            tally(f"steps of random walks from seed {SEED} on", counts.steps)
            wrong += [f"{start.name}, seed {SEED + number}: {found}"] if found else []
    assert wrong == []


# -- the checker is no rubber stamp: a planner with one rule taken out is caught ---------------------------


def generous(patch):
    honest = survey.budget
    patch.setattr(
        survey, "budget", lambda *args: Budget(honest(*args).allowed + 1, honest(*args).unavailable)
    )


def lifts_every_cordon(patch):
    patch.setattr(
        NodeView, "cordon_is_ours", property(lambda self: self.unschedulable and self.note is not None)
    )


def needs_no_approval(patch):
    patch.setattr(begin, "_gate", lambda state, wave: None)
    patch.setattr(Progress, "room", lambda *_: 1000)


def begins_while_paused(patch):
    patch.setattr(begin, "_shut", lambda state: None)


def forgets_what_fell_back(patch):
    honest = finish.make.rest
    patch.setattr(finish.make, "rest", lambda instance, barred: honest(instance, ()))
    patch.setattr(survey.Ledger, "record", lambda *_: None)


def forgets_since_when_it_drains(patch):
    honest = finish.assess
    patch.setattr(finish, "assess", lambda *args: honest(*args[:4], args[-1], args[-1]))


def takes_a_refusal_for_an_empty_node(patch):
    honest = finish.assess

    def assess(pods, attached, results, *more):
        refused = any(one.answer is EvictionAnswer.BLOCKED for one in results.values())
        return DrainOutcome(DrainState.DRAINED) if refused else honest(pods, attached, results, *more)

    patch.setattr(finish, "assess", assess)


def confirms_at_once(patch):
    honest = survey.examine
    patch.setattr(survey, "examine", lambda *args: honest(*args[:4], 0.0, *args[5:]))


def takes_orders_back_that_run(patch):
    patch.setattr(node_way, "_away", lambda *_: node_way._withdraw("it takes too long", None))
    patch.setattr(finish, "_withdraw", lambda state, _, instance: finish._bar(state, instance))


def leaves_nodes_cordoned(patch):
    patch.setattr(finish, "release", lambda *_: None)


def believes_an_earlier_machine(patch):
    honest = survey.examine
    patch.setattr(
        survey,
        "examine",
        lambda node, one, *more: honest(node, one and replace(one, node_uid=node.uid), *more),
    )


def never_lets_go(patch):
    patch.setattr(rollout, "_let_go", lambda state: None)


@pytest.mark.parametrize(
    ("without", "promise", "start"),
    [
        (generous, "R1", fleet("", Rules(), 2, 2)),
        (lifts_every_cordon, "R2", fleet("", Rules(), 1, 4, persons=2)),
        (leaves_nodes_cordoned, "R2", fleet("", Rules(), 1, 4, after=TRIAL)),
        (forgets_what_fell_back, "R3", fleet("", Rules(), 1, 8, faults=1, after=TRYING)),
        (needs_no_approval, "R4", fleet("", WAVES, 2, 2, after=UPDATED)),
        (begins_while_paused, "R4", fleet("", Rules(), 1, 2, persons=1)),
        (believes_an_earlier_machine, "R5", fleet("", Rules(), 1, 5, faults=1)),
        (takes_orders_back_that_run, "R5", fleet("", Rules(), 1, 4, after=TRYING)),
        (takes_a_refusal_for_an_empty_node, "drain", fleet("", Rules(), 1, 5, faults=1)),
        (confirms_at_once, "health", fleet("", Rules(), 1, 4, after=TRYING)),
        (forgets_since_when_it_drains, "live", fleet("", Rules(on_timeout="Skip"), 1, 4, faults=1)),
        (never_lets_go, "live", fleet("", Rules(), 1, 2, persons=1)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_checker_finds_a_planner_that(without, promise, start: Start, monkeypatch):
    assert search(start)[1] is None
    without(monkeypatch)
    found = search(start)[1]
    assert found is not None
    assert found.promise.startswith(promise)
    assert 0 < len(found.trace) <= start.depth + 1

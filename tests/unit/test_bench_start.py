"""The start benchmark compares what is comparable: starts of one round, requests of one window."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import class_lists, first_requests, start, start_with_agent
from bench.__main__ import names
from bench.first_requests import Seen
from bench.javastart.archives import Loaded, count
from bench.javastart.race import Contestant, Results, Sample, circumstances, race
from bench.report import Row
from jboost_server.core.outcome import Outcome
from jboost_server.local.agent import Report
from testbed.apps.running import Ready
from testbed.apps.threads import Spent
from testbed.apps.traffic import Served
from testbed.demo.java.pod import Decided

BENCH = Path(start.__file__).parent


def contestant(name: str, order: list[str], before: float = 0.0) -> Contestant:
    @contextmanager
    def start():
        order.append(name)
        running = SimpleNamespace(ready=Ready(2.0, 3.0, 100.0), end=lambda _: order.append(f"{name} ended"))
        yield running, before

    return Contestant(name, start)


def results(**seconds: list[float]) -> Results:
    return Results({name: [Sample(one, 2 * one, 100) for one in values] for name, values in seconds.items()})


def test_every_contestant_starts_once_a_round_and_has_ended_before_the_next_starts():
    order: list[str] = []
    raced = race([contestant(name, order) for name in "abc"], rounds=4)
    assert order[1::2] == [f"{name} ended" for name in order[::2]]
    assert [sorted(order[at : at + 6 : 2]) for at in range(0, 24, 6)] == [["a", "b", "c"]] * 4
    assert {name: len(samples) for name, samples in raced.samples.items()} == {"a": 4, "b": 4, "c": 4}


def test_the_order_changes_from_round_to_round():
    order: list[str] = []
    race([contestant(name, order) for name in "abcd"], rounds=5)
    assert len({tuple(order[at : at + 8 : 2]) for at in range(0, 40, 8)}) > 1


def test_what_runs_before_the_application_counts():
    assert race([contestant("ours", [], before=0.5)], rounds=1).seconds("ours") == 2.5


def test_a_ratio_is_the_median_of_the_rounds_own_so_that_a_slow_round_says_nothing():
    raced = results(plain=[4.0, 4.0, 40.0], warm=[2.0, 2.0, 20.0])
    assert raced.faster("warm", "plain") == 2.0
    assert raced.lighter("warm", "plain") == 2.0
    assert raced.seconds("plain") == 4.0


def test_a_contestant_that_missed_a_round_is_not_compared():
    with pytest.raises(ValueError, match="shorter"):
        results(plain=[4.0, 4.0], warm=[2.0]).faster("warm", "plain")


def test_the_first_seconds_hold_the_requests_that_began_in_them():
    served = Served([600.0, 600.0, 600.0, 100.0])
    assert served.first(1.0).latencies == [600.0, 600.0]
    assert served.first(60.0).latencies == served.latencies


def test_a_percentile_is_one_of_the_latencies():
    served = Served([float(number) for number in range(1, 101)])
    assert (served.percentile(0.5), served.percentile(0.99), served.slowest) == (51.0, 100.0, 100.0)


def test_the_slowest_requests_are_told_with_what_their_threads_spent():
    served = Served([1.0, 9.0, 2.0, 8.0], spent=[Spent(1, 0), Spent(4, 5), Spent(2, 0), Spent(8, 0)])
    slow = served.slow(0.5)
    assert (slow.latencies, slow.spent) == ([9.0, 8.0], [Spent(4, 5), Spent(8, 0)])


def test_what_a_slow_request_waited_for_is_a_share_of_its_time():
    seen = {
        "ours": Seen([9], [9], [2], slow=[(10.0, Spent(4, 6)), (10.0, Spent(10, 0))], busy=[0.5, 0.7, 0.9])
    }
    waiting, cores = first_requests.explained(seen)
    assert (waiting.value, cores.value) == (0.3, 0.7)
    assert waiting.against == "on one 0.70, mean 10 ms of 2"


def decided(outcome: Outcome, seconds: float, **steps: int) -> Decided:
    return Decided(Report(outcome, (), (), "", "", False, steps), seconds)


def named(rows, figure: str) -> Row:
    (found,) = [row for row in rows if row.figure == figure]
    return found


@pytest.mark.parametrize(("value", "failed", "met"), [(0.1, 0, True), (0.3, 0, False), (0.1, 1, False)])
def test_a_goal_is_missed_if_a_run_failed_whatever_the_others_say(value, failed, met):
    row = Row("start", "agent adds", value, "s", 0.2, against="no preflight", failed=failed)
    assert row.met is met
    assert ("1 failed" in row.wire()["against"]) is bool(failed)
    assert set(row.wire()) == {"bench", "figure", "value", "unit", "goal", "better", "met", "against"}


def test_what_the_agent_adds_is_told_by_hits_and_a_run_without_one_has_failed():
    runs = [decided(Outcome.HIT, 0.1, preflight=40), decided(Outcome.HIT, 0.15), decided(Outcome.BUDGET, 3.0)]
    rows = list(start.added("fetched", runs, 0.6))
    assert (rows[0].value, rows[0].failed, rows[0].met) == (0.125, 1, False)
    assert rows[0].against == "a preflight in 1 of 2 hits; ms: preflight 20"
    assert (rows[1].value, rows[1].unit) == (40, "ms")
    assert next(start.added("fetched", runs[:2], 0.6)).met is True
    assert next(start.added("fetched", runs[2:], 0.6)).met is False


def ways(**seconds: float) -> Results:
    names = {"fat": start.FAT, "extracted": start.EXTRACTED, "ours": start.OURS, "whole": start.WHOLE}
    by_hand = {"a": "made by hand, a", "b": "made by hand, b"}
    return results(**{f"{(names | by_hand)[name]} on 17": [value] for name, value in seconds.items()})


def test_ours_is_measured_against_the_better_of_the_archives_made_by_hand():
    raced = ways(fat=8.0, extracted=6.0, a=3.0, b=2.5, ours=2.5, whole=3.0)
    rows = list(start.starts(17, ["a", "b"], raced, 0))
    best = named(rows, "ours against the best archive made by hand, 17")
    assert (best.value, best.met) == (1.0, True)
    assert best.against.startswith("made by hand, b;")
    assert named(rows, "resident when ready plainly, 17").unit == "MiB"
    assert named(rows, "resident when ready with ours, 17").unit == "MiB"


@pytest.mark.parametrize(("misses", "met"), [(0, True), (1, False)])
def test_a_start_that_the_agent_did_not_serve_misses_the_goal_of_all_of_them(misses, met):
    raced = ways(fat=8.0, extracted=6.0, a=3.0, b=2.5, ours=2.5, whole=3.0)
    rows = list(start.starts(17, ["a", "b"], raced, misses))
    assert named(rows, "with the pod agent faster than extracted, 17").met is met


def test_what_is_kept_with_an_agent_is_a_share_of_what_is_gained_without():
    plain, ours, agent = start_with_agent.PLAIN, start_with_agent.OURS, start_with_agent.WITH
    names = {f"{plain} on 25": 6.0, f"{ours} on 25": 3.0}
    names |= {f"{plain}{agent} on 25": 8.0, f"{ours}{agent} on 25": 5.6}
    (row,) = start_with_agent.kept(25, results(**{name: [value] for name, value in names.items()}))
    assert row.value == pytest.approx(0.8)
    assert row.against.endswith("by processor time 0.80")


@pytest.mark.parametrize("ours", [6.0, 7.0])
def test_nothing_is_kept_where_nothing_is_gained(ours):
    plain, warm, agent = start_with_agent.PLAIN, start_with_agent.OURS, start_with_agent.WITH
    names = {plain: 6.0, warm: ours, plain + agent: 8.0, warm + agent: 9.0}
    (row,) = start_with_agent.kept(25, results(**{f"{name} on 25": [value] for name, value in names.items()}))
    assert (row.value, row.met) == (0.0, False)


def test_first_requests_are_compared_with_the_plain_ones_and_a_wrong_answer_fails_its_rows():
    seen = {"plain": Seen([200], [20], [3000]), "ours": Seen([90], [10], [4500], unexpected=1)}
    rows = list(first_requests.compared(seen))
    assert [row.value for row in rows] == [0.45, 0.5, 1.5]
    assert [row.met for row in rows] == [False, False, False]
    seen["ours"].unexpected = 0
    assert [row.met for row in first_requests.compared(seen)] == [True, True, True]


def test_the_merged_list_is_compared_with_the_best_single_one():
    loaded = {"reads": Loaded(16_000, 300), "writes": Loaded(15_000, 600), "merged": Loaded(17_000, 20)}
    rows = list(class_lists.rows(loaded, results(reads=[2.0], writes=[2.0], merged=[2.0])))
    shared = named(rows, "classes shared by the archive of merged, 17")
    unshared = named(rows, "classes read from jars by the archive of merged, 17")
    assert (shared.goal, shared.met, unshared.goal, unshared.met) == (16_000, True, 300, True)


def test_classes_are_counted_by_where_the_jvm_says_they_are_from():
    log = """[0.1s][info][class,load] java.lang.Object source: shared objects file
[0.2s][info][class,load] app.Main source: shared objects file (top)
[0.3s][info][class,load] app.Part source: file:/app/app.jar
[0.3s][info][class,load] java.sql.Date source: jrt:/java.sql
[0.4s][info][class,load] app.Main$$Lambda/0x1 source: app.Main
"""
    assert count(log) == Loaded(shared=2, not_shared=2)


def test_a_benchmark_says_how_many_rounds_there_were_and_on_which_machine():
    raced = Results({"a": [Sample(1, 1, 1)] * 4}, load=[0.5, 1.5])
    row = circumstances("start", raced, [])
    assert (row.value, row.goal) == (1.0, None)
    assert row.against.startswith("4 rounds")


def test_whoever_runs_a_benchmark_of_java_gets_java_set_up_first():
    script = (BENCH.parent / "scripts" / "bench").read_text()
    java = [name for name in names() if "bench.javastart" in (BENCH / f"{name}.py").read_text()]
    assert len(java) == 5
    assert [name for name in java if f'*" {name} "*' not in script] == []

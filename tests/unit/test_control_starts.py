"""The share of recent starts that were from an archive, out of counts that only grow."""

from jboost_server.core.control.starts import APART, counted, coverage, marked
from tests.control_worlds import NOW, key


def walked(*reports):
    """Coverage after each report of hits and starts so far, at a time in half hours."""
    marks, shares = (), []
    for half_hours, hits, starts in reports:
        marks = marked(marks, hits, starts, NOW + half_hours * APART)
        shares.append(coverage(marks, hits, starts))
    return shares


def test_starts_that_recorded_or_were_off_count_for_nothing():
    one = key(hits=3, misses={"missing": 1, "learning": 5, "off": 2})
    assert counted([one, key(hits=1)]) == (4, 5)


def test_before_the_first_start_there_is_none():
    assert walked((0, 0, 0)) == [None]
    assert marked((), 0, 0, NOW) == ()


def test_a_new_image_that_nobody_learned_for_shows_within_the_hour():
    assert walked((0, 900, 1000), (1, 990, 1090), (2, 990, 1190), (2.5, 990, 1290)) == [90, 100, 0, 0]


def test_where_nothing_starts_the_marks_stay_and_so_does_the_share():
    marks = marked(marked((), 9, 10, NOW), 9, 10, NOW + 100 * APART)
    assert marks == marked((), 9, 10, NOW)
    assert coverage(marks, 9, 10) == 90


def test_within_half_an_hour_no_mark_moves():
    first = marked((), 9, 10, NOW)
    assert marked(first, 90, 100, NOW + APART - 1) == first


def test_counts_that_fell_begin_anew():
    marks = marked(marked((), 90, 100, NOW), 1, 4, NOW + 60)
    assert [(one.hits, one.starts) for one in marks] == [(1, 4)]
    assert coverage(marks, 1, 4) == 25


def test_a_key_that_is_forgotten_while_another_one_goes_on_begins_anew_too():
    """There are more hits than before and fewer misses: no share of starts is 200 percent."""
    marks = marked(marked((), 10, 20, NOW), 20, 25, NOW + 60)
    assert coverage(marks, 20, 25) == 80

"""What people are told of a key that has no archive: how far it is, why, and what they can do."""

import dataclasses

from jboost_server.core.orders import ATTEMPTS, REST, Book, Ended, Failures
from jboost_server.core.progress import Progress, Stage, progress
from jboost_server.core.publication import State
from tests.unit.test_jboost_orders import ORDER, PUBLISHED, A

NOW = 1_800_000_000
NOISY = Ended(ORDER.id, "refused", 12, "measure more starts")


def of(*built, book=None, now=NOW):
    return progress(built, book or Book(), recordings=1, wanted=3, now=now)


def test_what_serves_comes_before_everything_else():
    assert of(PUBLISHED, book=Book(ORDER), now=0) == Progress(Stage.SERVING, "fast")


def test_an_order_that_is_out_is_a_build_until_its_time_is_over():
    assert of(book=Book(ORDER), now=ORDER.until - 1) == Progress(Stage.BUILDING, "by me")
    late = of(book=Book(ORDER), now=ORDER.until)
    assert (late.stage, "never came back" in late.why) == (Stage.LEARNING, True)


def test_harm_is_told_before_slowness():
    refused = PUBLISHED.become(State.REFUSED, "slow")
    withdrawn = dataclasses.replace(PUBLISHED, archive=A).become(State.WITHDRAWN, "it crashed")
    assert of(refused, withdrawn) == Progress(Stage.WITHDRAWN, "it crashed")
    assert of(refused) == Progress(Stage.REFUSED, "slow")


def test_what_was_given_up_says_why_until_when_and_how_to_try_again():
    found = of(book=Book(None, NOISY, {A: Failures(ATTEMPTS, NOW - 60)}))
    assert found.stage is Stage.REFUSED
    for words in ("3 builds", "measure more starts", "2027-01-16 07:59 UTC", "jboost build --again"):
        assert words in found.why
    after = of(book=Book(None, NOISY, {A: Failures(ATTEMPTS, NOW - REST)}))
    assert after.stage is Stage.LEARNING


def test_a_builder_that_died_for_the_third_time_is_told_as_well():
    book = Book(ORDER, failed={ORDER.input: Failures(ATTEMPTS - 1, 0)})
    found = of(book=book, now=ORDER.until)
    assert (found.stage, "never came back" in found.why) == (Stage.REFUSED, True)


def test_one_build_that_came_to_nothing_is_told_while_more_are_tried():
    found = of(book=Book(None, NOISY, {A: Failures(1, NOW)}))
    assert found == Progress(Stage.LEARNING, "the last build came to nothing: measure more starts")


def test_otherwise_recordings_are_counted():
    assert of() == Progress(Stage.LEARNING, "1 of 3 recordings are there")

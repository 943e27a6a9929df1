"""What a person hears of a build's steps, against a clock of the test's own."""

import pytest

from images import cli
from images.timing import EVERY, Report, State, Steps


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def heard():
    return []


def test_a_step_is_heard_of_when_it_begins_and_with_its_time_when_it_ended(clock, heard):
    steps = Steps(heard.append, clock)
    with steps.step("erofs"):
        clock.now += 12.5
    assert heard == [Report("erofs", State.BEGUN), Report("erofs", State.DONE, 12.5)]
    assert steps.seconds == {"erofs": 12.5}


def test_a_long_step_says_what_it_does_at_once_and_then_at_most_every_ten_seconds(clock, heard):
    with Steps(heard.append, clock).step("kubelet") as doing:
        for number in range(25):
            doing(f"package {number}")
            clock.now += 1
    working = [report for report in heard if report.state is State.WORKING]
    assert [(report.seconds, report.doing) for report in working] == [
        (0.0, "package 0"),
        (EVERY, "package 10"),
        (2 * EVERY, "package 20"),
    ]


def test_a_step_that_failed_is_heard_of_with_its_time_and_counts_as_none(clock, heard):
    steps = Steps(heard.append, clock)
    with pytest.raises(RuntimeError), steps.step("boot"):
        clock.now += 3
        raise RuntimeError
    assert (heard[-1], steps.seconds) == (Report("boot", State.FAILED, 3.0), {})


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (Report("kubelet", State.BEGUN), "  kubelet …"),
        (
            Report("kubelet", State.WORKING, 130.4, "k8s.io/api/core/v1"),
            "  kubelet, 130 s: k8s.io/api/core/v1",
        ),
        (Report("kubelet", State.WORKING, 1.0, "x" * 200), "  kubelet, 1 s: " + "x" * 80),
        (Report("kubelet", State.DONE, 340.06), "  kubelet: 340.1 s"),
        (Report("kubelet", State.FAILED, 2.0), "  kubelet failed after 2.0 s"),
    ],
)
def test_each_report_is_one_line_on_standard_error(report, line, capsys):
    cli._report(report)
    assert capsys.readouterr() == ("", f"{line}\n")

"""The applications that tests and benchmarks start do answer, in each layout, on each Java."""

from __future__ import annotations

import signal

import pytest

from jboost_agent.build import agent_jar
from jboost_server.core.outcome import Outcome
from testbed.apps import traffic
from testbed.apps.application import Layout
from testbed.apps.running import running
from testbed.apps.spring import EXTRACTED_AT
from testbed.demo.java.bed import serving
from testbed.demo.java.pod import PATIENT, Pod
from testbed.demo.java.story import has_mapped

pytestmark = [pytest.mark.jvm, pytest.mark.timeout(900)]


def named(java, name):
    return next(one for one in java.applications() if one.name == name)


@pytest.mark.parametrize("name", ["spring", "pages", "wiremock", "fuseki"])
@pytest.mark.parametrize("feature", [17, 25])
def test_an_application_gets_ready_and_answers_every_kind_of_request_as_expected(
    java, feature, name, tmp_path
):
    application = named(java, name)
    with running(application, java.jdk(feature).java, tmp_path) as one:
        served = traffic.send(application, one.port, count=6 * len(application.requests))
    assert served.unexpected == []
    assert len(served.latencies) == 6 * len(application.requests)


def test_what_says_that_it_is_ready_has_all_that_it_serves(java, tmp_path):
    """Once its articles came after its first answer, and a benchmark's first requests found none."""
    for attempt in range(3):
        with running(named(java, "spring"), java.jdk(25).java, tmp_path) as one:
            served = traffic.send(named(java, "spring"), one.port, count=40, seed=attempt, kinds=("page",))
        assert served.unexpected == []


@pytest.mark.parametrize(("name", "feature"), [("wiremock", 25), ("fuseki", 17)])
def test_a_server_nobody_here_wrote_starts_from_an_archive_of_ours_and_answers_well(
    java, feature, name, tmp_path
):
    application, jdk = named(java, name), java.jdk(feature)
    asked = 6 * len(application.requests)
    with serving(tmp_path) as service:
        pod = Pod(application, jdk, name, tmp_path / "pod", service, agent_jar())
        assert pod.fetch("--record", *PATIENT).outcome is Outcome.LEARNING
        with pod.application_container(signal.SIGTERM) as one:
            traffic.send(application, one.port, count=asked)
        pod.record()
        pod.build(samples=5)
        decided = pod.fetch(*PATIENT)
        assert decided.outcome is Outcome.HIT, decided.report.why
        with pod.application_container() as one:
            assert has_mapped(one, decided.report.archive)
            served = traffic.send(application, one.port, count=asked)
    assert (served.unexpected, len(served.latencies)) == ([], asked)


def test_the_fat_jar_answers_too(java, tmp_path):
    application = named(java, "spring")
    with running(application, java.jdk(17).java, tmp_path, layout=Layout.FAT) as one:
        assert one.ready.cpu > 0
        assert one.ready.resident > 0


def test_jars_have_a_time_that_does_not_tell_when_they_were_built(java):
    application = named(java, "spring")
    assert {jar.stat().st_mtime for jar in application.jars.values()} == {EXTRACTED_AT}


def test_one_seed_makes_one_order_of_requests(java):
    application = named(java, "spring")
    first, second = (list(traffic.choose(application, 7, None, 50)) for _ in range(2))
    assert first == second
    assert len({request.kind for request in first}) == len(application.requests)

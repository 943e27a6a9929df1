"""The demo's second half holds what it claims, on both of its JDKs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from testbed.demo.java.bed import JavaBed
from testbed.demo.java.learning import Learning
from testbed.demo.java.story import JavaStory
from testbed.demo.reporter import Reporter

pytestmark = [pytest.mark.jvm, pytest.mark.measures, pytest.mark.timeout(1800)]


def test_a_service_starts_warm_on_both_jdks_and_every_archive_that_does_not_fit_is_refused(java, tmp_path):
    java.applications()
    java.other_build()
    runtimes = [java.jdk(17), java.jdk(25)]
    reporter = Reporter(Console(file=io.StringIO()))
    with JavaBed(tmp_path) as bed, Learning(bed.ground, runtimes) as learning:
        summary = JavaStory(bed, reporter).tell(runtimes, learning)
    assert [finding for finding in summary.findings if not finding.holds] == []
    assert [start.outcome for start in summary.starts] == ["hit", "hit"]
    assert all(start.warm < start.plain for start in summary.starts)
    assert [start.outcome for start in summary.refusals] == ["build", "signature", "classpath"]
    assert len(summary.phases) == 8

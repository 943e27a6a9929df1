"""`fetch`: a start gets an archive that fits, or none, and always an options file that works."""

from __future__ import annotations

import pytest

from tests.jboost.agent_pod import Pod

pytestmark = pytest.mark.jvm
HELLO = "hello from one a,-b\n"


def test_an_archive_that_fits_is_fetched_tried_and_used(pod: Pod, offered: bytes) -> None:
    decision = pod.fetch()
    assert (decision.outcome, decision.code) == ("hit", 0), decision.said
    assert pod.start() == HELLO
    assert pod.shared() == {"app.Main", "lib.Greeting"}

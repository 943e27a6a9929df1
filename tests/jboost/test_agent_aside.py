"""Variables that were put aside for the agent: the application's, on which our own JVM does not act."""

from __future__ import annotations

import pytest

from tests.jboost.agent_pod import Pod

pytestmark = pytest.mark.jvm
LIMITS = "--limit-modules=java.base,jdk.crypto.ec,java.instrument"
"""The agent's own JVM obeys the variables, too, and needs these."""


def test_what_the_pod_sets_stands_first_in_the_options_file(pod: Pod) -> None:
    pod.environment |= {"JBOOST_JDK_JAVA_OPTIONS": "-Dof.the=pod", "JDK_JAVA_OPTIONS": ""}

    assert pod.fetch().options.splitlines()[0] == '"-Dof.the=pod"'


@pytest.mark.parametrize("variable", ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"])
def test_they_make_the_key_that_the_variables_themselves_make(pod: Pod, variable: str) -> None:
    plain = pod.key().digest
    pod.environment[variable] = LIMITS
    own = pod.key().digest
    pod.environment |= {variable: "", f"JBOOST_{variable}": LIMITS}

    assert pod.key().digest == own != plain


def test_a_java_agent_in_them_is_not_started_by_us(pod: Pod) -> None:
    """One that is not there would end a JVM that tried."""
    pod.environment |= {"JBOOST_JAVA_TOOL_OPTIONS": "-javaagent:/none.jar", "JAVA_TOOL_OPTIONS": ""}

    decision = pod.fetch()

    assert (decision.code, decision.outcome) == (0, "missing"), decision.said

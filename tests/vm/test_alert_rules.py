"""The alert rules that we ship, checked and tried by Prometheus' own promtool.

Here because it takes minutes to compile; tests/unit/test_alerts.py checks the names that rules use.
"""

import subprocess
import sys

import pytest

from testbed.setup.gotool import PROMTOOL
from testbed.setup.progress import Progress
from testbed.setup.repository import REPOSITORY
from warmroot import golang
from warmroot.cache import cache_dir

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
RULES = REPOSITORY / "deploy/alerts/warmroot.rules.yaml"
CASES = REPOSITORY / "tests/unit/alert_cases.yaml"
JBOOST_RULES = REPOSITORY / "deploy/alerts/jboost.rules.yaml"
JBOOST_CASES = REPOSITORY / "tests/unit/jboost_alert_cases.yaml"


@pytest.fixture(scope="module")
def promtool():
    """Runs it; the answer's code and all that it said."""
    wanted = golang.required((PROMTOOL.source / "go.mod").read_text())
    go = golang.find(wanted, cache_dir())
    if go is None:
        pytest.skip(f"promtool needs Go {wanted}")
    program = PROMTOOL.compile_it(go, cache_dir(), Progress(sys.stderr))

    def run(*words):
        done = subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize("rules", [RULES, JBOOST_RULES], ids=["operator", "jboost"])
def test_the_rules_are_valid(promtool, rules):
    code, said = promtool("check", "rules", "--lint=all", "--lint-fatal", str(rules))
    assert code == 0, said


@pytest.mark.parametrize("cases", [CASES, JBOOST_CASES], ids=["operator", "jboost"])
def test_each_alert_fires_when_it_should_and_only_then(promtool, cases):
    code, said = promtool("test", "rules", str(cases))
    assert code == 0, said


def test_a_rule_that_says_something_else_is_caught(promtool, tmp_path):
    broken = tmp_path / "deploy/alerts/warmroot.rules.yaml"
    broken.parent.mkdir(parents=True)
    broken.write_text(RULES.read_text().replace("> 900", "> 90000"))
    cases = tmp_path / "tests/unit/cases.yaml"
    cases.parent.mkdir(parents=True)
    cases.write_text(CASES.read_text())
    code, said = promtool("test", "rules", str(cases))
    assert code != 0
    assert "WarmrootProxyMissing" in said

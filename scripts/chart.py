"""Copies into the Helm chart what it shares with `crds/` and `deploy/`: kinds, rights and policies, alert
rules and dashboards. With --check nothing is written; the exit code says whether it has them as they are.

Rights and policies are the same lines, with the release's namespace in place of ours.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "deploy" / "chart"
_RIGHTS = {
    "base/operator-rbac.yaml": "operator.enabled",
    "base/proxy-rbac.yaml": "operator.enabled",
    "base/proxy-admission.yaml": "operator.enabled",
    "node-conditions/rbac.yaml": "operator.nodeConditions",
    "node-conditions/admission.yaml": "operator.nodeConditions",
    "dashboard/rbac.yaml": "dashboard.enabled",
    "jboost/rbac.yaml": "jboost.enabled",
    "jboost/webhook-rbac.yaml": "jboost.enabled",
    "jboost/controller-rbac.yaml": "jboost.enabled",
    "jboost/agent-policy.yaml": "jboost.enabled",
}
"""Files below `deploy/`, and the value that they are installed by."""
_COPIED = {"crds": "crds/*.yaml", "alerts": "deploy/alerts/*.yaml", "dashboards": "deploy/dashboards/*.json"}
_NAMESPACE = re.compile(r"(namespace: |system:serviceaccount:)warmroot-(?:system|jboost)\b")
_COMMENT = re.compile(r"^#.*$", re.MULTILINE)


def wanted() -> Iterator[tuple[Path, str]]:
    """Each file of the chart that is made here, with its content."""
    for name, value in _RIGHTS.items():
        whole = (ROOT / "deploy" / name).read_text()
        text = _NAMESPACE.sub(r"\1{{ .Release.Namespace }}", _COMMENT.sub("", whole))
        part, _, file = name.partition("/")
        head = f"{{{{- /* Made by scripts/chart.py of deploy/{name}. */}}}}\n{{{{- if .Values.{value} }}}}\n"
        yield CHART / "templates" / "rights" / f"{part}-{file}", f"{head}{text.strip()}\n{{{{- end }}}}\n"
    for folder, pattern in _COPIED.items():
        for path in sorted(ROOT.glob(pattern)):
            yield CHART / "files" / folder / path.name, path.read_text()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="chart", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a file differs")
    check = parser.parse_args().check
    made = dict(wanted())
    there = {path for part in ("templates/rights", "files") for path in (CHART / part).rglob("*.*")}
    stale = sorted(there - made.keys())
    stale += [path for path, content in made.items() if path not in there or path.read_text() != content]
    if check and stale:
        sys.exit(f"{', '.join(path.name for path in stale)}: run python -m scripts.chart")
    for path in there - made.keys():
        path.unlink()
    for path, content in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


if __name__ == "__main__":
    main()

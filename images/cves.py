"""Which known vulnerabilities the packages of a release have, by a feed of Debian's security tracker.

The feed is the tracker's own JSON (https://security-tracker.debian.org/tracker/data/json): by source package
and CVE what each Debian release has of it. It is read from a file: a build farm has its own copy and its day.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from debian_inspector.version import Version

from images.debian.system import Installed
from warmroot.errors import UserError

Feed = Mapping[str, Mapping[str, Mapping[str, Any]]]


def read(path: Path) -> Feed:
    """The feed in a file.

    Raises:
        UserError: it is not there, or no such feed.
    """
    try:
        feed: Feed = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}", hint="name a copy of the tracker's JSON") from error
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}", hint="name a copy of the tracker's JSON") from error
    if not isinstance(feed, dict) or not all(isinstance(known, dict) for known in feed.values()):
        raise UserError(f"{path} is no feed of the tracker", hint="name a copy of the tracker's JSON")
    return feed


def open_in(feed: Feed, suite: str, packages: Iterable[Installed]) -> dict[str, str]:
    """What is not fixed in these packages: state and source package by CVE.

    What the tracker has not decided counts as open. Packages that are not Debian's are not in its feed.
    """
    found: dict[str, str] = {}
    sources = {(one.source, one.source_version) for one in packages if one.kind == "deb"}
    for source, version in sorted(sources):
        for name, about in feed.get(source, {}).items():
            here = about.get("releases", {}).get(suite)
            if here is None or not name.startswith("CVE-"):
                continue
            if here.get("status") != "resolved":
                found[name] = f"{here.get('status', 'undetermined')} in {source}"
            elif _older(version, str(here.get("fixed_version", "0"))):
                found[name] = f"fixed in {source} {here['fixed_version']}"
    return found


def _older(version: str, fixed: str) -> bool:
    """`0` is the tracker's word for: this release never had it."""
    return fixed != "0" and bool(Version.from_string(version) < Version.from_string(fixed))

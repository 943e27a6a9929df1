"""Builds the documentation as a site that loads nothing from elsewhere: `python -m scripts.site`.

The pages stay where they are. Links of their copies lead to pages of the site, and to files that are copied
beside them. `scripts/docs` runs it in an environment of its own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE, SITE = ROOT / "build" / "site-source", ROOT / "build" / "site"
PAGES = {"README.md": "index.md", "README.zh.md": "zh.md", "CONTRIBUTING.md": "contributing.md"}
PAGES |= {"SECURITY.md": "security.md"}
"""Pages outside of docs/, by their name in the site."""
_LINK = re.compile(r"(\]\()([^()\s#]+)(#[^()\s]*)?\)")
_LOADED = re.compile(r'<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)="(https?:[^"]*)"')
_ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def assemble(root: Path, target: Path) -> None:
    """Writes the site's source: every page, and every other file that a page leads to."""
    shutil.rmtree(target, ignore_errors=True)
    places = {root / path: Path(name) for path, name in PAGES.items()}
    places |= {path: path.relative_to(root / "docs") for path in sorted((root / "docs").rglob("*.md"))}
    others: dict[Path, Path] = {}
    for path, place in places.items():
        text = _LINK.sub(partial(_led, page=path, root=root, places=places, others=others), path.read_text())
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        (target / place).write_text(text)
    for path, place in others.items():
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / place)


def _led(
    match: re.Match[str], page: Path, root: Path, places: Mapping[Path, Path], others: dict[Path, Path]
) -> str:
    """A link as it is in the site."""
    if _ELSEWHERE.match(match[2]):
        return match[0]
    wanted = (page.parent / match[2]).resolve()
    if wanted not in places and wanted.is_file():
        others[wanted] = Path("files", wanted.relative_to(root))
    place = places.get(wanted) or others.get(wanted)
    if place is None:
        raise SystemExit(f"{page}: {match[2]} is neither a page nor a file")
    up = "../" * (len(places[page].parts) - 1)
    return f"{match[1]}{up}{place.as_posix()}{match[3] or ''})"


def elsewhere(site: Path) -> list[str]:
    """What pages of a built site would load from other hosts."""
    return sorted({found for page in site.rglob("*.html") for found in _LOADED.findall(page.read_text())})


def main() -> int:
    """Entry point."""
    assemble(ROOT, SOURCE)
    build = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run(build, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(f"{done.stdout}{done.stderr}")
        return 1
    if found := elsewhere(SITE):
        sys.stderr.write(f"the site loads from elsewhere: {', '.join(found)}\n")
        return 1
    sys.stdout.write(f"{SITE.relative_to(ROOT)}/index.html: {len(list(SITE.rglob('*.html')))} pages\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

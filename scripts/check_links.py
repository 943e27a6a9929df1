"""Relative links of Markdown files lead to files and headings that exist: `python scripts/check_links.py`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)(?:\s+\"[^\"]*\")?\)")
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
_ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@dataclass(frozen=True)
class Broken:
    """A link that leads nowhere."""

    path: Path
    line: int
    target: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.target} does not exist"


def links(text: str) -> Iterator[tuple[int, str]]:
    """Line and target of each link outside of code."""
    prose = _blank(_CODE, _blank(_FENCE, text))
    for match in _LINK.finditer(prose):
        yield prose.count("\n", 0, match.start()) + 1, match[1]


def anchors(text: str) -> set[str]:
    """Names under which a page's headings can be linked to, as GitHub makes them."""
    seen: dict[str, int] = {}
    result = set()
    for match in _HEADING.finditer(_blank(_FENCE, text)):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1])
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        result.add(f"{slug}-{count}" if count else slug)
    return result


def broken(path: Path, root: Path) -> Iterator[Broken]:
    """Links of one page that lead nowhere. A target that begins with a slash counts from `root`."""
    for line, target in links(path.read_text()):
        if _ELSEWHERE.match(target):
            continue
        name, _, anchor = target.partition("#")
        base = root / name.lstrip("/") if name.startswith("/") else path.parent / name
        page = base if name else path
        known = page.exists() and (not anchor or page.suffix != ".md" or anchor in anchors(page.read_text()))
        if not known:
            yield Broken(path, line, target)


def _blank(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def main() -> int:
    """Entry point. Exit code 1 if a link leads nowhere."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    pages = [Path(name) for name in names.split("\0") if name and Path(name).exists()]
    found = [str(item) for page in pages for item in broken(page, Path())]
    print("\n".join(found) or f"every link of {len(pages)} pages leads somewhere")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

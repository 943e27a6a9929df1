"""The documentation as a site: every page is in it, and nothing of it comes from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from scripts import site

ROOT = Path(__file__).parents[2]


def pages(root: Path) -> None:
    (root / "docs" / "adr").mkdir(parents=True)
    for name in site.PAGES:
        (root / name).write_text(f"# {name}\n")


def test_links_lead_to_pages_of_the_site_and_to_files_beside_them(tmp_path):
    root = tmp_path / "root"
    pages(root)
    (root / "README.md").write_text("[a](docs/a.md#b) [z](README.zh.md) [w](https://example.org/x.md)")
    (root / "docs/a.md").write_text("[up](../SECURITY.md) [rules](../deploy/rules.yaml) [one](adr/1.md)")
    (root / "docs/adr/1.md").write_text("[a](../a.md) [here](#here)")
    (root / "deploy").mkdir()
    (root / "deploy/rules.yaml").write_text("groups: []")

    site.assemble(root, tmp_path / "made")

    made = tmp_path / "made"
    assert (made / "index.md").read_text() == "[a](a.md#b) [z](zh.md) [w](https://example.org/x.md)"
    assert (made / "a.md").read_text() == "[up](security.md) [rules](files/deploy/rules.yaml) [one](adr/1.md)"
    assert (made / "adr/1.md").read_text() == "[a](../a.md) [here](#here)"
    assert (made / "files/deploy/rules.yaml").read_text() == "groups: []"


def test_a_link_that_the_site_can_not_follow_stops_it(tmp_path):
    pages(tmp_path / "root")
    (tmp_path / "root/docs/a.md").write_text("[folder](../deploy)")
    with pytest.raises(SystemExit, match="neither a page nor a file"):
        site.assemble(tmp_path / "root", tmp_path / "made")


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ('<script src="https://cdn.example/a.js"></script>', ["https://cdn.example/a.js"]),
        ('<link rel="stylesheet" href="https://fonts.example/a.css">', ["https://fonts.example/a.css"]),
        ('<script src="assets/a.js"></script><a href="https://example.org">there</a>', []),
    ],
)
def test_what_a_page_loads_from_elsewhere_is_found(tmp_path, page, found):
    (tmp_path / "a.html").write_text(page)
    assert site.elsewhere(tmp_path) == found


def test_every_page_of_the_documentation_is_in_the_menu():
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    named = {
        page if isinstance(page, str) else next(iter(page.values()))
        for part in menu
        for pages in part.values()
        for page in pages
    }
    there = {path.name for path in (ROOT / "docs").glob("*.md")} | set(site.PAGES.values())
    assert named == there | {"adr/README.md"}

import json
import os
import shutil

import pytest
from typer.testing import CliRunner

from images import cli, cves, inventory
from images import recipe as recipes
from images.build import build
from images.debian.system import Installed, as_json
from images.diff import between
from tests.unit.test_images_recipe import tree
from warmroot.errors import UserError

pytestmark = [
    pytest.mark.erofs,
    pytest.mark.skipif(
        not all(map(shutil.which, ("mkfs.erofs", "mkfs.vfat", "mcopy"))),
        reason="mkfs.erofs, mkfs.vfat or mtools is not installed",
    ),
]


def release(folder, *files, **changes):
    return build(recipes.parse(tree(files=list(files), **changes)), folder).dir


def text(path, content, mode="0644"):
    return {"path": path, "content": content, "mode": mode}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diff")
    old = release(folder / "old", text("/etc/a", "1"), text("/etc/gone", "x"), text("/bin/tool", "t"))
    new = release(
        folder / "new",
        *(text("/etc/a", "2"), text("/etc/new", "y"), text("/bin/tool", "t", "0755")),
        version="1.0.1",
        releaseSeq=2,
        kernelArguments=["console=ttyS0", "quiet"],
    )
    for where, packages in ((old, {"bash": "1", "nano": "1"}), (new, {"bash": "2"})):
        listed = [Installed(name, version, "amd64", name, version) for name, version in packages.items()]
        listed.append(Installed("tuf", where.name, "all", "tuf", where.name, kind="pypi"))
        (where / "packages.json").write_text(as_json("trixie", listed))
    (old / "kernel.config").write_text("# a comment\nCONFIG_A=y\nCONFIG_B=m\n")
    (new / "kernel.config").write_text("CONFIG_A=y\nCONFIG_B=y\n")
    return old, new


def named(changes):
    return {change.name: (change.before, change.after) for change in changes}


def test_a_release_differs_from_itself_in_nothing(pair):
    assert not any(between(pair[0], pair[0]).as_dict().values())


def test_every_kind_of_change_is_named_with_before_and_after(pair):
    found = between(*pair)
    assert named(found.versions) == {"version": ("1.0.0", "1.0.1"), "release_seq": ("1", "2")}
    assert named(found.packages) == {"bash": ("1", "2"), "nano": ("1", None), "pypi:tuf": ("old", "new")}
    assert named(found.kernel_options) == {"CONFIG_B": ("m", "y")}
    assert named(found.kernel_arguments) == {
        "quiet": (None, "quiet"),
        "panic=10": ("panic=10", None),
        "oops=panic": ("oops=panic", None),
    }
    files = named(found.files)
    assert set(files) == {"/etc/a", "/etc/gone", "/etc/new", "/bin/tool", "/usr/lib/os-release"}
    assert files["/etc/gone"][1] is None
    assert files["/etc/new"][0] is None
    assert [text.split()[1] for text in files["/bin/tool"]] == ["0644", "0755"]


def cve(**releases):
    return {"releases": releases}


FEED = {
    "bash": {
        "CVE-1-CLOSED": cve(trixie={"status": "resolved", "fixed_version": "2"}),
        "CVE-2-STAYS": cve(trixie={"status": "open"}),
        "CVE-3-NEVER": cve(trixie={"status": "resolved", "fixed_version": "0"}),
        "CVE-4-ELSEWHERE": cve(bookworm={"status": "open"}),
        "CVE-5-OLDER": cve(trixie={"status": "resolved", "fixed_version": "1~rc1"}),
        "TEMP-6": cve(trixie={"status": "open"}),
    },
    "nano": {"CVE-7-GONE": cve(trixie={"status": "undetermined"})},
    "tuf": {"CVE-8-PYPI": cve(trixie={"status": "open"})},
}


def test_a_feed_says_which_vulnerabilities_a_release_closes_and_opens(pair):
    found = between(*pair, FEED)
    assert named(found.cves) == {
        "CVE-1-CLOSED": ("fixed in bash 2", None),
        "CVE-7-GONE": ("undetermined in nano", None),
    }
    assert set(named(between(*reversed(pair), FEED).cves).values()) == {
        (None, "fixed in bash 2"),
        (None, "undetermined in nano"),
    }


@pytest.mark.parametrize("text", ["no json", "[]", '{"bash": 1}'])
def test_what_is_no_feed_is_told(tmp_path, text):
    (tmp_path / "feed").write_text(text)
    with pytest.raises(UserError, match="feed"):
        cves.read(tmp_path / "feed")


def test_the_command_prints_it_for_people_and_for_programs(pair):
    words = [str(folder) for folder in pair]
    told = CliRunner().invoke(cli.app, ["diff", *words]).stdout
    assert "  ~ bash 1 -> 2\n  - nano 1\n" in told
    assert "sizes: the same" in told
    assert "cves: not asked for" in told
    assert "  + quiet\n" in told
    parsed = json.loads(CliRunner().invoke(cli.app, ["diff", *words, "-o", "json"]).stdout)
    assert parsed["packages"][0] == {"name": "bash", "before": "1", "after": "2"}


def test_what_is_no_release_is_told(pair, tmp_path):
    with pytest.raises(UserError, match=r"manifest\.json"):
        between(pair[0], tmp_path)
    shutil.copytree(pair[1], tmp_path / "damaged")
    (tmp_path / "damaged" / inventory.NAME).write_text("{}\n")
    with pytest.raises(UserError, match="no list of files"):
        between(pair[0], tmp_path / "damaged")


def test_the_inventory_knows_rights_links_and_owners(tmp_path):
    (tmp_path / "bin").mkdir(mode=0o755)
    (tmp_path / "bin/su").write_bytes(b"su")
    (tmp_path / "bin/su").chmod(0o4755)
    (tmp_path / "sbin").symlink_to("bin")
    uid = os.getuid()
    entries = {entry.path: entry for entry in inventory.take(tmp_path, owned_by_root=False)}
    assert (entries["/bin/su"].mode, entries["/bin/su"].size, entries["/bin/su"].uid) == ("4755", 2, uid)
    assert (entries["/sbin"].kind, entries["/sbin"].content) == ("link", "bin")
    assert list(entries) == sorted(entries)
    assert inventory.take(tmp_path, owned_by_root=True)[0].uid == 0


def test_the_list_in_a_release_is_what_its_root_holds(pair):
    paths = {entry.path for entry in inventory.read(pair[0] / inventory.NAME)}
    assert {"/etc/a", "/usr/lib/os-release", "/usr"} <= paths

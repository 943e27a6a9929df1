import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from images import cli, command
from images import recipe as recipes
from images import tree as tree_of_files
from images.build import build
from images.timing import Steps
from images.tree import content
from tests.unit.test_images_recipe import tree
from warmroot.errors import NotInstalled, StepFailed, UserError
from warmroot.release.manifest import decode, digest
from warmroot.release.repository import check_boot, check_root

pytestmark = [
    pytest.mark.erofs,
    pytest.mark.skipif(
        not all(map(shutil.which, ("mkfs.erofs", "mkfs.vfat", "mcopy"))),
        reason="mkfs.erofs, mkfs.vfat or mtools is not installed",
    ),
]
FILES = (
    {"path": "/etc/motd", "content": "hello\n"},
    {"path": "/usr/bin/tool", "mode": "0755", "generate": {"bytes": 70_000, "seed": "tool"}},
)


def recipe(**changes):
    return recipes.parse(tree(**({"files": list(FILES)} | changes)))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("image")
    (folder / "root.json").write_text("{}")
    return build(recipe(trustedRoot=str(folder / "root.json"), kernelArguments=["quiet"]), folder / "out")


def test_a_release_is_three_files_that_agree_and_the_list_of_what_is_in_them(built):
    names = sorted(path.name for path in built.dir.iterdir())
    assert names == ["boot.img", "contents.jsonl", "manifest.json", "root.img"]
    data = (built.dir / "manifest.json").read_bytes()
    assert (decode(data), digest(data)) == (built.manifest, built.digest)
    check_root(built.dir / "root.img", built.manifest)
    check_boot(built.dir / "boot.img", built.manifest)


def test_the_same_recipe_gives_the_same_digest(tmp_path):
    first, second = (build(recipe(), tmp_path / name) for name in ("one", "two"))
    assert first.digest == second.digest


def test_the_digest_does_not_depend_on_what_rights_the_builder_gives_new_files(tmp_path):
    digests = []
    for mask in (0o022, 0o077):
        before = os.umask(mask)
        try:
            digests.append(build(recipe(), tmp_path / f"{mask}").digest)
        finally:
            assert os.umask(before) == mask, "the builder's own caller keeps its mask"
    assert digests[0] == digests[1]


def test_another_version_keeps_the_blocks_of_unchanged_files(tmp_path):
    """A fixed salt and uncompressed bulk: what did not change is found again by content."""
    one = build(recipe(), tmp_path / "one")
    two = build(recipe(version="1.0.1", releaseSeq=2), tmp_path / "two")
    blocks = [
        {(r.dir / "root.img").read_bytes()[at : at + 4096] for at in range(0, 20 * 4096, 4096)}
        for r in (one, two)
    ]
    assert len(blocks[0] & blocks[1]) >= 70_000 // 4096
    assert one.manifest.root.root_hash != two.manifest.root.root_hash


def extracted(built, folder):
    subprocess.run(
        ["fsck.erofs", f"--extract={folder}", "--no-preserve", built.dir / "root.img"],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.mark.skipif(shutil.which("fsck.erofs") is None, reason="fsck.erofs is not installed")
def test_the_root_holds_the_files_the_os_release_and_the_trust_anchor(built, tmp_path):
    root = extracted(built, tmp_path / "root")
    assert (root / "etc/motd").read_text() == "hello\n"
    assert (root / "usr/bin/tool").stat().st_size == 70_000
    assert (root / "usr/share/warmroot/root.json").read_text() == "{}"
    assert "IMAGE_ID=warmroot\nIMAGE_VERSION=1.0.0\n" in (root / "usr/lib/os-release").read_text()


def boot_file(built, name):
    read = ["mtype", "-i", built.dir / "boot.img", f"::/{name}"]
    return subprocess.run(read, check=True, capture_output=True, text=True).stdout


def test_the_slot_configuration_names_root_hash_offset_and_arguments(built):
    root = built.manifest.root
    words = f"wr.hash={root.root_hash.hex()} wr.off={root.data_size} wr.salt={root.salt.hex()} quiet"
    assert boot_file(built, "slot.cfg") == f'set slotargs="{words}"\n'


def test_a_stub_kernel_says_what_it_does(tmp_path):
    stub = {"version": "stub", "stub": {"behaviour": "panic", "bootSeconds": 1.5}}
    built = build(recipe(kernel=stub), tmp_path / "out")
    assert boot_file(built, "vmlinuz") == "WARMROOT-STUB-KERNEL\nbehaviour=panic\nboot_seconds=1.5\n"


def test_a_real_kernel_is_copied_as_it_is(tmp_path):
    for name in ("vmlinuz", "initrd"):
        (tmp_path / name).write_text(f"a {name}")
    files = {"version": "6.12", "file": str(tmp_path / "vmlinuz"), "initrd": str(tmp_path / "initrd")}
    built = build(recipe(kernel=files), tmp_path / "out")
    assert [boot_file(built, name) for name in ("vmlinuz", "initrd")] == ["a vmlinuz", "a initrd"]


BIG = {"path": "/big", "generate": {"bytes": 1 << 20, "seed": "x"}}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"partitions": {"boot": 1 << 20, "root": 1 << 20}, "files": [BIG]},
            r"root\.img .* partitions\.root",
        ),
        ({"files": [BIG, {"path": "/big/b", "content": ""}]}, "both a file and a folder"),
        ({"files": [{"path": "/a", "from": "/nowhere"}]}, r"files /a: /nowhere can't be read"),
        ({"trustedRoot": "/nowhere"}, r"trustedRoot: /nowhere"),
        ({"kubernetes": {"min": "1.40", "max": "1.39"}}, r"kubernetes\.min"),
    ],
)
def test_what_can_t_be_built_is_the_users_error_and_leaves_nothing(tmp_path, changes, says):
    with pytest.raises(UserError, match=says):
        build(recipe(**changes), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_release_is_never_overwritten(built):
    before = built.digest
    with pytest.raises(UserError, match="exists already"):
        build(recipe(version="9"), built.dir)
    assert digest((built.dir / "manifest.json").read_bytes()) == before


@pytest.mark.parametrize("out", ["/proc/release", "/dev/null/release"], ids=["refused", "below a file"])
def test_an_output_that_cannot_be_written_is_refused_before_the_first_step(out):
    begun = []
    with pytest.raises(UserError, match=re.escape(out)) as raised:
        build(recipe(), Path(out), Steps(begun.append))
    assert (begun, "check the path" in raised.value.hint) == ([], True)


def test_a_system_is_refused_before_the_first_step_where_space_is_short(tmp_path, monkeypatch):
    """Also where the folder that holds it is yet to be made."""
    monkeypatch.setattr(tree_of_files, "check", lambda recipe: None)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: os.statvfs(path) and shutil._ntuple_diskusage(2, 1, 1)
    )
    begun = []
    with pytest.raises(UserError, match="0 MiB free, and a build takes up to 1200"):
        build(recipes.find("debian-worker"), tmp_path / "new" / "out", Steps(begun.append))
    assert (begun, list(tmp_path.iterdir())) == ([], [])


def test_a_disk_that_fills_up_under_the_build_leaves_nothing(tmp_path):
    """On a file system of its own, which is gone with the process."""
    place, small = tmp_path / "place", tmp_path / "small.yaml"
    place.mkdir()
    small.write_text(yaml.safe_dump(tree(files=[BIG | {"generate": {"bytes": 3 << 20, "seed": "x"}}])))
    build_it = shlex.join([sys.executable, "-c", "from warmroot.cli import main; main()", "image", "build"])
    script = (
        f"mount -t tmpfs -o size=2m tmpfs {place} || exit 77\n"
        f"{build_it} {small} --out {place}/out; echo status $?; ls -A {place}"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    if done.returncode in (1, 77) and "status" not in done.stdout:
        pytest.skip("this process may not mount")
    assert done.stdout == "status 1\n", done
    assert "No space left" in done.stderr
    assert "  next: " in done.stderr


def test_a_failed_step_names_its_command_its_last_lines_and_what_to_try():
    with pytest.raises(
        StepFailed, match=r"(?s)drawing: `mcopy -i /no/where 'a b' ::/` ended with status 1:.*no/where"
    ) as raised:
        command.run(
            "drawing", ["mcopy", "-i", "/no/where", "a b", "::/"], package="mtools", hint="sharpen it"
        )
    assert raised.value.hint == "sharpen it"


def test_a_missing_program_names_its_package():
    with pytest.raises(NotInstalled, match="no-such-program") as raised:
        command.run("drawing", ["no-such-program"], package="pencils")
    assert "pencils" in raised.value.hint


def test_a_build_that_was_killed_does_not_stop_the_next(tmp_path):
    (tmp_path / "out.partial" / "tree").mkdir(parents=True)
    assert build(recipe(), tmp_path / "out").dir.exists()
    assert not (tmp_path / "out.partial").exists()


def test_the_command_builds_and_inspects(tmp_path):
    run = CliRunner().invoke
    out, small = tmp_path / "out", tmp_path / "small.yaml"
    small.write_text(yaml.safe_dump(tree(files=list(FILES))))
    made = run(cli.app, ["build", str(small), "--out", str(out), "-o", "json"], catch_exceptions=False)
    for step in ("tree", "erofs", "verity", "boot", "lists"):
        assert re.search(rf"^  {step} …\n  {step}: \d+\.\d s$", made.stderr, re.MULTILINE), made.stderr
    seen = run(cli.app, ["inspect", str(out), "--output", "json"], catch_exceptions=False)
    assert json.loads(made.stdout)["digest"] == json.loads(seen.stdout)["digest"]
    with (out / "root.img").open("r+b") as image:
        image.write(b"rot")
    with pytest.raises(UserError, match="not whole"):
        run(cli.app, ["inspect", str(out)], catch_exceptions=False)


def test_the_schema_command_prints_json():
    assert json.loads(CliRunner().invoke(cli.app, ["schema"]).output)["title"] == "Recipe"


def test_generated_bytes_follow_the_seed():
    file = {"path": "/x", "generate": {"bytes": 5, "seed": "a"}}
    one, same = (content(recipes.File.model_validate(file)) for _ in range(2))
    other = content(recipes.File.model_validate(file | {"generate": {"bytes": 5, "seed": "b"}}))
    assert one == same != other

from pathlib import Path

import pytest
import yaml

from images import recipe as recipes
from warmroot.errors import UserError

SHIPPED = Path(recipes.__file__).parent / "recipes" / "testbed.yaml"


def tree(**changes):
    return yaml.safe_load(SHIPPED.read_text()) | changes


def test_the_shipped_recipe_holds():
    assert recipes.load(SHIPPED).product == "warmroot"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"verison": "1"}, "verison: there is no such field; did you mean version?"),
        (
            {"kernel": {"version": "1", "stub": {"behavior": "ok"}}},
            r"kernel\.stub\.behavior: .* mean behaviour\?",
        ),
        ({"files": [{"path": "/a", "contents": "x"}]}, r"files\.0\.contents: .* mean content\?"),
        ({"kernel": {"version": "1"}}, "kernel: give exactly one of package, file, stub"),
        ({"kernel": {"version": "1", "file": "k"}}, "kernel: file and initrd belong together"),
        ({"files": [{"path": "/a"}]}, r"files\.0: give exactly one of"),
        ({"files": [{"path": "/../a", "content": ""}]}, r"files\.0\.path: must be an absolute path"),
        ({"files": [{"path": "a", "content": ""}]}, r"files\.0\.path: must be an absolute path"),
        ({"files": [{"path": "/usr/lib/os-release", "content": ""}]}, "written by the builder itself"),
        ({"files": [{"path": "/a", "content": ""}] * 2}, "files has /a twice"),
        ({"files": [{"path": "/a", "content": "", "mode": "4755"}]}, r"files\.0\.mode"),
        ({"version": "../1"}, "version: it"),
        ({"salt": "xyz"}, "salt"),
        ({"kernelArguments": ['a"; reboot']}, r"kernelArguments\.0"),
        ({"releaseSeq": 0}, "releaseSeq"),
        ({"users": [{"name": "ann", "uid": 1}]}, "users needs debian"),
        ({"firstBoot": [{"name": "a", "content": "#!/bin/sh"}]}, "firstBoot needs debian"),
        ({"firstBoot": [{"nmae": "a"}]}, r"firstBoot\.0\.nmae: .* mean name\?"),
        ({"remove": ["/usr/share/doc"]}, "remove needs debian"),
        ({"units": {"mask": ["a.service"]}}, "units needs debian"),
        ({"kernel": {"package": "linux-image-amd64"}}, "kernel.package needs debian"),
        ({"kernel": {"version": "1", "package": "linux-image-amd64"}}, "none with package"),
        ({"debian": {"suite": "trixie"}}, "with debian, kernel.package must name the kernel"),
        ({"kernel": {"version": "1", "stub": {}, "initrdModules": ["nvme"]}}, "initrdModules needs package"),
        ({"kubeletProgram": {}}, "kubeletProgram: give exactly one of modules, file"),
        (
            {"kubeletProgram": {"modules": True, "file": "k"}},
            "kubeletProgram: give exactly one of modules, file",
        ),
        ({"kubeletProgram": {"modul": True}}, r"kubeletProgram\.modul: .* mean modules\?"),
        ({"kubeletProgram": {"modules": True}}, "kubeletProgram needs debian"),
        ({"release_seq": 2}, "release_seq: there is no such field; did you mean releaseSeq?"),
    ],
)
def test_a_wrong_field_is_named_with_what_to_do(changes, says):
    with pytest.raises(UserError, match=says) as raised:
        recipes.parse(tree(**changes))
    assert "schema" in raised.value.hint


def worker(**changes):
    return yaml.safe_load(SHIPPED.with_name("debian-worker.yaml").read_text()) | changes


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"users": [{"name": "ann", "uid": 1000}, {"name": "ann", "uid": 1001}]}, "users has ann twice"),
        (
            {"users": [{"name": "ann", "uid": 1000}, {"name": "bob", "uid": 1000}]},
            "the numbers of users has 1000",
        ),
        ({"users": [{"name": "ann:0", "uid": 1000}]}, r"users\.0\.name"),
        ({"users": [{"name": "ann", "uid": 0}]}, r"users\.0\.uid"),
        ({"users": [{"name": "ann", "uid": 1000, "keys": ["ssh-rsa AAAA\nroot"]}]}, r"users\.0\.keys\.0"),
        ({"firstBoot": [{"name": "a"}]}, r"firstBoot\.0: give exactly one of content, from"),
        ({"firstBoot": [{"name": "a", "content": "echo"}]}, r"firstBoot\.0\.content"),
        ({"firstBoot": [{"name": "a/b", "content": "#!/bin/sh"}]}, r"firstBoot\.0\.name"),
        ({"firstBoot": [{"name": "a", "content": "#!/bin/sh"}] * 2}, "firstBoot has a twice"),
        ({"units": {"enable": ["a.service"], "mask": ["a.service"]}}, "a.service can't be both"),
        ({"units": {"mask": ["a"]}}, r"units\.mask\.0"),
        ({"units": {"disable": ["a.service"]}}, r"units\.disable: there is no such field"),
        ({"debian": {"suite": "trixie", "packages": ["bash --yes"]}}, r"debian\.packages\.0"),
        ({"debian": {"suite": "trixie", "mirrors": ["http://a"]}}, r"debian\.mirrors\.0"),
        ({"remove": ["/usr/../etc"]}, r"remove\.0"),
    ],
)
def test_a_wrong_field_of_a_whole_system_is_named(changes, says):
    with pytest.raises(UserError, match=says):
        recipes.parse(worker(**changes))


@pytest.mark.parametrize("name", recipes.shipped())
def test_every_shipped_recipe_holds_and_says_what_it_is_for(name):
    assert recipes.find(name).product
    assert len(recipes.shipped()[name]) > 20


def test_a_recipe_that_is_nowhere_is_told_with_those_that_are():
    with pytest.raises(UserError, match="nor a shipped recipe") as raised:
        recipes.find("debian-wroker")
    assert "debian-worker" in raised.value.hint


@pytest.mark.parametrize("text", ["", "[]", "a: [", "product: \xff"])
def test_what_is_no_recipe_at_all_is_the_users_error(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError):
        recipes.load(path)
    with pytest.raises(UserError, match="can't be read"):
        recipes.load(tmp_path / "none")


def test_relative_paths_begin_at_the_recipes_folder(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(tree(trustedRoot="root.json", files=[{"path": "/a", "from": "b"}])))
    recipe = recipes.load(path)
    assert (recipe.trusted_root, recipe.files[0].from_) == (tmp_path / "root.json", tmp_path / "b")


def test_the_schema_names_every_field_as_it_is_written():
    schema = recipes.schema()
    assert {"releaseSeq", "kernelArguments", "trustedRoot"} <= set(schema["properties"])
    assert "from" in schema["$defs"]["File"]["properties"]
    assert schema["additionalProperties"] is False

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
        ({"kernel": {"version": "1"}}, "kernel: give either file or stub"),
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
        ({"release_seq": 2}, "release_seq: there is no such field; did you mean releaseSeq?"),
    ],
)
def test_a_wrong_field_is_named_with_what_to_do(changes, says):
    with pytest.raises(UserError, match=says) as raised:
        recipes.parse(tree(**changes))
    assert "schema" in raised.value.hint


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

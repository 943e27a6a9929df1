"""The checks of lint and docs find what they are for, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import check_links, check_raises, check_sizes

PAGE = """\
# A page, with code
## Same
## Same
[here](#same-1) [file](other.md#far) `[not](a-link.md)` [web](https://example.com/x)
```
[not](a-link-either.md)
```
"""


def _function(lines):
    return "def f():\n" + "    x = 1\n" * (lines - 1)


@pytest.mark.parametrize(("lines", "found"), [(80, 0), (81, 1)])
def test_a_function_may_have_eighty_lines(lines, found):
    assert len(check_sizes.judge({Path("m.py"): _function(lines)})) == found


def test_a_method_and_a_function_in_a_function_are_functions():
    text = "class A:\n    async def m(self):\n        def inner():\n            pass\n"
    names = [(function.name, function.lines) for function in check_sizes.functions(Path("m.py"), text)]
    assert sorted(names) == [("inner", 2), ("m", 3)]


@pytest.mark.parametrize(("lines", "found"), [(500, []), (501, ["m.py:1: 501 lines"])])
def test_a_module_may_have_five_hundred_lines(lines, found):
    judged = check_sizes.judge({Path("m.py"): "x = 1\n" * lines})
    assert [text[: len("m.py:1: 501 lines")] for text in judged] == found


def test_most_functions_must_be_short():
    modules = {Path(f"{number}.py"): _function(45) for number in range(10)}
    assert "one function in ten" in check_sizes.judge(modules)[0]


def test_links_in_code_are_no_links():
    assert [target for _, target in check_links.links(PAGE)] == [
        "#same-1",
        "other.md#far",
        "https://example.com/x",
    ]


def test_headings_are_named_as_github_names_them():
    assert check_links.anchors(PAGE) == {"a-page-with-code", "same", "same-1"}


@pytest.mark.parametrize(
    ("other", "found"), [("# Far\n", []), ("# Near\n", ["other.md#far"]), (None, ["other.md#far"])]
)
def test_a_link_must_lead_to_a_file_and_a_heading_that_exist(tmp_path, other, found):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    if other is not None:
        (tmp_path / "other.md").write_text(other)
    broken = list(check_links.broken(page, tmp_path))
    assert [(item.line, item.target) for item in broken] == [(4, target) for target in found]


ERRORS = "class Source(Exception):\n    pass\nclass Torn(Source):\n    pass\n"
PORT = "class P:\n    def g(self):\n        'Says.'\n"


def _try(inside: str, handler: str) -> str:
    return f"try:\n        {inside}\n    except {handler}"


def _documented(docstring: str, body: str, name: str = "f") -> str:
    return f"def {name}():\n    {docstring!r}\n    {body}\n"


@pytest.mark.parametrize(
    ("docstring", "body", "found"),
    [
        ("Does.", "raise Torn()", "f does not say that it raises Torn"),
        ("Torn is a word. Raises: Other", "raise Torn", "f does not say that it raises Torn"),
        ("Raises: Torn", "raise Torn", None),
        ("Raises: Source, an ancestor", "raise Torn", None),
        ("Does.", "raise _made()", "f does not say that it raises _made"),
        ("Raises: Torn, made elsewhere", "raise _made()", None),
        ("Catches.", _try("if 1: raise Torn", "Torn: pass"), None),
        ("Catches another.", _try("raise Torn", "Source: raise Torn"), "f does not say that it raises Torn"),
        ("Passes on.", _try("pass", "Torn as e: raise e"), None),
        ("See `P.g`.", "raise Torn", None),
        ("See `P.h`.", "raise Torn", "there is no P.h to see"),
        ("See `m.f`.", "raise Torn", None),
        ("See `m.g`.", "raise Torn", "there is no m.g to see"),
    ],
)
def test_a_public_function_names_the_errors_that_it_raises(docstring, body, found):
    judged = check_raises.judge({Path("m.py"): ERRORS + PORT + _documented(docstring, body)})
    assert [line.rpartition(": ")[2] for line in judged] == ([found] if found else [])


def test_private_functions_and_the_help_of_commands_name_no_errors():
    silent = {Path("cli.py"): _documented("Helps.", "raise ValueError")}
    silent[Path("m.py")] = _documented("Does.", "raise ValueError", name="_f")
    assert check_raises.judge(silent) == []

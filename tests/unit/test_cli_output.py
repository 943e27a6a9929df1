"""All commands print their results in the same ways: for a person, as JSON, as YAML."""

from __future__ import annotations

import json

import pytest
import typer
import yaml

from jboost_server.cli import app as jboost
from jboost_server.plugin.cli import app as java_plugin
from os_operator.plugin.cli import app as plugin
from testbed.cli import build as of_the_bed
from warmroot.cli import Output, build, document, print_result

TOLD = {"name": "no", "at": "2026-11-30", "rows": [{"a": 1, "b": None}], "words": "zwölf: {x} # no comment\n"}


@pytest.mark.parametrize(("output", "load"), [(Output.JSON, json.loads), (Output.YAML, yaml.safe_load)])
def test_a_document_says_what_was_told_to_whoever_reads_it(capsys, output, load):
    print_result(TOLD, output, lambda: "for a person")
    printed = capsys.readouterr().out
    assert load(printed) == TOLD
    assert printed.endswith("\n")


def test_a_person_reads_the_text_and_nothing_where_there_is_none(capsys):
    print_result(TOLD, Output.TEXT, lambda: "for a person")
    print_result(TOLD, Output.TEXT, str)
    assert capsys.readouterr().out == "for a person\n"


def test_words_of_the_api_are_words_in_yaml_too():
    assert document({"phase": Output.TEXT}, Output.YAML) == "phase: text"


def commands(app: typer.Typer):
    found = [typer.main.get_command(app)]
    while found:
        one = found.pop()
        found.extend(getattr(one, "commands", {}).values())
        yield one


@pytest.mark.parametrize(
    "app", [build(), plugin, java_plugin, jboost, of_the_bed()], ids=lambda app: app.info.name
)
def test_whoever_can_print_json_can_print_yaml_by_the_same_option(app):
    options = [param for one in commands(app) for param in one.params if "--output" in param.opts]
    assert options
    for one in options:
        assert "-o" in one.opts, one
        assert {"json", "yaml"} <= {word.value for word in one.type_descriptor.annotation}, one

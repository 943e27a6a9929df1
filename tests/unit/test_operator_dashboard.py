"""Who gets to see the page's data, and that the page is all that it needs."""

from __future__ import annotations

import asyncio
import re
from dataclasses import fields
from importlib.resources import files

import pytest
from aiohttp.test_utils import TestClient, TestServer
from typer.testing import CliRunner

from os_operator.core.overview import CacheSeen, Overview, Past, RolloutSeen, Seen, overview
from os_operator.plugin.cli import app
from os_operator.plugin.dashboard import Doors, create_app
from tests.unit.operator_worlds import NOW, idle, node, os, world
from warmroot.api.javacache import CacheState
from warmroot.api.reasons import NodePhase, OSPhase
from warmroot.errors import ClusterError, UserError

PAGE = {one.name: one.read_text() for one in (files("os_operator.plugin") / "page").iterdir()}
TOKEN = "0123456789abcdef"


class Standing:
    """What there is does not change; where `error` is set it can't be read."""

    unread = ""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def latest(self):
        if self.error:
            raise self.error
        return 7, overview(world(os(), [(node(), idle())]), (), NOW)

    def after(self, number, seconds):
        del number, seconds


def asked(doors: Doors, path: str = "/overview.json", watching=None, **headers: str):
    """Status, headers and text of one GET."""

    async def one():
        async with TestClient(TestServer(create_app(watching or Standing(), doors))) as client:
            answer = await client.get(path, headers=headers)
            return answer.status, answer.headers, await answer.text()

    return asyncio.run(one())


HERE = Doors("127.0.0.1", 0)


def test_on_this_machine_the_page_and_its_data_are_there_for_its_person():
    for path in ("/", "/page.js", "/page.css", "/overview.json", "/healthz"):
        status, headers, text = asked(HERE, path)
        assert status == 200, path
        assert text
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "10.0.0.1:8088", "[2001:db8::1]:80"])
def test_a_web_site_can_not_have_a_browser_ask_for_it_under_another_name(host):
    status, _, text = asked(HERE, Host=host)
    assert status == 421
    assert "workers" not in text


@pytest.mark.parametrize("host", ["localhost:8088", "127.0.0.1", "[::1]:8088", "LOCALHOST"])
def test_names_of_this_machine_are_known(host):
    assert asked(HERE, Host=host)[0] == 200


def test_where_others_can_reach_it_a_token_is_wanted_and_asked_for():
    with pytest.raises(UserError, match="no token"):
        Doors("0.0.0.0", 8088)
    doors = Doors("0.0.0.0", 8088, TOKEN, frozenset({"rollouts.bank.example"}))
    known = {"Host": "rollouts.bank.example"}
    assert asked(doors, **known)[0] == 401
    assert asked(doors, **known, Authorization="Bearer wrong")[0] == 401
    assert asked(doors, **known, Authorization=f"Bearer {TOKEN}")[0] == 200
    assert not doors.lets_in("Bearer \udcff")  # bytes that are no text, as aiohttp gives them
    assert asked(doors, "/", **known)[0] == 200
    assert asked(doors, Host="other.example", Authorization=f"Bearer {TOKEN}")[0] == 421


@pytest.mark.parametrize("listen", ["nowhere", ":80", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1"])
def test_an_address_that_is_none_is_refused_before_the_cluster_is_asked(listen):
    said = CliRunner().invoke(app, ["dashboard", "--listen", listen, "--kubeconfig", "/nowhere"])
    assert isinstance(said.exception, UserError)
    assert "is no HOST:PORT" in said.exception.message


def test_what_can_not_be_read_is_said_and_no_page_ends():
    status, _, text = asked(HERE, watching=Standing(ClusterError("pods is forbidden", status=403)))
    assert status == 503
    assert "pods is forbidden" in text
    assert asked(HERE, "/overview.json?after=x")[0] == 400


def test_the_page_loads_nothing_from_elsewhere_and_makes_no_html_of_texts():
    for name, text in PAGE.items():
        assert not re.search(r"https?://", text), name
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", PAGE["page.js"])
    assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=", PAGE["page.html"])


def test_the_page_asks_for_fields_that_there_are():
    known = {one.name for kind in (Overview, RolloutSeen, Seen, Past, CacheSeen) for one in fields(kind)}
    known |= {"name", "nodes", "approval", "soak", "selector", "ended"}  # of a wave
    wire = {re.sub(r"_(\w)", lambda m: m[1].upper(), one.rstrip("_")) for one in known}
    used = set(re.findall(r"\b(?:rollout|one|group|wave|cache|seen)\.(\w+)", PAGE["page.js"]))
    of_the_page = {"id", "remove", "dateTime", "textContent", "unread", "filter"}
    assert used - of_the_page <= wire, used - of_the_page - wire


@pytest.mark.parametrize(
    ("table", "words"),
    [("PHASES", NodePhase), ("OBJECT", OSPhase), ("CACHE", set(CacheState) - {CacheState.OFF})],
)
def test_each_word_of_the_api_has_its_colour(table, words):
    named = re.search(rf"const {table} = \{{(.*?)\}}", PAGE["page.js"], re.DOTALL)[1]
    assert {one.value for one in words} <= set(re.findall(r"(\w+):", named))

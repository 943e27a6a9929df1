"""One name leads from an OS object through the operator's log to the sector that a proxy wrote."""

from __future__ import annotations

import io
import json
import logging

import pytest

from os_operator.core.actions import (
    Cordon,
    EnsureInstance,
    Evict,
    Orders,
    SetFinalizer,
    SetOrders,
    Uncordon,
    WriteStatus,
)
from os_operator.core.world import CordonNote
from os_operator.main import JsonLines, TextLines
from os_operator.shell.act import Outcome
from os_operator.shell.loop import _log
from os_proxy.core.orders import Goal as ProxyGoal
from os_proxy.following import FOLLOWING
from os_proxy.main import Lines
from tests.proxy_world import make_image, new_world
from tests.unit.operator_worlds import NEW, cordoned, idle, os, pod, world
from warmroot.api.os import OSStatus
from warmroot.api.osinstance import Goal
from warmroot.rollout_id import rollout_id

ID = rollout_id("workers", NEW)
ORDERS = Orders("workers", Goal.STAGE, NEW, "2")
NOTE = CordonNote("workers", NEW, 0.0, True)


def test_it_is_short_and_says_which_object_and_which_release():
    assert rollout_id("workers", "sha256:3f2a9c01b7de" + "0" * 52) == "workers/3f2a9c01b7de"
    assert (
        rollout_id("workers", "sha256:3f2a9c01b7de" + "0" * 52 + "+0123456789abcdef")
        == "workers/3f2a9c01b7de"
    )
    assert rollout_id("", NEW) == rollout_id("workers", None) == ""


@pytest.fixture
def logged():
    """Lines of a logger's children, as the formatter of a program makes them."""
    opened = []

    def lines(name: str, formatter: logging.Formatter, *filters: logging.Filter):
        text = io.StringIO()
        handler, logger = logging.StreamHandler(text), logging.getLogger(name)
        handler.setFormatter(formatter)
        for one in filters:
            handler.addFilter(one)
        before = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        opened.append((logger, handler, before))
        return text

    yield lines
    for logger, handler, before in opened:
        logger.removeHandler(handler)
        logger.setLevel(before)
    FOLLOWING.rollout = ""


@pytest.mark.parametrize(
    "action",
    [
        Cordon("node-1", "1", NOTE),
        Evict("node-1", pod("orders")),
        Uncordon("node-1", "1", lift=True),
        SetOrders("node-1", "1", ORDERS),
        EnsureInstance("node-1", "uid", ORDERS),
        WriteStatus("workers", "1", OSStatus(target_digest=NEW)),
    ],
    ids=lambda action: type(action).__name__,
)
def test_what_the_operator_does_for_a_rollout_is_logged_by_its_name(logged, action):
    seen = world(os(), [(cordoned(), idle())])
    as_json, as_text = logged("os_operator", JsonLines()), logged("os_operator", TextLines())
    _log(Outcome(action), seen)
    line = json.loads(as_json.getvalue())
    assert (line["rollout"], line["action"]) == (ID, type(action).__name__)
    assert as_text.getvalue().rstrip().endswith(f"rollout={ID}")


def test_what_belongs_to_no_rollout_names_none(logged):
    text = logged("os_operator", JsonLines())
    _log(Outcome(SetFinalizer("workers", "1", present=True)), world(os(), []))
    assert "rollout" not in json.loads(text.getvalue())


def test_a_proxy_logs_each_step_and_each_write_of_the_boot_record_by_the_same_name(logged):
    text = logged("os_proxy", Lines(as_json=True), FOLLOWING)
    one, two = make_image(1), make_image(2)
    node = new_world(one, two)
    for goal in (ProxyGoal.STAGE, ProxyGoal.ACTIVATE, ProxyGoal.CONFIRM):
        node.order(goal, two)
        node.settle()
    lines = [json.loads(line) for line in text.getvalue().splitlines()]
    mine = [line for line in lines if line.get("rollout") == rollout_id("workers", two.digest)]
    assert {"Write", "Reboot"} <= {line.get("step") for line in mine}
    written = [line for line in mine if line["message"] == "the boot record is written"]
    assert [(line["good"], line["next"]) for line in written] == [("A", "B"), ("B", "-")]

"""What the operator relies on in Alertmanager: asked of the stand-in, and of the real one.

A module that imports these tests gives the fixture `url`: where one listens that has no silences yet.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from dataclasses import replace

import pytest

from os_operator.core.silences import LEASE, Silence, left_over, ours, wish
from os_operator.shell.alertmanager import Alertmanagers, Failed, Silences
from tests.waiting import until
from warmroot.api.health import CheckReason
from warmroot.api.os import AlertSilence

UID = "uid-workers"


def silence(url, node="worker-7", **more):
    return Silence("workers", UID, node, AlertSilence(alertmanager=url), **more)


def asked(ask):
    async def go():
        api = Alertmanagers(None, "warmroot-system")
        try:
            return await ask(api)
        finally:
            await api.close()

    return asyncio.run(go())


def standing(url, node="worker-7"):
    with urllib.request.urlopen(f"{url}/api/v2/silences", timeout=10) as answer:
        found = json.load(answer)
    about = [one for one in found if one["matchers"][0]["value"] == node]
    return [one for one in about if one["status"]["state"] == "active"]


def make(wanted, now=None):
    found = asked(lambda api: api.list(wanted.place, wanted.node))
    before = next((one for one in found if ours(one, wanted)), None)
    asked(lambda api: api.post(wanted.place, wish(wanted, before, now or time.time())))


def test_a_silence_is_found_again_by_its_node_and_what_it_says(url):
    make(silence(url))
    make(silence(url, "worker-70"))
    [found] = standing(url)
    assert ours(found, silence(url))
    assert not ours(found, silence(url, "worker-70"))
    assert not ours(found, replace(silence(url), os_uid="another cluster's"))
    assert found["comment"].startswith("OS workers moves worker-7")


def test_an_extension_moves_the_end_of_the_same_silence(url):
    make(silence(url), time.time() - 200)
    [before] = standing(url)
    make(silence(url))
    [after] = standing(url)
    assert after["id"] == before["id"]
    assert after["endsAt"] > before["endsAt"]


def test_a_silence_that_was_ended_is_not_extended_but_made_anew(url):
    make(silence(url))
    [before] = standing(url)
    asked(lambda api: api.expire(silence(url).place, before["id"]))
    assert standing(url) == []
    make(silence(url))
    [after] = standing(url)
    assert after["id"] != before["id"]


def test_a_time_that_is_over_is_refused_in_words(url):
    with pytest.raises(Failed, match="past") as refused:
        make(silence(url), time.time() - LEASE - 10)
    assert refused.value.reason is CheckReason.WRONG_STATUS


def test_what_another_process_left_is_told_by_its_os_object_alone(url):
    make(silence(url))
    make(replace(silence(url, "worker-8"), os_uid="uid-of-another-cluster"))
    found = asked(lambda api: api.list(silence(url).place))
    stale = [one["comment"] for one in found if left_over(one, UID, frozenset())]
    assert stale == [silence(url).comment]
    assert not [one for one in found if left_over(one, UID, frozenset({silence(url).comment}))]


def test_the_silencer_silences_extends_and_ends(url):
    told = []
    silencer = Silences(lambda: Alertmanagers(None, "x"), lambda: True, told.append)
    silencer.keep([silence(url), silence(url, "worker-8")])
    until(lambda: standing(url) and standing(url, "worker-8"))
    silencer.keep([silence(url, "worker-8")])
    until(lambda: not standing(url))
    assert standing(url, "worker-8")
    silencer.close()
    assert set(told) == {"Done"}


def test_a_process_that_starts_anew_goes_on_with_what_stands_and_ends_what_was_left_behind(url):
    make(silence(url, "worker-8"), time.time() - 200)
    make(silence(url, "worker-9"))
    [before] = standing(url, "worker-8")
    silencer = Silences(lambda: Alertmanagers(None, "x"), lambda: True, lambda outcome: None)
    silencer.keep([silence(url, "worker-8")])
    until(lambda: not standing(url, "worker-9"))
    until(lambda: standing(url, "worker-8")[0]["endsAt"] > before["endsAt"])
    assert [one["id"] for one in standing(url, "worker-8")] == [before["id"]]
    silencer.close()

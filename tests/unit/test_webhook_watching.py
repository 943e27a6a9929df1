"""JavaCaches as the webhook has them: those last seen, whatever the API server does."""

from __future__ import annotations

import pytest

from jboost_server.webhook.watching import of_namespace, parsed
from warmroot import errors
from warmroot.kube import informer
from warmroot.kube.cluster import JAVA_CACHE, Listing, WatchEvent
from warmroot.kube.informer import Informer
from warmroot.kube.watched import Watched


def item(name: str, namespace: str = "shop", version: str = "1", **spec) -> dict:
    meta = {"name": name, "namespace": namespace, "resourceVersion": version}
    return {"apiVersion": "warmroot.io/v1alpha1", "kind": "JavaCache", "metadata": meta, "spec": spec}


class Scripted:
    """Lists and watches, one after the other; an error in their place is raised. After the last, it ends."""

    def __init__(self, *script) -> None:
        self.script, self.versions, self.seen = list(script), [], Watched(parsed)
        self.informer = Informer(self, JAVA_CACHE, self.seen, lambda: None)
        self.informer.run()

    def pages(self, kind, **_):
        yield self._next()

    def watch(self, kind, version, **_):
        self.versions.append(version)
        yield from self._next()

    def _next(self):
        if not self.script:
            self.informer.stop()
            raise errors.NetworkError("the script is over")
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def names(self, namespace: str = "shop") -> list[str]:
        return [one.name for one in of_namespace(self.seen, namespace)]


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(informer, "RETRY", 0.001)


AWAY = errors.NetworkError("away")


def test_changes_are_taken_in_by_namespace_and_the_watch_goes_on_where_it_was():
    events = [
        WatchEvent("ADDED", item("c", version="6")),
        WatchEvent("MODIFIED", item("a", version="7", mode="Off")),
        WatchEvent("DELETED", item("b", version="8")),
        WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": "9"}}),
    ]
    told = Scripted(Listing([item("a"), item("b"), item("x", "other")], "5"), events)
    assert told.names() == ["a", "c"]
    assert told.names("other") == ["x"]
    assert of_namespace(told.seen, "shop")[0].spec.mode == "Off"
    assert told.versions == ["5", "9"]


def test_what_was_seen_last_counts_while_the_api_server_is_away():
    told = Scripted(Listing([item("a")], "5"), AWAY, AWAY)
    assert told.names() == ["a"]
    assert told.versions == ["5"] * 3


def test_a_watch_that_fell_behind_is_listed_again():
    gone = errors.Gone("too old", status=410)
    told = Scripted(Listing([item("a")], "5"), gone, Listing([item("b", version="8")], "9"))
    assert (told.names(), told.versions) == (["b"], ["5", "9"])


@pytest.mark.parametrize("event", ["ADDED", "MODIFIED"])
def test_one_that_can_not_be_read_counts_as_none_and_keeps_no_other_out(event):
    odd = item("a", version="6", containers=7)
    assert Scripted(Listing([item("a"), item("b")], "5"), [WatchEvent(event, odd)]).names() == ["b"]


def test_nothing_counts_as_read_before_the_first_list():
    assert not Scripted(errors.Forbidden("no", status=403)).informer.synced.is_set()
    assert Scripted(Listing([], "1")).informer.synced.is_set()

"""JavaCaches as the webhook has them: those last seen, whatever the API server does."""

from __future__ import annotations

import pytest

from jboost_server.webhook.watching import Seen, watch
from warmroot import errors
from warmroot.kube.cluster import Listing, WatchEvent


def item(name: str, namespace: str = "shop", version: str = "1", **spec) -> dict:
    meta = {"name": name, "namespace": namespace, "resourceVersion": version}
    return {"apiVersion": "warmroot.io/v1alpha1", "kind": "JavaCache", "metadata": meta, "spec": spec}


def names(seen: Seen, namespace: str = "shop") -> list[str]:
    return [one.name for one in seen.of(namespace)]


class Scripted:
    """Lists and watches, one after the other; an error in their place is raised."""

    def __init__(self, *script) -> None:
        self.script = list(script)
        self.versions = []

    def list(self, kind, **_):
        return self._next()

    def watch(self, kind, version, **_):
        self.versions.append(version)
        yield from self._next()

    def _next(self):
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


END = errors.NetworkError("the script is over")


def test_changes_are_taken_in_by_namespace_and_the_watch_goes_on_where_it_was():
    seen = Seen()
    events = [
        WatchEvent("ADDED", item("c", version="6")),
        WatchEvent("MODIFIED", item("a", version="7", mode="Off")),
        WatchEvent("DELETED", item("b", version="8")),
        WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": "9"}}),
    ]
    cluster = Scripted(Listing([item("a"), item("b"), item("x", "other")], "5"), events, END)

    watch(cluster, seen, lambda _: None)

    assert names(seen) == ["a", "c"]
    assert names(seen, "other") == ["x"]
    assert seen.of("shop")[0].spec.mode == "Off"
    assert cluster.versions == ["5", "9"]


def test_what_was_seen_last_counts_while_the_api_server_is_away():
    seen, pauses = Seen(), []
    watch(Scripted(Listing([item("a")], "5"), END), seen, pauses.append)

    watch(Scripted(errors.NetworkError("away")), seen, pauses.append)

    assert names(seen) == ["a"]
    assert len(pauses) == 2


def test_a_watch_that_fell_behind_is_listed_again_without_a_pause():
    seen, pauses = Seen(), []

    watch(Scripted(Listing([item("a")], "5"), errors.Gone("too old", status=410)), seen, pauses.append)
    watch(Scripted(Listing([item("b")], "9"), END), seen, lambda _: None)

    assert (names(seen), pauses) == (["b"], [])


@pytest.mark.parametrize("event", ["ADDED", "MODIFIED"])
def test_one_that_can_not_be_read_counts_as_none_and_keeps_no_other_out(event):
    seen = Seen()
    odd = item("a", containers=7)

    watch(Scripted(Listing([item("a"), item("b")], "5"), [WatchEvent(event, odd)], END), seen, lambda _: None)

    assert names(seen) == ["b"]


def test_nothing_counts_as_read_before_the_first_list():
    seen = Seen()
    watch(Scripted(errors.Forbidden("no", status=403)), seen, lambda _: None)
    assert not seen.listed
    watch(Scripted(Listing([], "1"), END), seen, lambda _: None)
    assert seen.listed

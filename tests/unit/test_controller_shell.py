"""What the controller sees and writes: fenced, in order, and no more often than it has to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from jboost_server.controller.act import CONFIG_MAP, JOB, NETWORK_POLICY, Actor
from jboost_server.controller.gather import SLOWER, Gather
from jboost_server.controller.loop import LONGEST, Engine
from jboost_server.controller.metrics import Metrics
from jboost_server.controller.service import HttpService
from jboost_server.core.control import builder, parse, queue
from jboost_server.core.control.fallen import Fallen
from jboost_server.core.control.plan import DELIVERED_AGAIN
from jboost_server.core.control.times import when
from jboost_server.core.control.world import Key, Name
from jboost_server.core.injection.delivery import Agent
from jboost_server.core.progress import Stage
from tests.control_worlds import K1, NAME, NOW, injected, key, serving, wanted
from tests.injected import AGENT, INSTALLATION
from tests.unit.test_control_fallen import dead
from warmroot import errors
from warmroot.kube import passes
from warmroot.kube.cluster import EVENT, JAVA_CACHE, POD, Kind, Listing, Object
from warmroot.kube.passes import Passed
from warmroot.kube.watched import Watched

POLL = 15.0


class Api:
    """Objects by kind and name behind the Cluster port. `refuses` has an error for a verb and a kind."""

    def __init__(self) -> None:
        self.objects: dict[tuple[Kind, str, str], Object] = {}
        self.version = 100
        self.asked: list[tuple[str, Kind]] = []
        self.refuses: dict[tuple[str, Kind], Exception] = {}

    def _ask(self, verb: str, kind: Kind) -> None:
        self.asked.append((verb, kind))
        if error := self.refuses.get((verb, kind)):
            raise error

    def put(self, kind: Kind, item: Object) -> Object:
        self.version += 1
        meta = {"uid": f"uid-{self.version}", "generation": 1} | item["metadata"]
        item = item | {"metadata": meta | {"resourceVersion": str(self.version)}}
        self.objects[kind, meta.get("namespace", ""), meta["name"]] = item
        return item

    def of(self, kind: Kind) -> list[Object]:
        return [one for (its, _, _), one in self.objects.items() if its == kind]

    def list(self, kind: Kind, **_: Any) -> Listing:
        self._ask("list", kind)
        return Listing(self.of(kind), str(self.version))

    def pages(self, kind: Kind, **_: Any):
        yield self.list(kind)

    def create(
        self,
        kind: Kind,
        body: Object,
        *,
        namespace: str | None = None,
        subresource: str = "",
        dry_run: bool = False,
        **_: Any,
    ) -> Object:
        self._ask(subresource or "create", kind)
        meta = body["metadata"]
        if subresource:  # an eviction: it is gone
            uid = self.objects[kind, namespace or "", meta["name"]]["metadata"]["uid"]
            assert body["deleteOptions"] == {"preconditions": {"uid": uid}}
            return self.objects.pop((kind, namespace or "", meta["name"]))
        if (kind, meta.get("namespace", ""), meta["name"]) in self.objects:
            raise errors.AlreadyExists("it is there", status=409)
        return body if dry_run else self.put(kind, body)

    def apply(self, kind: Kind, body: Object, **_: Any) -> Object:
        self._ask("apply", kind)
        return self.put(kind, body)

    def replace(self, kind: Kind, body: Object, *, subresource: str | None = None) -> Object:
        self._ask("replace", kind)
        meta = body["metadata"]
        old = self.objects[kind, meta["namespace"], meta["name"]]
        if old["metadata"]["resourceVersion"] != meta["resourceVersion"]:
            raise errors.Conflict("another version", status=409)
        return self.put(kind, old | {"status": body["status"]})


class Said:
    """The cache service behind its port: what it says, how often it was asked, and whether it is silent."""

    def __init__(self, *keys: Key) -> None:
        self.now, self.asked, self.silent = keys, 0, False
        self.accused: list[str] = []
        self.deaf = False

    def keys(self, name: Name) -> tuple[Key, ...]:
        self.asked += 1
        if self.silent:
            raise errors.NetworkError("no connection")
        return self.now

    def accuse(self, name: Name, fallen: Fallen) -> None:
        if self.deaf:
            raise errors.NetworkError("no connection")
        self.accused.append(fallen.witness)


class Bed:
    """A controller without its threads; its watches are brought up to date by hand."""

    def __init__(self, *keys: Key, agent: Agent | None = None) -> None:
        self.api, self.service, self.leads = Api(), Said(*keys), True
        self.caches = Watched(parse.cache)
        self.builds = Watched(parse.build)
        gather = Gather(self.api, self.service, self.caches, self.builds, POLL, agent.name if agent else "")
        shared = self.caches, self.builds, lambda: self.leads, gather, "me", agent
        actor = Actor(self.api, self.service, INSTALLATION, *shared)
        self.metrics = Metrics()
        self.engine = Engine(gather, actor, self.metrics, 4)
        self.java_cache()
        self.api.put(
            POD, injected() | {"metadata": injected()["metadata"] | {"name": "p", "namespace": "shop"}}
        )
        self.seen()

    def java_cache(self, name: str = "orders", **spec: Any) -> None:
        selector = {"selector": {"matchLabels": {"app": "orders"}}}
        self.api.put(JAVA_CACHE, {"metadata": {"namespace": "shop", "name": name}, "spec": selector | spec})

    def seen(self) -> None:
        for kind, watched in ((JAVA_CACHE, self.caches), (JOB, self.builds)):
            for item in self.api.of(kind):
                watched.put(item)

    def one_pass(self, now: float = NOW) -> list[str]:
        """Kinds of errors and actions of a pass."""
        return [
            type(one.error).__name__ if one.error else type(one.action).__name__
            for one in self.engine.one_pass(now)
        ]

    def verbs(self, kind: Kind) -> list[str]:
        return [verb for verb, its in self.api.asked if its == kind]

    @property
    def status(self) -> Object:
        return self.api.objects[JAVA_CACHE, *NAME]["status"]


def test_a_builder_is_made_behind_its_policy_and_the_status_says_so():
    bed = Bed(wanted())
    assert bed.one_pass() == ["Start", "WriteStatus"]
    assert bed.one_pass(NOW + 1) == ["WriteStatus"]
    (job,), (policy,) = bed.api.of(JOB), bed.api.of(NETWORK_POLICY)
    assert job["metadata"]["name"] == builder.job_name(NAME, K1, 1)
    assert policy["metadata"] == policy["metadata"] | {"name": "jboost-builders", "namespace": "shop"}
    order = [its for _, its in bed.api.asked if its in (JOB, NETWORK_POLICY)]
    assert order == [NETWORK_POLICY, JOB]
    assert (bed.status["state"], bed.status["keys"][0]["reason"]) == ("Building", "Building")


def test_a_pass_over_an_unchanged_world_asks_and_writes_nothing():
    bed = Bed(serving(hits=1))
    bed.one_pass()
    asked, polls = len(bed.api.asked), bed.service.asked
    assert bed.one_pass(NOW + 1) == []
    assert (len(bed.api.asked), bed.service.asked) == (asked, polls)


def test_without_the_policy_there_is_no_builder():
    bed = Bed(wanted())
    bed.api.refuses["apply", NETWORK_POLICY] = errors.Forbidden("may not patch networkpolicies", status=403)
    assert bed.one_pass() == ["Forbidden", "WriteStatus"]
    assert bed.api.of(JOB) == []


@pytest.mark.parametrize(
    ("error", "reason", "said"),
    [
        (errors.Forbidden("jobs is forbidden", status=403), "NotGranted", "warmroot-jboost-builders"),
        (errors.Forbidden("exceeded quota: room", status=403), "BuilderRefused", "exceeded quota"),
        (errors.Invalid("denied by a policy", status=422), "BuilderRefused", "denied by a policy"),
    ],
)
def test_a_builder_that_is_not_taken_has_its_reason_in_the_status(error, reason, said):
    bed = Bed(wanted())
    bed.api.refuses["create", JOB] = error
    bed.one_pass()
    bed.one_pass(NOW + 1)
    row = bed.status["keys"][0]
    assert (row["reason"], said in row["message"]) == (reason, True)
    tries = bed.verbs(JOB).count("create")
    bed.one_pass(NOW + queue.REFUSED - 1)
    assert bed.verbs(JOB).count("create") == tries
    del bed.api.refuses["create", JOB]
    bed.one_pass(NOW + queue.REFUSED)
    assert len(bed.api.of(JOB)) == 1


def test_pods_that_may_not_be_listed_are_a_missing_grant():
    bed = Bed(wanted())
    bed.api.refuses["list", POD] = errors.Forbidden("may not list pods", status=403)
    bed.one_pass()
    assert bed.status["keys"][0]["reason"] == "NotGranted"


def test_pods_are_listed_only_where_a_builder_may_begin_and_not_in_each_pass():
    bed = Bed(key())
    bed.one_pass()
    assert bed.verbs(POD) == []
    bed.service.now = (wanted(),)
    bed.api.objects.pop((POD, "shop", "p"))
    for second in range(int(POLL * SLOWER), int(POLL * SLOWER) + 10):
        bed.one_pass(NOW + second)
    assert bed.verbs(POD) == ["list"]
    assert bed.status["keys"][0]["reason"] == "NoPod"


def test_a_job_that_the_watch_has_not_brought_yet_is_not_made_twice():
    bed = Bed(wanted())
    bed.one_pass()
    late = Watched(parse.build)
    bed.engine._gather._builds = late
    assert bed.one_pass(NOW + 1)[:1] == ["Start"]
    assert len(bed.api.of(JOB)) == 1


def test_who_does_not_lead_writes_nothing():
    bed = Bed(wanted())
    bed.leads = False
    assert bed.one_pass() == []
    assert {verb for verb, _ in bed.api.asked} == {"list"}


def test_a_status_that_somebody_else_wrote_over_is_decided_anew():
    bed = Bed(serving())
    other = bed.api.put(JAVA_CACHE, bed.api.of(JAVA_CACHE)[0])
    assert bed.one_pass() == ["Conflict"]
    bed.caches.put(other)
    assert bed.one_pass(NOW + 1) == ["WriteStatus"]


def test_news_are_events_in_the_caches_namespace_and_told_once():
    bed = Bed(serving())
    bed.one_pass()
    (event,) = bed.api.of(EVENT)
    assert (event["reason"], event["type"], event["metadata"]["namespace"]) == ("Serving", "Normal", "shop")
    assert event["regarding"]["namespace"] == "shop"
    bed.api.objects[JAVA_CACHE, *NAME].pop("status")  # as if the status had not been written after it
    bed.caches = Watched(parse.cache)
    bed.engine._gather._caches = bed.engine._actor._caches = bed.caches
    bed.seen()
    assert bed.one_pass(NOW + 1) == ["WriteStatus"]
    assert len(bed.api.of(EVENT)) == 1


def test_what_goes_on_is_asked_about_more_often_than_what_rests():
    busy, quiet = Bed(wanted()), Bed(serving())
    for bed in (busy, quiet):
        for second in range(0, 61, 5):
            bed.one_pass(NOW + second)
    assert (busy.service.asked, quiet.service.asked) == (5, 2)


def test_what_a_builder_came_to_is_asked_soon_after_its_end():
    bed = Bed(wanted())
    bed.one_pass()
    (job,) = bed.api.of(JOB)
    ended = {"type": "Complete", "status": "True", "lastTransitionTime": when(NOW + 1)}
    bed.api.put(JOB, job | {"status": {"conditions": [ended]}})
    bed.service.now = (serving(),)
    bed.seen()
    for second in range(2, 8):
        bed.one_pass(NOW + second)
    assert bed.status["state"] == "Serving"


def test_a_silent_service_is_asked_about_one_cache_in_a_pass():
    bed = Bed(serving())
    bed.java_cache("other")
    bed.seen()
    bed.service.silent = True
    bed.one_pass()
    assert bed.service.asked == 1
    degraded = [one for one in bed.status["conditions"] if one["type"] == "Degraded"]
    assert (degraded[0]["reason"], degraded[0]["message"]) == ("ServiceUnavailable", "no connection")


def test_a_cache_that_is_deleted_is_forgotten():
    bed = Bed(serving())
    bed.one_pass()
    bed.caches._seen.clear()
    bed.api.objects.clear()
    bed.one_pass(NOW + 1)
    assert 'cache="orders"' not in page(bed)


def page(bed) -> str:
    from prometheus_client import generate_latest

    return generate_latest(bed.metrics.registry).decode()


def test_figures_say_what_passes_came_to_and_only_the_leader_shows_caches():
    bed = Bed(serving(hits=3, misses={"missing": 1}))
    bed.one_pass()
    assert 'jboost_cache_keys{cache="orders",namespace="shop",state="Serving"} 1.0' in page(bed)
    assert 'jboost_cache_coverage_ratio{cache="orders",namespace="shop"} 0.75' in page(bed)
    assert 'jboost_controller_actions_total{action="WriteStatus",outcome="Done"} 1.0' in page(bed)
    bed.metrics.forget()
    assert 'cache="orders"' not in page(bed)


def test_an_older_version_never_replaces_a_newer_one():
    bed = Bed(serving())
    (first,) = bed.api.of(JAVA_CACHE)
    newer = bed.api.put(JAVA_CACHE, first | {"spec": {"mode": "Off"}})
    bed.caches.put(newer)
    bed.caches.put(first)
    assert bed.caches.whole(NAME) == newer


def test_what_is_no_job_of_ours_is_not_seen():
    bed = Bed()
    bed.builds.put({"metadata": {"namespace": "a", "name": "b", "resourceVersion": "1"}})
    assert bed.builds.all() == {}


class Answers:
    """A session that answers so, or fails so."""

    def __init__(self, status: int = 200, body: str = "", error: Exception | None = None) -> None:
        self.status, self.body, self.error = status, body, error

    def request(self, method: str, url: str, **more: Any) -> requests.Response:
        if self.error:
            raise self.error
        assert more["headers"] == {"Authorization": "Bearer secret"}
        answer = requests.Response()
        answer.status_code, answer._content = self.status, self.body.encode()
        return answer


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (Answers(error=requests.ConnectTimeout("at 0x7f")), "it takes too long"),
        (Answers(error=requests.ConnectionError("at 0x7f")), "no connection"),
        (Answers(401, '{"error": {"reason": "WrongToken"}}'), "401: .*WrongToken"),
        (Answers(200, "<html>"), "can't be read"),
        (Answers(200, '{"keys": [{}]}'), "can't be read"),
        (Answers(200, "[]"), "can't be read"),
        (Answers(200, '{"keys": 1}'), "can't be read"),
    ],
)
def test_whatever_the_service_does_wrong_is_silence_with_a_reason(tmp_path, answers, said):
    (tmp_path / "token").write_text("secret\n")
    service = HttpService("http://service/", tmp_path / "token")
    service._session = answers
    with pytest.raises(errors.NetworkError, match=said):
        service.keys(NAME)


def test_a_token_that_is_not_there_is_silence_too():
    with pytest.raises(errors.NetworkError, match="No such file"):
        HttpService("http://service", Path("/none")).keys(NAME)


def test_a_pass_that_the_api_server_puts_off_is_put_off_whatever_changes_meanwhile():
    bed = Bed(serving())
    busy = errors.TooManyRequests("the server is overloaded", status=429)
    busy.retry_after = 7.0
    bed.api.refuses["replace", JAVA_CACHE] = busy
    assert bed.engine.step(NOW) == Passed(passes.RETRY, hush=7.0)
    del bed.api.refuses["replace", JAVA_CACHE]
    assert bed.engine.step(NOW + 7) == Passed(LONGEST)


def dies(bed: Bed, restarts: int = 1) -> None:
    """The one pod's JVM, of the archive that serves."""
    one = dead(restarts=restarts)
    bed.api.objects.pop((POD, "shop", "p"), None)
    bed.api.put(POD, one | {"metadata": one["metadata"] | {"namespace": "shop"}})


def test_a_jvm_that_died_is_told_once_and_its_pod_let_go_when_the_archive_is_withdrawn():
    bed = Bed(serving(hits=1))
    dies(bed)
    assert "Accuse" in bed.one_pass()
    assert len(bed.service.accused) == 1
    assert "Accuse" not in bed.one_pass(NOW + POLL)

    dies(bed, restarts=2)
    assert "Accuse" in bed.one_pass(NOW + 2 * POLL)
    bed.service.now = (key(stage=Stage.WITHDRAWN, hits=1),)
    assert bed.one_pass(NOW + 2 * POLL + 1)[0] == "Release"
    assert bed.verbs(POD)[-1] == "eviction"
    assert bed.api.of(POD) == []
    assert len(bed.service.accused) == 2


def test_a_service_that_does_not_hear_it_is_told_again_and_statuses_are_written_all_the_same():
    bed = Bed(serving(hits=1))
    dies(bed)
    bed.service.deaf = True
    assert bed.one_pass() == ["NetworkError", "WriteStatus"]
    bed.service.deaf = False
    assert "Accuse" in bed.one_pass(NOW + 1)


def test_pods_of_a_cache_are_looked_at_while_some_are_young_and_not_at_rest():
    bed = Bed(serving(hits=1))
    dies(bed)
    bed.api.objects.pop((POD, "shop", "orders-1"))
    bed.one_pass()
    looked = bed.verbs(POD).count("list")
    for minute in range(1, 10):
        bed.one_pass(NOW + 60 * minute)
    assert bed.verbs(POD).count("list") == looked
    bed.service.now = (serving(hits=2),)
    bed.one_pass(NOW + 660)
    bed.one_pass(NOW + 730)
    assert bed.verbs(POD).count("list") == looked + 1


def test_a_namespace_whose_pods_may_not_be_seen_keeps_nobody_from_a_status():
    bed = Bed(serving(hits=1))
    bed.api.refuses["list", POD] = errors.Forbidden("may not list pods", status=403)
    assert bed.one_pass() == ["WriteStatus"]


def test_each_namespace_with_a_java_cache_has_the_agent_and_its_status_says_so():
    bed = Bed(serving(), agent=AGENT)
    bed.java_cache("other")
    bed.seen()
    assert bed.one_pass() == ["Deliver", "WriteStatus", "WriteStatus"]
    assert "agent" not in bed.status
    bed.one_pass(NOW + 1)
    (made,) = bed.api.of(CONFIG_MAP)
    assert made["metadata"]["name"] == bed.status["agent"] == AGENT.name
    assert "agent.jar" in made["binaryData"]
    assert bed.one_pass(NOW + 2) == []


def test_an_agent_that_somebody_deleted_is_there_again_within_a_minute_and_nothing_is_read_for_that():
    bed = Bed(serving(), agent=AGENT)
    bed.one_pass()
    bed.one_pass(NOW + 1)
    bed.api.objects.pop((CONFIG_MAP, "shop", AGENT.name))
    bed.one_pass(NOW + DELIVERED_AGAIN - 1)
    assert bed.api.of(CONFIG_MAP) == []
    bed.one_pass(NOW + DELIVERED_AGAIN)
    assert len(bed.api.of(CONFIG_MAP)) == 1
    bed.one_pass(NOW + 2 * DELIVERED_AGAIN)
    assert (set(bed.verbs(CONFIG_MAP)), bed.status["agent"]) == ({"create"}, AGENT.name)


def test_without_the_right_to_bring_the_agent_all_else_goes_on_and_pods_copy_it():
    bed = Bed(wanted(), agent=AGENT)
    bed.api.refuses["create", CONFIG_MAP] = errors.Forbidden("may not create configmaps", status=403)
    assert bed.one_pass() == ["Deliver", "Start", "WriteStatus"]
    bed.one_pass(NOW + 1)
    assert "agent" not in bed.status
    assert bed.verbs(CONFIG_MAP) == ["create"], "it is not asked in each pass"


def test_a_controller_that_starts_anew_does_not_take_back_what_lies_there():
    bed = Bed(serving(), agent=AGENT)
    bed.one_pass()
    bed.one_pass(NOW + 1)
    after = Bed(serving(), agent=AGENT)
    after.api.objects = bed.api.objects
    after.seen()
    after.one_pass(NOW + 2)
    assert after.status["agent"] == AGENT.name


def test_a_namespace_whose_caches_are_off_gets_no_agent():
    bed = Bed(serving(), agent=AGENT)
    bed.java_cache(mode="Off")
    bed.seen()
    bed.one_pass()
    assert bed.api.of(CONFIG_MAP) == []

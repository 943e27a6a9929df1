"""`kubectl warmroot java why`: what a person reads of each pod, whatever became of it."""

from dataclasses import replace

import pytest

from jboost_server.core.injection.inject import inject
from jboost_server.core.injection.reason import Reason
from jboost_server.core.outcome import Outcome
from jboost_server.plugin.cli import shown
from jboost_server.plugin.why import NEXT_OF_OUTCOME, NEXT_OF_REASON, fetchers, why
from tests.injected import INSTALLATION, SPACE, cache, container, pod
from warmroot.api.javacache import JavaCacheStatus

SERVING = JavaCacheStatus.model_validate(
    {"state": "Serving", "serving": "1/2", "startBefore": "4.62s", "startAfter": "2.74s"}
)


def warm(*containers, **cache_spec):
    """A pod as the webhook made it."""
    plain = pod(*containers, meta={"name": "orders-1", "namespace": SPACE, "labels": {"app": "orders"}})
    return inject(plain, SPACE, [cache(**cache_spec)], INSTALLATION).pod


def text(one, said="", *, statuses=None, caches=None, takes_part=True):
    caches = [cache()] if caches is None else caches
    statuses = {"orders": SERVING} if statuses is None else statuses
    told = why(one, takes_part, caches, statuses, dict.fromkeys(fetchers(one), said))
    return "\n".join(shown(f"{SPACE}/orders-1", each) for each in told)


def test_a_hit_says_what_it_took_and_how_far_the_cache_is():
    assert text(warm(), "jboost fetch: hit [212 ms]\n") == (
        "shop/orders-1, container app: hit (212 ms)\n"
        "  - JavaCache orders had the agent added to container app\n"
        "  - the agent said hit\n"
        "  - JavaCache orders is Serving, 1/2 keys serve,"
        " starts measured 4.62s without and 2.74s with an archive\n"
        "  next: nothing"
    )


def test_a_miss_names_what_the_agent_found():
    told = text(warm(), "Picked up JAVA_TOOL_OPTIONS: x\njboost fetch: gc: this JVM has ZGC [31 ms]")
    assert "app: gc (31 ms)" in told
    assert "- the agent said gc: this JVM has ZGC\n" in told
    assert told.endswith("next: use the same collector in recorders and pods")


def test_an_old_java_says_so_without_a_time():
    told = text(warm(), "jboost: off: Java 11 has no archives that could be handed on; it starts as it is")
    assert "container app: off\n" in told
    assert "Java 11" in told


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, "the agent has not run yet"),
        ({"waiting": {"reason": "PodInitializing"}}, "the agent has not run yet"),
        ({"running": {}}, "the agent runs"),
        ({"terminated": {"exitCode": 0}}, "is not in the log any more"),
    ],
)
def test_an_agent_that_is_not_heard_is_told_by_what_its_container_does(state, words):
    one = warm()
    if state is not None:
        one["status"] = {"initContainerStatuses": [{"name": "jboost-fetch", "state": state}]}
    told = text(one)
    assert words in told
    assert told.endswith("next: kubectl logs orders-1 -c jboost-fetch")


def test_an_agent_whose_log_is_gone_left_its_outcome_in_the_pods_status():
    one = warm()
    message = '{"archive": "", "key": "", "outcome": "budget"}'
    state = {"terminated": {"exitCode": 0, "message": message}}
    one["status"] = {"initContainerStatuses": [{"name": "jboost-fetch", "state": state}]}
    assert "container app: budget\n" in text(one)
    assert "hit (3 ms)" in text(one, "jboost fetch: hit [3 ms]")  # its own words say more


def test_each_container_that_starts_warm_has_its_own_answer():
    one = warm(container("app"), container("worker"), containers=("app", "worker"))
    assert fetchers(one) == ["jboost-fetch", "jboost-fetch-2"]
    told = why(one, True, [], {}, {"jboost-fetch-2": "jboost fetch: missing [5 ms]"})
    assert [(each.container, each.outcome) for each in told] == [("app", ""), ("worker", "missing")]
    assert "there is no JavaCache orders any more" in told[0].chain


def test_a_pod_without_the_agent_is_told_what_the_webhook_thinks_of_it():
    plain = pod(
        container(command=["sh", "-c", "java -jar app.jar"]),
        meta={"name": "x", "namespace": SPACE, "labels": {"app": "orders"}},
    )
    told = text(plain)
    assert "shop/orders-1: NotJava" in told
    assert told.endswith(f"next: {NEXT_OF_REASON[Reason.NOT_JAVA]}")


def test_a_pod_that_is_older_than_its_cache_has_to_be_made_anew():
    told = text(pod(meta={"name": "x", "namespace": SPACE, "labels": {"app": "orders"}}))
    assert "one made now would get it" in told
    assert "next: kubectl rollout restart" in told


def test_a_pod_that_was_left_since_nothing_is_gained_is_well():
    plain = pod(meta={"name": "x", "namespace": SPACE, "labels": {"app": "orders"}})
    told = text(plain, caches=[replace(cache(), refused=True)])
    assert "shop/orders-1: NothingGained" in told
    assert "next: nothing" in told


def test_a_namespace_that_does_not_take_part_is_named_first():
    told = text(pod(meta={"name": "x", "namespace": SPACE, "labels": {"app": "orders"}}), takes_part=False)
    assert told.endswith("next: kubectl label namespace shop jboost.warmroot.io/client=true")


def test_a_cache_that_nobody_has_seen_says_that_its_controller_is_missing():
    told = text(warm(), "jboost fetch: missing [5 ms]", statuses={"orders": JavaCacheStatus()})
    assert "no controller has seen it" in told


def test_every_outcome_and_every_reason_has_a_next_step():
    assert set(NEXT_OF_OUTCOME) == set(Outcome)
    assert set(NEXT_OF_REASON) == set(Reason)

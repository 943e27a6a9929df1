"""Orders and status meet the API's own models, which the proxy does not import."""

import pytest

from os_proxy.core import orders
from os_proxy.core.orders import Goal, Orders, RebootOrder, Release
from os_proxy.core.steps import Phase
from tests.proxy_world import make_image, new_world
from warmroot import nodeconfig
from warmroot.api.osinstance import Goal as ApiGoal
from warmroot.api.osinstance import InstancePhase, OSInstanceSpec, OSInstanceStatus
from warmroot.errors import UserError

DIGEST = "sha256:" + "a" * 64
ARGUMENTS = "0123456789abcdef"
SPEC = {
    "os": "workers",
    "goal": "Activate",
    "release": {
        "version": "2",
        "digest": DIGEST,
        "sources": ["https://releases.example"],
        "argumentsRevision": ARGUMENTS,
    },
    "stagingBandwidth": 1000,
    "barred": [DIGEST, f"{DIGEST}+{ARGUMENTS}"],
    "reboot": {"id": "r1", "deadline": "2026-11-25T02:13:48Z"},
}


WORDS = nodeconfig.encode({"kernelArguments": ["quiet"]})


def instance(**changes):
    return {"metadata": {"generation": 3}, "spec": {**SPEC, **changes}}


def test_the_proxys_words_are_the_apis():
    assert [list(Goal), list(Phase)] == [list(ApiGoal), list(InstancePhase)]


def test_every_field_of_the_apis_spec_is_read():
    spec = OSInstanceSpec.model_validate(SPEC)
    assert orders.parse({"metadata": {"generation": 3}, "spec": spec.wire()}) == Orders(
        generation=3,
        goal=Goal.ACTIVATE,
        os=SPEC["os"],
        release=Release("2", DIGEST, ("https://releases.example",), ARGUMENTS),
        bandwidth=1000,
        barred=frozenset({DIGEST, f"{DIGEST}+{ARGUMENTS}"}),
        reboot=RebootOrder("r1", 1795572828.0),
    )


def test_the_smallest_spec_orders_nothing():
    assert orders.parse({"metadata": {"generation": 1}, "spec": {"os": "workers"}}) == Orders(
        generation=1, os="workers"
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"goal": "Explode"}, "Explode"),
        ({"barred": ["sha256:short"]}, "short"),
        ({"barred": "all"}, "barred"),
        ({"barred": [f"{DIGEST}+"]}, "barred"),
        ({"barred": [f"{DIGEST}+0123456789ABCDEF"]}, "barred"),
        ({"release": SPEC["release"] | {"argumentsRevision": "x"}}, "kernel arguments"),
        ({"release": SPEC["release"] | {"colour": "red"}}, "spec.release.colour"),
        ({"stagingBandwidth": 0}, "stagingBandwidth"),
        ({"stagingBandwidth": "fast"}, "stagingBandwidth"),
        ({"reboot": {"id": "r1", "deadline": "tomorrow"}}, "tomorrow"),
        ({"reboot": {"id": "r1", "deadline": "2026-11-25T02:13:48"}}, "time zone"),
        ({"release": {"version": "2", "digest": DIGEST, "sources": [1]}}, "sources"),
        ({"release": None}, "release"),
        ({"reboot": None}, "reboot"),
    ],
)
def test_orders_that_are_odd_are_refused_by_name(change, named):
    with pytest.raises(UserError, match=named):
        orders.parse(instance(**change))


def test_every_status_on_the_way_is_one_that_the_api_takes():
    one, two, bad = make_image(1), make_image(2), make_image(3, healthy=False)
    world = new_world(one, two, bad)
    publish = world.instance.publish

    def checked(status):
        parsed = OSInstanceStatus.model_validate(status).wire()
        assert parsed == status, "a default that we leave out would be written again and again"
        publish(status)

    world.instance.publish = checked
    for image in (two, bad):
        for goal in (Goal.STAGE, Goal.ACTIVATE, Goal.CONFIRM):
            world.order(goal, image, config=WORDS)
            world.settle()
    assert (world.phase, world.error) == ("FellBack", "FellBack")

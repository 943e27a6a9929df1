"""What the cache service hears of a start, and that no archive is accused of what another did."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jboost_server.core.manifest import Preflight
from jboost_server.settings import Policy
from jboost_server.store.directory import DirectoryStore
from tests.jboost import server_world
from tests.jboost.agent_pod import Pod, java_that
from tests.jboost.agent_server import Handler, Server
from tests.waiting import until

pytestmark = pytest.mark.jvm
# Where only the agent decides, the JDK makes no difference.
once = pytest.mark.parametrize("runtime", [17], indirect=True, scope="session")


def heard(pod: Pod) -> list[tuple[str, str]]:
    """Outcome and archive of each report, in their order."""
    return [(said["outcome"], said["archive"]) for said in pod.server.outcomes]


def offer(pod: Pod, *archives: bytes, **changes: Any) -> list[str]:
    """Proposes these and nothing else; their digests."""
    key = pod.server.key
    pod.server.clear()
    pod.server.outcomes.clear()
    return [pod.server.offer(key, data, **changes) for data in archives]


@once
def test_a_start_that_takes_longer_than_the_lookup_may_is_heard_of_with_its_preflight(
    pod: Pod, offered: bytes
) -> None:
    lookup = 3.0

    def slow(handler: Handler, body: bytes) -> None:
        handler.world.over.wait(lookup + 0.1)  # plays a slow network
        handler.answer(200, body)

    (digest,) = offer(pod, offered)
    pod.server.instead["archives"] = slow
    decision = pod.fetch("--lookup-ms", str(int(lookup * 1000)))
    assert decision.report["ms"]["fetch"] > lookup * 1000
    assert heard(pod) == [("hit", digest)]
    assert pod.server.outcomes[0]["ms"]["preflight"] > 0


def test_an_archive_that_starts_is_not_accused_of_what_the_one_before_it_did(
    pod: Pod, offered: bytes
) -> None:
    bad, good = offer(pod, b"no archive at all" * 1000, offered)
    assert pod.fetch().outcome == "hit"
    assert heard(pod) == [("preflight", bad), ("hit", good)]
    accused, used = pod.server.outcomes
    assert "the JVM refuses the archive" in accused["why"]
    assert used["ms"]["preflight"] > 0
    assert used["why"] == ""


@once
def test_each_archive_that_the_jvm_refuses_is_reported_once(pod: Pod, offered: bytes) -> None:
    first, second = offer(pod, b"no archive at all" * 1000, offered[: len(offered) // 2])
    assert pod.fetch().outcome == "preflight"
    assert sorted(heard(pod)) == sorted([("preflight", first), ("preflight", second)])
    assert heard(pod)[-1] == ("preflight", first)


@once
def test_the_archive_of_the_first_refusal_is_named_whatever_happens_to_the_second(
    pod: Pod, offered: bytes
) -> None:
    first, second = offer(pod, b"no archive at all" * 1000, offered)
    pod.server.archives[second] = offered[:-1] + b"?"
    decision = pod.fetch()
    assert decision.outcome == "preflight"
    assert "not those that were signed" in decision.why
    assert heard(pod) == [("preflight", first)]


@once
def test_a_proposal_that_did_not_get_as_far_as_an_archive_accuses_none(pod: Pod, offered: bytes) -> None:
    key = pod.server.key
    offer(pod)
    pod.server.offer(replace(key, cpu=("avx2",)), offered)
    bad = pod.server.offer(key, b"no archive at all" * 1000)
    assert pod.fetch().outcome == "cpu"
    assert heard(pod) == [("preflight", bad), ("cpu", "")]


@once
def test_a_start_that_needs_no_preflight_says_that_it_made_none(pod: Pod, offered: bytes) -> None:
    (digest,) = offer(pod, offered, preflight=Preflight.WAIVED)
    pod.fetch()
    assert heard(pod) == [("hit", digest)]
    assert pod.server.outcomes[0]["ms"]["preflight"] == 0


@once
def test_a_preflight_of_another_archive_is_none_of_the_one_that_starts(pod: Pod, offered: bytes) -> None:
    """Or the service would count as tried what it waived itself."""
    offer(pod, b"no archive at all" * 1000)
    good = pod.server.offer(pod.server.key, offered, preflight=Preflight.WAIVED)
    assert pod.fetch().outcome == "hit"
    assert heard(pod)[-1] == ("hit", good)
    assert pod.server.outcomes[-1]["ms"]["preflight"] == 0


@once
def test_a_jvm_that_can_not_be_started_is_no_fault_of_the_archive(
    pod: Pod, offered: bytes, tmp_path: Path
) -> None:
    launcher = java_that(tmp_path / "jdk", pod.jdk, "")

    def disabling(handler: Handler, body: bytes) -> None:
        launcher.chmod(0o644)  # the agent knows all about this JVM by now
        handler.answer(200, body)

    offer(pod, offered)
    pod.server.instead["lookup"] = disabling
    decision = pod.fetch(command=[str(launcher), *pod.command[1:]])
    assert decision.outcome == "off"
    assert "can't be started to try the archive" in decision.why
    assert [outcome for outcome, _ in heard(pod)] == ["off"]


@once
def test_a_jvm_that_is_killed_while_it_tries_is_no_fault_of_the_archive(
    pod: Pod, offered: bytes, tmp_path: Path
) -> None:
    """The kernel does that where memory runs short."""
    launcher = java_that(tmp_path / "jdk", pod.jdk, 'case "$*" in *Archive*-version) kill -9 $$ ;; esac')
    offer(pod, offered)
    decision = pod.fetch(command=[str(launcher), *pod.command[1:]])
    assert decision.outcome == "off"
    assert "killed while it tried the archive" in decision.why
    assert [outcome for outcome, _ in heard(pod)] == ["off"]


@once
def test_after_enough_good_preflights_the_real_service_waives_the_next(
    pod: Pod, offered: bytes, tmp_path: Path
) -> None:
    """Two pods tried it and said so; the third is told that it need not."""
    key = pod.server.key
    policy = Policy(fresh=0.0, waive_after=2)
    with server_world.running(
        DirectoryStore(tmp_path / "store"), policy=policy, tenants=server_world.Names()
    ) as client:
        client.token = "local/builder"
        digest = client.publish(offered, key)
        service = Server(url=client.url, signer=server_world.SIGNER)
        pods = [replace(pod, server=service, dir=tmp_path / name) for name in ("one", "two", "three")]
        for each in pods:
            each.dir.with_suffix(".token").write_text(f"local/{each.dir.name}")
        for each in pods[:2]:
            report = each.fetch("--token", str(each.dir.with_suffix(".token"))).report
            assert (report["outcome"], report["archive"]) == ("hit", digest)
            assert "preflight" in report["ms"]
        until(lambda: signed(client.lookup(key)) == "waived", 30, "the service trusts the archive")
        third = pods[2].fetch("--token", str(pods[2].dir.with_suffix(".token"))).report
    assert (third["outcome"], third["archive"]) == ("hit", digest)
    assert "preflight" not in third["ms"]


def signed(answer: dict[str, Any]) -> str:
    """What the first proposal says about the preflight."""
    manifest: dict[str, Any] = json.loads(b64decode(answer["proposals"][0]["manifest"]))
    return str(manifest["preflight"])


@once
def test_a_token_file_with_two_tokens_is_named_and_shown_to_nobody(pod: Pod, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"one{os.linesep}two")
    decision = pod.fetch("--token", str(tmp_path / "token"))
    assert (decision.outcome, decision.code) == ("off", 0)
    assert "holds no token" in decision.why
    assert pod.server.lookups == []

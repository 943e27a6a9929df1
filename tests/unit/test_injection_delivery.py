"""How the agent comes to a pod: from a ConfigMap of its namespace if that has one of our version."""

import base64
import re
from dataclasses import replace

import pytest

from jboost_server import agent_jar
from jboost_server.core.injection.delivery import Agent
from jboost_server.core.injection.inject import inject
from tests.injected import AGENT, AGENT_IMAGE, INSTALLATION, SPACE, cache, pod
from warmroot.api.javacache import AGENT_PATTERN
from warmroot.errors import UserError

BRINGS = replace(INSTALLATION, agent_map=AGENT.name)
JAR = b"PK\x03\x04 and so on"


def brought(found: str, installation) -> tuple[list[str], dict]:
    """Init containers and the agent's volume of a pod whose namespace has this ConfigMap."""
    spec = inject(pod(), SPACE, [cache(agent=found)], installation).pod["spec"]
    (volume,) = (one for one in spec["volumes"] if one.pop("name") == "jboost-agent")
    return [one["name"] for one in spec["initContainers"]], volume


@pytest.mark.parametrize("image_volumes", [False, True])
def test_where_the_namespace_has_the_agent_nobody_copies_it_and_no_image_is_pulled(image_volumes):
    made = brought(AGENT.name, replace(BRINGS, image_volumes=image_volumes))

    assert made == (["jboost-fetch"], {"configMap": {"name": AGENT.name}})
    assert AGENT_IMAGE not in str(made)


@pytest.mark.parametrize("found", ["", Agent.of(b"an older one").name])
def test_an_agent_of_another_version_is_not_mounted(found):
    """It may not know the options that it would be given."""
    assert brought(found, BRINGS) == (["jboost-agent", "jboost-fetch"], {"emptyDir": {}})
    assert brought(AGENT.name, INSTALLATION) == (["jboost-agent", "jboost-fetch"], {"emptyDir": {}})


def test_an_agents_config_map_says_by_its_name_what_is_in_it_and_nobody_changes_it():
    made = AGENT.config_map("shop", {"a": "b"})

    assert re.fullmatch(AGENT_PATTERN, made["metadata"]["name"])
    assert Agent.of(base64.b64decode(made["binaryData"]["agent.jar"])) == AGENT
    assert made["immutable"] is True


def test_a_jar_is_read_whole(tmp_path):
    (tmp_path / "agent.jar").write_bytes(JAR)
    assert agent_jar.read(tmp_path / "agent.jar") == Agent.of(JAR)


@pytest.mark.parametrize("content", [None, b"", b"#!/bin/sh\n", JAR.ljust(agent_jar.MAX_BYTES + 1)])
def test_what_would_keep_pods_from_starting_is_refused_at_once(tmp_path, content):
    path = tmp_path / "agent.jar"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="--agent-jar") as refused:
        agent_jar.read(path)
    assert "leave it out" in refused.value.hint

"""Servers that nobody here wrote, fetched with Maven: WireMock and Apache Jena Fuseki."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from testbed.apps.application import Application, Layout, Request
from testbed.apps.maven import Artifact
from testbed.setup.jdk import Jdk
from testbed.setup.progress import Progress
from warmroot.cache import locked

WIREMOCK = Artifact("org.wiremock", "wiremock-standalone", "3.13.2")
FUSEKI = Artifact("org.apache.jena", "jena-fuseki-server", "5.6.0")
OPENTELEMETRY = Artifact("io.opentelemetry.javaagent", "opentelemetry-javaagent", "2.20.1")
"""A Java agent that rewrites many classes while they are loaded."""
_SPARQL = "SELECT ?s (COUNT(*) AS ?n) WHERE { ?s ?p ?o } GROUP BY ?s ORDER BY ?s LIMIT 5"


def wiremock(cache: Path) -> Application:
    """A server of canned HTTP answers; one jar with everything."""
    return Application(
        name="wiremock",
        jars={Layout.FAT: WIREMOCK.file(_folder(cache))},
        arguments=("--port", "{port}", "--bind-address", "127.0.0.1", "--disable-banner"),
        ready="/__admin/health",
        requests=(_new_stub, _stubs, _not_stubbed, _journal),
    )


def fuseki(cache: Path) -> Application:
    """A database of triples, asked in SPARQL; one jar with everything."""
    return Application(
        name="fuseki",
        jars={Layout.FAT: FUSEKI.file(_folder(cache))},
        arguments=("--port", "{port}", "--localhost", "--update", "--mem", "/ds"),
        ready="/$/ping",
        requests=(_insert, _select, _malformed),
    )


APPLICATIONS: dict[Artifact, Callable[[Path], Application]] = {WIREMOCK: wiremock, FUSEKI: fuseki}


def fetch(jdk: Jdk, cache: Path, progress: Progress) -> tuple[Application, ...]:
    """Fetches what is missing of them. A second caller waits for the first.

    Raises:
        NotInstalled: there is no Maven.
        StepFailed: Maven could not have one.
    """
    folder = _folder(cache)
    with locked(cache / "apps" / "lock", lambda: progress.say("  another set-up fetches; waiting for it")):
        for artifact in (*APPLICATIONS, OPENTELEMETRY):
            if not artifact.file(folder).exists():
                with progress.step(f"Fetch {artifact.name} {artifact.version}"):
                    artifact.fetch(folder, jdk.home)
    return tuple(make(cache) for make in APPLICATIONS.values())


def opentelemetry(cache: Path) -> Path:
    """The agent's jar; it is there after `fetch`."""
    return OPENTELEMETRY.file(_folder(cache))


def _folder(cache: Path) -> Path:
    return cache / "apps" / "foreign"


def _new_stub(dice: random.Random) -> Request:
    number = dice.randint(1, 20)
    stub = {
        "request": {"method": "GET", "urlPathPattern": f"/things/{number}"},
        "response": {"status": 200, "jsonBody": {"thing": number}},
    }
    return Request("new stub", "/__admin/mappings", 201, "POST", json.dumps(stub))


def _stubs(_: random.Random) -> Request:
    return Request("stubs", "/__admin/mappings?limit=5")


def _not_stubbed(dice: random.Random) -> Request:
    return Request("not stubbed", f"/nothing/{dice.randint(1, 20)}", 404)


def _journal(_: random.Random) -> Request:
    return Request("journal", "/__admin/requests?limit=5")


def _insert(dice: random.Random) -> Request:
    triple = (
        f"INSERT DATA {{ <urn:s{dice.randint(1, 9)}> <urn:p{dice.randint(1, 9)}> {dice.randint(1, 99)} }}"
    )
    return Request("insert", "/ds/update", 204, "POST", triple, "application/sparql-update")


def _select(_: random.Random) -> Request:
    return Request("select", f"/ds/query?query={quote(_SPARQL)}")


def _malformed(_: random.Random) -> Request:
    return Request("malformed", f"/ds/query?query={quote('SELECT nothing')}", 400)

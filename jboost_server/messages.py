"""What pods and builders send, taken apart, and the answer to a lookup: docs/jboost-protocol.md as code.

It knows no HTTP: the service and the small one of a single start (`local.front`) read the same bytes the same
way. Whatever is wrong with a request is a BadRequest that names the field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from jboost_server.builds import Result
from jboost_server.catalogue import Answer
from jboost_server.core import buildkey, layout
from jboost_server.core.buildkey import BuildKey
from jboost_server.core.flags import allowed
from jboost_server.core.layout import KeyPlace
from jboost_server.core.lookup import Scope
from jboost_server.core.outcome import Outcome
from jboost_server.outcomes import Report
from warmroot.canonical import Fields, check
from warmroot.errors import BadKey, BadRequest

MAX_LOOKUP = buildkey.MAX_KEY + 1024
"""Bytes of a request that holds a key."""
MAX_REPORT = 64 * 1024
"""Bytes of an outcome or a result."""
MAX_HOLDER = 253
MAX_WITNESS, MAX_WHY = 512, 512


@dataclass(frozen=True)
class Lookup:
    """Which archives fit; `record`: the pod would record if asked to."""

    group: str
    key: BuildKey
    record: bool


@dataclass(frozen=True)
class Told:
    """How a start ended; `key` is the key's digest."""

    group: str
    key: str
    report: Report


@dataclass(frozen=True)
class Witnessed:
    """A JVM died of its archive. `pod` names this one death; `key` is the key's digest."""

    key: str
    pod: str
    report: Report


@dataclass(frozen=True)
class Offer:
    """A builder that would build for a key."""

    group: str
    key: BuildKey
    holder: str


def scope_of(tenant: str, group: str) -> Scope:
    """The asking tenant's group.

    Raises:
        BadRequest: no group can have this name.
    """
    scope = Scope(tenant, group)
    with _refusing():
        layout.check_scope(scope)
    return scope


def place_of(tenant: str, group: str, key: str) -> KeyPlace:
    """The asking tenant's key.

    Raises:
        BadRequest: the group or the digest is none.
    """
    with _refusing():
        return KeyPlace(scope_of(tenant, group), key)


def lookup(data: bytes) -> Lookup:
    """The body of `POST /v1/lookup`.

    Raises:
        BadRequest, BadKey: it is none.
    """
    with _refusing():
        sent = _fields(data)
        found = Lookup(sent.text("group"), _key(sent), sent.boolean("record"))
        sent.finish()
    return found


def outcome(data: bytes) -> Told:
    """The body of `POST /v1/outcomes`.

    Raises:
        BadRequest: it is none.
    """
    with _refusing():
        sent = _fields(data)
        group, key = sent.text("group"), sent.text("key")
        archive, why = sent.text("archive"), _words(sent, "why")
        result, spent = Outcome(sent.text("outcome")), Fields("ms", sent.take("ms"))
        sent.finish()
        check(not archive or layout.is_digest(archive), "archive is no sha256")
        steps = {step: spent.integer(step) for step in tuple(spent.left)}
    return Told(group, key, Report(result, archive, why, tried=steps.get("preflight", 0) > 0))


def witnessed(data: bytes) -> Witnessed:
    """The body of `POST /v1/tenants/<tenant>/groups/<group>/outcomes`.

    Raises:
        BadRequest: it is none, or tells of something that only the pod itself can know.
    """
    with _refusing():
        sent = _fields(data)
        key, archive, pod = sent.text("key"), sent.text("archive"), sent.text("pod")
        result, why = Outcome(sent.text("outcome")), _words(sent, "why")
        sent.finish()
        check(result is Outcome.CRASH, "outcome is not crash")
        check(layout.is_digest(archive), "archive is no sha256")
        check(0 < len(pod) <= MAX_WITNESS and pod.isprintable(), "pod names none")
    return Witnessed(key, pod, Report(result, archive, why[:MAX_WHY], tried=False))


def offer(data: bytes) -> Offer:
    """The body of `POST /v1/builds`.

    Raises:
        BadRequest, BadKey: it is none.
    """
    with _refusing():
        sent = _fields(data)
        found = Offer(sent.text("group"), _key(sent), sent.text("holder"))
        sent.finish()
        check(0 < len(found.holder) <= MAX_HOLDER, f"holder has not 1 to {MAX_HOLDER} characters")
        check(found.holder.isprintable(), "holder is not printable")
    return found


def result(data: bytes) -> Result | str:
    """The body of `POST /v1/builds/<id>/result`: what was measured, or why nothing was.

    Raises:
        BadRequest: it is neither.
    """
    with _refusing():
        sent = _fields(data)
        if "failed" in sent.left:
            why = _words(sent, "failed")
            sent.finish()
            return why or "no reason given"
        found = Result(
            sent.text("digest"), sent.texts("flags"), _starts(sent, "plain"), _starts(sent, "warm")
        )
        sent.finish()
        check(layout.is_digest(found.digest), "digest is no sha256")
        check(all(map(allowed, found.flags)), "flags holds what no archive needs")
    return found


def answer(found: Answer) -> bytes:
    """The answer to a lookup. Envelopes are JSON already, and stand in it as they were signed."""
    recorder = found.recorder
    tree = {
        "outcome": found.outcome.value,
        "why": list(found.why),
        "recorder": recorder
        and {"lease": recorder.lease, "form": recorder.form.value, "settle": recorder.settle},
    }
    head = json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()
    return head[:-1] + b',"proposals":[' + b",".join(found.proposals) + b"]}"


def _fields(data: bytes) -> Fields:
    try:
        return Fields("request", json.loads(data))
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not a JSON object: {error}") from error


def _key(sent: Fields) -> BuildKey:
    tree = sent.take("key")
    try:
        return buildkey.from_tree(tree)
    except ValueError as error:
        raise BadKey(f"not a build key: {error}") from error


def _words(sent: Fields, name: str) -> str:
    """What somebody wrote for people, without what a terminal obeys or UTF-8 has no bytes for."""
    return "".join(each if each.isprintable() else "?" for each in sent.text(name))


def _starts(sent: Fields, name: str) -> tuple[int, ...]:
    values = sent.items(name)
    check(all(type(value) is int for value in values), f"{name} is not a list of integers")
    return tuple(value for value in values if isinstance(value, int))


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise BadRequest(str(error)) from error

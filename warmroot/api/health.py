"""Health checks of a node on trial, and the reasons why one does not hold."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, WithJsonSchema

from warmroot.api.base import BUDGET_PATTERN, LabelSelector, Model, rules, share_schema

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
URL_PATTERN = r"^https?://[^\s/?#@]+([/?#]\S*)?$"
TIMEOUT_PATTERN = r"^([1-9][0-9]{2}ms|([1-9]|[1-5][0-9]|60)s|1m)$"
INTERVAL_PATTERN = r"^([1-9]|[1-9][0-9]|[12][0-9]{2}|300)s$|^[1-5]m$"
MAX_CHECKS = 16
MAX_CACHES = 32
ONE_OF = "give exactly one of pods, http, prometheus, object and javaCaches"

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=63)]
Url = Annotated[str, Field(pattern=URL_PATTERN, max_length=2048)]
MinReady = Annotated[int | str, WithJsonSchema(share_schema("pods"))]
"""A number of pods, or a share of those found such as `90%`, which rounds up."""


class PodsCheck(Model):
    """Enough pods are Ready. None found is a failure. Pods that ended or are being deleted don't count."""

    namespace: Name = Field(description="Their namespace.")
    selector: LabelSelector = Field(description="Which pods; {} for all of the namespace.")
    min_ready: MinReady = Field(
        default="100%", description="How many of them have to be Ready: a number, or a share that rounds up."
    )
    on_node: bool = Field(
        default=True, description="true: only pods on the node that is on trial. false: pods on any node."
    )


class HttpCheck(Model):
    """A GET by the operator answers with this status. Redirects are not followed; no body is read."""

    url: Url = Field(
        description="What is asked. {nodeIP} and {nodeName} stand for the node that is on trial."
        " No user and no password.",
    )
    expect: int = Field(default=200, ge=100, le=599, description="The status code that has to come.")
    ca_secret: Name | None = Field(
        default=None,
        description="A Secret in the operator's namespace whose ca.crt (PEM) vouches for the server."
        " Default: the authorities of the operator's image.",
    )


class PrometheusCheck(Model):
    """An instant query of Prometheus. Of several samples the worst one counts; none is a failure."""

    model_config = rules(("has(self.max) != has(self.min)", "give one of max and min"))

    url: Url = Field(description="Address of Prometheus, without /api/v1. No user and no password.")
    query: str = Field(
        description="PromQL whose value is a scalar or a vector."
        " {nodeIP} and {nodeName} inside of its quotes stand for the node that is on trial.",
        min_length=1,
        max_length=2048,
    )
    max: float | None = Field(default=None, description="No sample may be above it.")
    min: float | None = Field(default=None, description="No sample may be below it.")
    ca_secret: Name | None = Field(
        default=None,
        description="A Secret in the operator's namespace whose ca.crt (PEM) vouches for the server."
        " Default: the authorities of the operator's image.",
    )


class ObjectCheck(Model):
    """A CEL expression about an object of the cluster is true. The operator must be allowed to get it."""

    model_config = rules(
        ("!(self.apiVersion == 'v1' && self.kind == 'Secret')", "no Secrets: what is seen is told in status")
    )

    api_version: str = Field(
        description="group/version of its kind; v1 for the core group.",
        pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?v[0-9][a-z0-9]{0,62}$",
        max_length=317,
    )
    kind: str = Field(description="Its kind.", pattern=r"^[A-Z][A-Za-z0-9]{0,62}$")
    namespace: Name | None = Field(default=None, description="Its namespace, if its kind has them.")
    name: str = Field(
        description="Its name. {nodeName} stands for the node that is on trial.",
        pattern=r"^[A-Za-z0-9{][^\s/%?#]*$",
        max_length=253,
    )
    cel: str = Field(
        description="CEL over `object`, such as object.status.phase == 'Ready'. It has to be true:"
        " a field that is not there, or a value other than true, is a failure.",
        min_length=1,
        max_length=1024,
    )


class JavaCachesCheck(Model):
    """JavaCaches serve, and enough of the recent starts were from an archive. None found is a failure."""

    model_config = rules(
        ("!has(self.names) || size(self.names) == 0 || has(self.namespace)", "names need a namespace")
    )

    namespace: Name | None = Field(default=None, description="Their namespace. Absent: all of the cluster.")
    names: tuple[str, ...] = Field(
        default=(),
        description="JavaCaches by name. Absent: all of the namespace, but those that are off.",
        max_length=MAX_CACHES,
        json_schema_extra={"items": {"type": "string", "minLength": 1, "maxLength": 128}},
    )
    min_coverage: str = Field(
        default="80%",
        description="How many of the recent starts had to be from an archive (status.coverage): 1% to 100%.",
        pattern=BUDGET_PATTERN,
        max_length=4,
    )


class HealthCheck(Model):
    """One check of a node on trial. It is asked again and again until the node is confirmed or given up."""

    model_config = rules(
        (
            "[has(self.pods), has(self.http), has(self.prometheus), has(self.object), has(self.javaCaches)]"
            ".filter(given, given).size() == 1",
            ONE_OF,
        )
    )

    name: Name = Field(description="Name of the check, unique in the object.")
    interval: str = Field(
        default="5s",
        description="How long after one question the next one follows: 1s to 5m.",
        pattern=INTERVAL_PATTERN,
    )
    timeout: str = Field(
        default="5s",
        description="After it there is no answer, which is a failure: 100ms to 1m.",
        pattern=TIMEOUT_PATTERN,
    )
    pods: PodsCheck | None = Field(default=None, description="Enough pods are Ready.")
    http: HttpCheck | None = Field(default=None, description="A GET is answered as expected.")
    prometheus: PrometheusCheck | None = Field(default=None, description="A query's value is in bounds.")
    object: ObjectCheck | None = Field(default=None, description="CEL about an object is true.")
    java_caches: JavaCachesCheck | None = Field(
        default=None, description="Java pods that start now start from an archive."
    )


class CheckReason(StrEnum):
    """Why a health check does not hold."""

    NO_PODS = "NoPods"
    """No pod of the selector is on the node."""
    PODS_NOT_READY = "PodsNotReady"
    """A pod of the selector is not Ready."""
    TIMED_OUT = "TimedOut"
    """No answer within the check's timeout."""
    UNREACHABLE = "Unreachable"
    """No connection."""
    UNTRUSTED = "Untrusted"
    """The certificate is not vouched for."""
    NO_CA = "NoCA"
    """The Secret with the authority can't be read."""
    NO_ADDRESS = "NoAddress"
    """The node has no address to ask at."""
    REDIRECTED = "Redirected"
    """The answer is another address."""
    WRONG_STATUS = "WrongStatus"
    """Another HTTP status than asked for."""
    BAD_ANSWER = "BadAnswer"
    """What answers does not speak as it should."""
    TOO_LARGE = "TooLarge"
    """The answer is too large to be read."""
    QUERY_FAILED = "QueryFailed"
    """Prometheus can't run the query."""
    NO_SAMPLE = "NoSample"
    """The query gives nothing."""
    NOT_A_NUMBER = "NotANumber"
    """The query gives NaN."""
    WRONG_TYPE = "WrongType"
    """The query gives neither a vector nor a scalar."""
    OUT_OF_BOUNDS = "OutOfBounds"
    """A value is outside what was asked for."""
    NO_KIND = "NoKind"
    """The API server does not know the kind."""
    NO_OBJECT = "NoObject"
    """There is no such object."""
    NO_FIELD = "NoField"
    """The expression asks for a field that is not there."""
    NOT_TRUE = "NotTrue"
    """The expression gives false."""
    NOT_A_BOOL = "NotABool"
    """The expression gives neither true nor false."""
    CEL_FAILED = "CelFailed"
    """The expression can't be applied to this object."""
    CEL_TOO_DEAR = "CelTooDear"
    """The expression loops too often, or needs too much time or memory."""
    NO_CACHE = "NoCache"
    """There is no such JavaCache."""
    CACHE_UNKNOWN = "CacheUnknown"
    """Its controller, the cache service or its pods have said nothing yet."""
    CACHE_NOT_SERVING = "CacheNotServing"
    """The JavaCache serves no archive."""
    LOW_COVERAGE = "LowCoverage"
    """Fewer of the recent starts were from an archive than asked for."""
    FORBIDDEN = "Forbidden"
    """The operator has no right to look."""
    API_ERROR = "ApiError"
    """The API server answers with another error."""

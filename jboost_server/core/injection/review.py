"""admission.k8s.io/v1: what the API server asks, and what it is told. Every answer lets the pod in."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from jboost_server.core.injection.choose import Cache
from jboost_server.core.injection.inject import Injection, inject
from jboost_server.core.injection.installation import Installation
from jboost_server.core.injection.reason import Reason

Object = dict[str, Any]


def namespace_of(review: Object) -> str:
    """The namespace of the pod that a review is about.

    Raises:
        ValueError: it is no review of a new pod.
    """
    request = review.get("request") if isinstance(review, dict) else None
    if not isinstance(request, dict) or not isinstance(request.get("uid"), str):
        raise ValueError("it is no AdmissionReview with a request")
    kind = request.get("kind") or {}
    if (kind.get("group"), kind.get("kind"), request.get("operation")) != ("", "Pod", "CREATE"):
        raise ValueError("it is not about a new pod")
    return str(request.get("namespace") or "")


def decide(
    review: Object, caches: Sequence[Cache], installation: Installation, *, record: bool = False
) -> Injection:
    """What becomes of the pod of a review; with `record` it may record.

    Raises:
        ValueError: it is no review of a new pod.
    """
    namespace = namespace_of(review)
    pod = review["request"].get("object")
    try:
        return inject(pod, namespace, caches, installation, record=record)
    except ValueError as error:
        return Injection(Reason.UNREADABLE, str(error), pod)


def answer(review: Object, injection: Injection) -> Object:
    """The answer to a review: the pod is let in, with a patch if there is one."""
    response: Object = {
        "uid": review["request"]["uid"],
        "allowed": True,
        "auditAnnotations": {"reason": injection.reason.value},
    }
    if injection.patch:
        text = json.dumps(injection.patch, separators=(",", ":")).encode()
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(text).decode()}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}

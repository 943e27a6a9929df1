"""Errors as answers: `{"error": {"reason", "message", "hint"}}` and the status that fits."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from warmroot import errors
from warmroot.errors import WarmrootError

MAX_REST = 999_999_999
"""Bytes of a refused body that are taken and thrown away."""
log = logging.getLogger(__name__)
_STATUS: tuple[tuple[type[WarmrootError], int], ...] = (
    (errors.TooLarge, 413),
    (errors.NoLease, 403),
    (errors.NotBuilder, 403),
    (errors.WrongGroup, 403),
    (errors.NoOrder, 404),
    (errors.Held, 409),
    (errors.BadRange, 416),
    (errors.UploadError, 400),
    (errors.AccessError, 401),
    (errors.NoObject, 404),
    (errors.StoreFull, 507),
    (errors.StoreError, 503),
    (errors.NetworkError, 503),
    (errors.ClusterError, 503),
)


def status_of(error: WarmrootError) -> int:
    """The HTTP status of an error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def answer(error: WarmrootError, *, status: int = 0) -> JSONResponse:
    """The answer that an error is."""
    status = status or status_of(error)
    content = {"error": {"reason": error.reason, "message": error.message, "hint": error.hint}}
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        headers["Retry-After"] = "1"
    return JSONResponse(content, status, headers)


def install(app: FastAPI) -> None:
    """Makes every error of this application answer so."""
    app.add_exception_handler(WarmrootError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _bug)


async def _ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, WarmrootError)
    response = answer(error)
    if _goes_on(request):
        response.headers["Connection"] = "close"
    if response.status_code >= 500:
        log.error(error.message, extra={"reason": error.reason, "path": request.url.path})
    return response


def _goes_on(request: Request) -> bool:
    """Whether the rest of the body is too much to take. A shorter one is taken: its sender reads on."""
    promised = request.headers.get("content-length", "0")
    return "transfer-encoding" in request.headers or len(promised) > len(str(MAX_REST))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return answer(errors.BadRequest(f"{where or request.url.path}: {first['msg']}"))


async def _framework(request: Request, error: Exception) -> JSONResponse:
    """No such path, another method: what the framework refuses by itself."""
    assert isinstance(error, HTTPException)
    found = errors.BadRequest(f"{request.method} {request.url.path}: {error.detail}")
    response = answer(found, status=error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _bug(request: Request, error: Exception) -> JSONResponse:
    log.error("a bug", exc_info=error, extra={"path": request.url.path})
    return answer(errors.Bug(f"{type(error).__name__} in {request.method} {request.url.path}"))

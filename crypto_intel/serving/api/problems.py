"""Errors as application/problem+json (RFC 9457). They say what is allowed and show nothing of the inside."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import psycopg
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from crypto_intel.serving.database import UnavailableError
from crypto_intel.serving.queries.query import BadQueryError

MEDIA_TYPE = "application/problem+json"
log = structlog.get_logger(__name__)


class ProblemError(Exception):
    """An answer that is no success.

    Args:
        status: of HTTP.
        word: the same for the same fault; ends the problem's type.
        detail: for people.
    """

    def __init__(
        self, status: int, word: str, detail: str, *, errors: list[dict[str, Any]] | None = None, **headers: str
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.word = word
        self.detail = detail
        self.errors = errors or []
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def respond(request: Request, problem: ProblemError) -> Response:
    """The problem as an answer."""
    body = {
        "type": f"urn:crypto-intel:problem:{problem.word}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.url.path,
        "errors": problem.errors,
    }
    headers = {**getattr(request.state, "headers", {}), **problem.headers, "Cache-Control": "no-store"}
    return Response(msgspec.json.encode(body), problem.status, headers, MEDIA_TYPE)


def answer_to(request: Request, error: Exception) -> Response:
    """The answer to an error that the app knows."""
    return respond(request, _translate(error))


def install(app: FastAPI) -> None:
    """Make every error of the app a problem."""

    async def of_ours(request: Request, error: Exception) -> Response:
        return answer_to(request, error)

    kinds: tuple[type[Exception], ...] = (
        ProblemError,
        RequestValidationError,
        HTTPException,
        BadQueryError,
        UnavailableError,
        psycopg.DataError,
    )
    for kind in kinds:
        app.add_exception_handler(kind, of_ours)

    async def unexpected(request: Request, error: Exception) -> Response:
        # The type alone: a message may repeat a value or a connection string.
        log.error("request failed", path=request.url.path, error=type(error).__name__)
        return respond(request, ProblemError(500, "internal", "the server failed; its log names the request"))

    app.add_exception_handler(Exception, unexpected)


def _translate(error: Exception) -> ProblemError:
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, HTTPException):
        return _of_http(error)
    if isinstance(error, UnavailableError):
        return ProblemError(503, "unavailable", "the database does not answer now; try again soon", Retry_After="2")
    errors = [_field(fault) for fault in error.errors()] if isinstance(error, RequestValidationError) else []
    detail = "a value is out of the range of its type"  # what PostgreSQL refuses; its own words may repeat the value
    if isinstance(error, BadQueryError):
        detail = str(error)
    elif errors:
        detail = f"does not fit: {', '.join(sorted({fault['field'] for fault in errors}))}"
    return ProblemError(422, "invalid-parameters", detail, errors=errors)


def _of_http(error: HTTPException) -> ProblemError:
    word = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    details = {404: "there is nothing here; /api/v1/docs lists what there is", 405: "this method is not for this path"}
    problem = ProblemError(error.status_code, word, details.get(error.status_code, str(error.detail)))
    problem.headers = dict(error.headers or {})
    return problem


def _field(fault: Mapping[str, Any]) -> dict[str, Any]:
    # The input is not repeated: it may be long, or somebody's secret in the wrong place.
    place = [str(part) for part in fault["loc"] if part not in {"query", "body", "path"}]
    context = fault.get("ctx", {})
    allowed = context.get("expected") or context.get("pattern")
    if fault["type"] == "extra_forbidden":
        allowed = "only the documented parameters"
    return {"field": ".".join(place) or str(fault["loc"][0]), "message": fault["msg"], "allowed": allowed}

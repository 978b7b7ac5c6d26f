"""How an endpoint is described in OpenAPI: its answers and its problems."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from crypto_intel.serving.api.guard import MAX_BODY
from crypto_intel.serving.api.models import Problem, page_of
from crypto_intel.serving.api.problems import MEDIA_TYPE

_PROBLEMS = {
    "400": "The body is no JSON.",
    "401": "No credential, or none that is good.",
    "403": "The credential may not do this.",
    "404": "There is no such thing.",
    "413": f"The body has more than {MAX_BODY} bytes.",
    "422": "A parameter does not fit; `errors` says which and what would.",
    "429": "Too many requests; Retry-After says when to go on.",
    "503": "The database does not answer now.",
}
_TABLES = ("text/csv", "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream")


def page(row: type[BaseModel], doc: str) -> dict[int | str, dict[str, Any]]:
    """Answers of an endpoint that gives pages of such rows, in every format."""
    tables = {media: {"schema": {"type": "string", "format": "binary"}} for media in _TABLES}
    return {
        200: {"model": page_of(row), "description": doc, "content": tables, "headers": _HEADERS},
        304: {"description": "As If-None-Match knows it."},
    }


def thing(model: type[BaseModel], doc: str) -> dict[int | str, dict[str, Any]]:
    """Answers of an endpoint that gives one object."""
    return {
        200: {"model": model, "description": doc, "headers": _HEADERS},
        304: {"description": "As If-None-Match knows it."},
    }


_HEADERS = {
    "ETag": {"description": "For If-None-Match.", "schema": {"type": "string"}},
    "RateLimit-Remaining": {"description": "Requests left in this minute.", "schema": {"type": "string"}},
}


def openapi(app: FastAPI) -> dict[str, Any]:
    """The app's OpenAPI document: every operation with its problems as RFC 9457 has them."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    model = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(model.pop("$defs", {}))
    schemas["Problem"] = model
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path in document["paths"].values():
        for operation in path.values():
            answers = operation["responses"]
            answers.pop("422", None)
            if operation.get("security"):
                problems_of = {s: {"description": d, "content": content} for s, d in _PROBLEMS.items()}
                if "requestBody" not in operation:
                    del problems_of["400"], problems_of["413"]
                answers.update(problems_of)
            operation["responses"] = dict(sorted(answers.items()))
    return document

"""The page that shows the API's description: Swagger UI from a package, so that it works without the net."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.responses import HTMLResponse


def add_docs(app: FastAPI, prefix: str) -> None:
    """Serve the page at `prefix`/docs, and what it is made of beside it."""
    # The files alone: its app would be a layer over ours for nothing more.
    files = Path(str(resources.files("fastapi_offline"))) / "static"
    app.mount(f"{prefix}/docs-files", StaticFiles(directory=files), name="docs-files")

    async def page() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=f"{prefix}/openapi.json",
            title=app.title,
            swagger_js_url=f"{prefix}/docs-files/swagger-ui-bundle.js",
            swagger_css_url=f"{prefix}/docs-files/swagger-ui.css",
            swagger_favicon_url=f"{prefix}/docs-files/favicon.png",
        )

    app.add_api_route(f"{prefix}/docs", page, include_in_schema=False)

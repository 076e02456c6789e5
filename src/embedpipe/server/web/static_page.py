"""The page at `/`: three files of our own, which the browser may load nothing beside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse

from embedpipe.server.web.auth import PAGE_PATHS

_FOLDER = Path(__file__).parent / "page"
_FILES = {"/": "index.html", **{f"{PAGE_PATHS}{name}": name for name in ("app.js", "icon.svg", "style.css")}}
ICON = f"{PAGE_PATHS}icon.svg"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def add_page(app: FastAPI) -> None:
    """Serves the page and its files."""
    for path, name in _FILES.items():
        app.add_api_route(path, _sender(name), methods=["GET", "HEAD"], include_in_schema=False)


def _sender(name: str) -> Callable[[], Awaitable[FileResponse]]:
    async def send() -> FileResponse:
        return FileResponse(_FOLDER / name, headers=_HEADERS)

    return send

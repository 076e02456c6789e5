"""The search page at `/` and its files. The browser may load nothing else."""

from __future__ import annotations

from pathlib import Path

from fastapi import HTTPException
from starlette.responses import FileResponse

from embedpipe.server.web import Access, Routes

routes = Routes("page")

_FOLDER = Path(__file__).parents[1] / "page"
_FILES = frozenset(path.name for path in _FOLDER.iterdir() if path.suffix in (".js", ".svg", ".css"))
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


@routes.add("GET HEAD", "/", Access.PAGE, include_in_schema=False)
async def page() -> FileResponse:
    """Return the search page."""
    return FileResponse(_FOLDER / "index.html", headers=_HEADERS)


@routes.add("GET HEAD", "/page/{name}", Access.OPEN, include_in_schema=False)
async def page_file(name: str) -> FileResponse:
    """Return a script, style or picture of the page."""
    if name not in _FILES:
        raise HTTPException(404)
    return FileResponse(_FOLDER / name, headers=_HEADERS)

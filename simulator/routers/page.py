"""`/simulator`: the phone in the browser. Its files need no key; all that they ask for does."""

from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

_FOLDER = Path(__file__).parents[1] / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
    "media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self)",
    "Cache-Control": "no-cache",
}

router = APIRouter(prefix="/simulator")


@router.get("")
async def page() -> Response:
    """Show the phone."""
    return _file("index.html")


@router.get("/page/{name}")
async def part(name: str) -> Response:
    """Give one of the page's files."""
    return _file(name)


def _file(name: str) -> Response:
    known = {each.name: each for each in _FOLDER.iterdir() if each.suffix in _TYPES}
    if name not in known:
        raise HTTPException(404)
    file = known[name]
    return Response(file.read_bytes(), media_type=_TYPES[file.suffix], headers=_HEADERS)

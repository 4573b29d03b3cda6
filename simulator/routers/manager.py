"""`/manager`: where the real one has its web interface, a page that says what runs here instead."""

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse

from simulator import VERSION

router = APIRouter(prefix="/manager")

_PAGE = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Evolution API simulator</title></head>
<body style="font-family: sans-serif; max-width: 40em; margin: 3em auto">
<h1>This is a simulator</h1>
<p>It stands in for Evolution API {VERSION} and keeps its HTTP contract, so that an application can be built without a phone.
No message sent here reaches WhatsApp. The real web interface comes with the real image.</p>
</body>
</html>
"""


@router.get("")
async def to_folder() -> RedirectResponse:
    """Add the slash, as the real one does."""
    return RedirectResponse("/manager/", status_code=301)


@router.get("/{path:path}")
async def page() -> HTMLResponse:
    """Show the page, whatever the path."""
    return HTMLResponse(_PAGE)

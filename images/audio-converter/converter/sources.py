"""Where the audio comes from: an uploaded file, a base64 text or a URL, in this order, always made a real file."""

import asyncio
import base64
import binascii
import re
import tempfile
from typing import IO, Final

import httpx
from starlette.datastructures import FormData, UploadFile

URL_SECONDS: Final = 30.0
"""How long a URL may take, all in all."""

_NOT_BASE64: Final = re.compile(r"[^A-Za-z0-9+/=]")
_LINE_BREAKS: Final = {ord("\r"): None, ord("\n"): None}


class SourceError(Exception):
    """The request brings no audio; the text goes into the answer."""


async def audio_of(form: FormData) -> IO[bytes]:
    """The audio that a form brings, as a real file that the caller closes.

    Raises:
        SourceError: none is given, the base64 is none, or the URL gives nothing in time.
    """
    upload, text, url = form.get("file"), form.get("base64"), form.get("url")
    if isinstance(upload, UploadFile):
        return upload.file
    if isinstance(text, str) and text:
        return await asyncio.to_thread(_decoded, text)
    if isinstance(url, str) and url:
        return await _fetched(url)
    raise SourceError("no file, base64 or URL provided")


def _decoded(text: str) -> IO[bytes]:
    """The bytes of a base64 text; line breaks are allowed in it."""
    text = text.translate(_LINE_BREAKS)
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        wrong = _NOT_BASE64.search(text)
        # The original names the first byte that can't be, or the group of four that is cut off.
        position = wrong.start() if wrong else len(text.rstrip("=")) // 4 * 4
        raise SourceError(f"illegal base64 data at input byte {position}") from error
    file = tempfile.TemporaryFile()  # noqa: SIM115 - handed on
    file.write(content)
    return file


async def _fetched(url: str) -> IO[bytes]:
    """What a URL gives, whatever its status: ffmpeg decides whether that is audio, as in the original."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - handed on
    try:
        async with (
            asyncio.timeout(URL_SECONDS),
            httpx.AsyncClient(follow_redirects=True, timeout=URL_SECONDS) as client,
            client.stream("GET", url) as response,
        ):
            async for chunk in response.aiter_bytes():
                file.write(chunk)
    except TimeoutError as error:
        file.close()
        raise SourceError(f'Get "{url}": no complete answer within {URL_SECONDS:.0f} s') from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        file.close()
        raise SourceError(f'Get "{url}": {error}') from error
    except BaseException:
        file.close()
        raise
    return file

"""The HTTP contract: two routes, the key, and every answer as the original gives it."""

import asyncio
import base64
import hmac
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from converter.conversion import ConversionError, Converted, convert
from converter.sources import SourceError, audio_of

log = logging.getLogger(__name__)

# A base64 text comes as a form value, which is held in memory: the original's own limit.
_FORM_VALUE_BYTES: Final = 42 * 1024 * 1024
_CHUNK: Final = 48 * 1024  # divisible by 3, so that the base64 of the chunks is the base64 of the whole

_MEDIA_TYPE: Final = "application/json; charset=utf-8"
_CLIENT_GONE: Final = 499  # nobody reads it; nginx's number, for the log


def application(api_key: str) -> Starlette:
    """The web application.

    Args:
        api_key: what callers must send as the header `apikey`; when it is empty, every call is answered by 500.
    """
    # ffmpeg uses a core: more at once would only take more memory and time for each.
    slots = asyncio.Semaphore(os.cpu_count() or 1)
    routes = [
        Route("/process-audio", _guarded(api_key, slots, _converted), methods=["POST"]),
        Route("/transcribe", _guarded(api_key, slots, _not_transcribed), methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_found})


def _guarded(
    api_key: str, slots: asyncio.Semaphore, answer: Callable[[Converted, str], Response]
) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that checks the key, converts what the form brings, and lets `answer` say what comes of it."""

    async def endpoint(request: Request) -> Response:
        if not api_key:
            return _error(500, "Internal server error")
        given = request.headers.get("apikey", "")
        if not given:
            return _error(401, "API_KEY not provided")
        if not hmac.compare_digest(given.encode(), api_key.encode()):
            return _error(401, "Invalid API_KEY")

        form = await _form(request)
        target_format = form.get("format", "ogg")
        if not isinstance(target_format, str):
            target_format = "ogg"
        work = asyncio.create_task(_work(form, target_format, slots))
        gone = asyncio.create_task(_disconnected(request))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                log.info("the client went away: conversion given up")
                return Response(status_code=_CLIENT_GONE)
            return answer(work.result(), target_format)
        except SourceError as error:
            return _error(400, str(error))
        except ConversionError as error:
            log.info("ffmpeg could not convert to %r", target_format)
            return _error(500, str(error))
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
            await form.close()

    return endpoint


async def _work(form: FormData, target_format: str, slots: asyncio.Semaphore) -> Converted:
    source = await audio_of(form)
    try:
        async with slots:
            start = time.monotonic()
            converted = await convert(source, target_format)
            log.info("%d s of audio converted to %r in %.2f s", converted.duration, target_format, time.monotonic() - start)
            return converted
    finally:
        source.close()


async def _form(request: Request) -> FormData:
    """The form; an unreadable one, like any other body, is one without fields."""
    try:
        return await request.form(max_part_size=_FORM_VALUE_BYTES)
    except HTTPException:
        return FormData()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _converted(converted: Converted, target_format: str) -> Response:
    """The answer of /process-audio, straight from the file: base64 of a long recording is never in memory as a whole."""
    before = b'{"audio":"'
    after = f'","duration":{converted.duration},"format":{json.dumps(target_format)}}}'.encode()
    length = len(before) + (converted.size + 2) // 3 * 4 + len(after)

    def body() -> Iterator[bytes]:
        with converted.file as file:
            file.seek(0)
            yield before
            while chunk := file.read(_CHUNK):
                yield base64.b64encode(chunk)
            yield after

    return StreamingResponse(body(), media_type=_MEDIA_TYPE, headers={"content-length": str(length)})


def _not_transcribed(converted: Converted, _: str) -> Response:
    converted.file.close()
    return _error(500, "transcription is not enabled")


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status, media_type=_MEDIA_TYPE)


async def _not_found(_request: Request, _error: Exception) -> Response:
    return PlainTextResponse("404 page not found", 404)

"""Media on their way: fetched from where a caller says, and put into MinIO as 2.2.3 does it."""

from posixpath import join

import httpx

from simulator.media import Media
from simulator.messages.content import MEDIA_TYPES, Content, file_name
from simulator.messages.files import type_of
from simulator.messages.store import StoredFile

_FETCH_LIMIT_S = 60


async def fetch(url: str) -> tuple[bytes, str | None]:
    """Fetch a file and the type that its server gives it.

    Raises:
        FetchError: nobody answers, or not with the file. The text is axios's.
    """
    target = url if "://" in url else f"http://{url}"
    try:
        async with httpx.AsyncClient(follow_redirects=True, timeout=_FETCH_LIMIT_S) as client:
            answer = await client.get(target)
    except httpx.ConnectError as error:
        raise FetchError(f"connect ECONNREFUSED ({error})") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchError(str(error) or type(error).__name__) from None
    if not answer.is_success:
        raise FetchError(f"Request failed with status code {answer.status_code}")
    return answer.content, answer.headers.get("content-type")


class FetchError(Exception):
    """A file couldn't be fetched."""


async def stored(media: Media, content: Content, folder: str, key_id: str, *, upload: bool) -> tuple[StoredFile | None, str | None]:
    """Put a message's file into the bucket, if that is wanted and switched on.

    Gives what to keep of it, None for a message without media; and the URL at which it can be read, None without S3. With MinIO away
    the URL leads to nothing.
    """
    if content.file is None or content.type not in MEDIA_TYPES:
        return None, None
    described = content.media
    name = file_name(key_id, described)
    plain = StoredFile(content.type, described["mimetype"], content.file)
    if not (upload and media.enabled):
        return plain, None
    key = join(folder, content.type, name)
    url = await media.put(key, content.file, type_of(name) or "false")
    return StoredFile(plain.type, plain.mimetype, plain.content, key), url

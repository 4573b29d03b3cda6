"""`/message`: sending."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from simulator.errors import Answer, ApiError, bad_request, internal_error
from simulator.express import BODY_LIMIT
from simulator.guards import Body, InstanceName, Running, global_key_or_token, instance_exists
from simulator.instance import Instance
from simulator.messages import schemas
from simulator.messages.validation import Schema, problems

GUARDED = [Depends(instance_exists), Depends(global_key_or_token)]
NOT_SIMULATED = ("sendPtv", "sendList", "sendButtons", "sendStatus")

router = APIRouter(prefix="/message", dependencies=GUARDED)


def checked(body: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """Give a body back that fits a schema.

    Raises:
        ApiError: 400 with a list in a list.
    """
    wrong = problems(body, schema)
    if wrong:
        raise bad_request(wrong)
    return body


async def form_body(request: Request, body: Body) -> tuple[dict[str, Any], bytes | None]:
    """Give the fields of a multipart form and the upload in its field `file`, or a JSON body and None.

    Raises:
        ApiError: 500, as multer's errors are: another field has a file, or the form is broken.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return body, None
    fields: dict[str, Any] = {}
    upload: bytes | None = None
    try:
        async with request.form(max_part_size=BODY_LIMIT) as form:
            for name, value in form.multi_items():
                if not isinstance(value, UploadFile):
                    fields[name] = value
                elif name == "file" and upload is None:
                    upload = await value.read()
                else:
                    raise internal_error("Unexpected field")
    except HTTPException as error:
        raise internal_error(str(error.detail)) from None
    return fields, upload


Form = Annotated[tuple[dict[str, Any], bytes | None], Depends(form_body)]


def _created(content: object) -> Answer:
    return Answer(content, status_code=HTTPStatus.CREATED)


@router.post("/sendText/{instance_name}")
async def send_text(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Send words."""
    checked(body, schemas.TEXT)
    return _created(await simulator.messages.sender.text(simulator.instances.known(name, "textMessage"), body))


@router.post("/sendMedia/{instance_name}")
async def send_media(simulator: Running, name: InstanceName, form: Form) -> Answer:
    """Send an image, a document, a video or a sound."""
    body = checked(form[0], schemas.MEDIA)
    return _created(await simulator.messages.sender.file(simulator.instances.known(name, "mediaMessage"), body, form[1]))


@router.post("/sendWhatsAppAudio/{instance_name}")
async def send_audio(simulator: Running, name: InstanceName, form: Form) -> Answer:
    """Send a recording."""
    body = checked(form[0], schemas.AUDIO)
    return _created(await simulator.messages.sender.voice(simulator.instances.known(name, "audioWhatsapp"), body, form[1]))


@router.post("/sendSticker/{instance_name}")
async def send_sticker(simulator: Running, name: InstanceName, form: Form) -> Answer:
    """Send a sticker."""
    body = checked(form[0], schemas.STICKER)
    return _created(await simulator.messages.sender.sticker(simulator.instances.known(name, "mediaSticker"), body, form[1]))


def _simple(path: str, schema: Schema, method: str, send: Callable[..., Callable[[Instance, dict[str, Any]], Awaitable[Any]]]) -> None:
    """Add a route that takes JSON and sends it."""

    @router.post(f"/{path}/{{instance_name}}", name=path)
    async def route(simulator: Running, name: InstanceName, body: Body) -> Answer:
        checked(body, schema)
        return _created(await send(simulator.messages.sender)(simulator.instances.known(name, method), body))


_simple("sendLocation", schemas.LOCATION, "locationMessage", lambda sender: sender.location)
_simple("sendContact", schemas.CONTACT, "contactMessage", lambda sender: sender.contact)
_simple("sendReaction", schemas.REACTION, "reactionMessage", lambda sender: sender.reaction)
_simple("sendPoll", schemas.POLL, "pollMessage", lambda sender: sender.poll)


@router.post("/sendTemplate/{instance_name}")
async def send_template() -> Answer:
    """Refuse, as 2.2.3 does for a phone's own number."""
    raise internal_error("Method not available in the Baileys service")


def _not_simulated(path: str) -> None:
    @router.post(f"/{path}/{{instance_name}}", name=path)
    async def route() -> Answer:
        """Say that only the real one does this."""
        raise ApiError(HTTPStatus.NOT_IMPLEMENTED, "Not Implemented", [f"The simulator has no {path}: the real Evolution API has it"])


for _path in NOT_SIMULATED:
    _not_simulated(_path)

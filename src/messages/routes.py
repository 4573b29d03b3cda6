"""The routes under /messages."""

import logging
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Header, Query, Response, status
from sqlalchemy import RowMapping

from src import problems
from src.access import SECURED
from src.messages import store
from src.messages.schemas import EXAMPLES, MessageOut, MessagePage, MessageQuery, NewMessage
from src.openapi import location
from src.parameters import GIVEN_ONCE
from src.problems import InvalidPart, ProblemError, not_valid, responses
from src.resources import UsedResources

router = APIRouter(prefix="/messages", tags=["messages"], dependencies=SECURED)
_log = logging.getLogger("app.messages")

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Any text of the caller's that is new for each message of an instance. A request of that instance that is repeated "
        "with it stores nothing more.",
        examples=["0b0a6b5e-5c3f-4d0e-9a53-3f5c7b8d9e10"],
    ),
]


@router.post(
    "",
    operation_id="sendMessage",
    summary="Send a message",
    status_code=status.HTTP_202_ACCEPTED,
    response_description="Stored, and on its way",
    responses={
        status.HTTP_200_OK: {"model": MessageOut, "description": "Stored before, by a request with the same idempotency key"}
        | location("message"),
        status.HTTP_202_ACCEPTED: location("message"),
        **responses(
            *problems.OF_JSON_BODY,
            problems.UNAUTHORIZED,
            problems.INSTANCE_UNKNOWN,
            problems.IDEMPOTENCY_KEY_REUSED,
            problems.INTERNAL_ERROR,
            problems.DATABASE_UNUSABLE,
        ),
    },
)
async def send(
    new: Annotated[NewMessage, Body(openapi_examples=EXAMPLES)],
    response: Response,
    resources: UsedResources,
    idempotency_key: IdempotencyKey = None,
) -> MessageOut:
    """Store the message and answer; it is sent in the order of its chat, as soon as its instance is connected.

    `GET` the path in `Location` to see what became of it.
    """
    idempotency = store.Idempotency(idempotency_key, new.request_hash()) if idempotency_key else None
    try:
        stored = await store.add(resources.engine, new.draft(), idempotency)
    except store.InstanceMissingError:
        raise ProblemError(
            problems.INSTANCE_UNKNOWN,
            f"There is no instance {new.instance!r}.",
            "create it, or take it over from Evolution API, by POST /instances.",
        ) from None
    except store.KeyReusedError:
        raise ProblemError(
            problems.IDEMPOTENCY_KEY_REUSED,
            f"The idempotency key {idempotency_key!r} came with another request for the instance {new.instance!r} before.",
            "use a new key for each message, and the same one only to repeat a request.",
        ) from None
    if stored.is_new:
        resources.bell.ring()
    message = _shown(stored.message)
    what = "message queued" if stored.is_new else "message was queued before"
    _log.info(what, extra={"message_id": message.id, "instance": message.instance, "type": message.type})
    if not stored.is_new:
        response.status_code = status.HTTP_200_OK
    response.headers["Location"] = f"/messages/{message.id}"
    return message


@router.get(
    "",
    operation_id="listMessages",
    summary="List messages",
    response_description="A page of messages, newest first",
    dependencies=GIVEN_ONCE,
    responses=responses(problems.UNAUTHORIZED, problems.VALIDATION_FAILED, problems.INTERNAL_ERROR, problems.DATABASE_UNUSABLE),
)
async def list_messages(query: Annotated[MessageQuery, Query()], resources: UsedResources) -> MessagePage:
    """Return messages of both directions in the order in which they were stored, newest first.

    A page's `next_cursor`, with the same filters, gives the page after it; messages that come in the meantime don't move it.
    """
    try:
        page = await store.page(resources.engine, query.filter(), query.limit, query.cursor)
    except store.CursorError as error:
        raise not_valid([InvalidPart(pointer="query/cursor", detail=str(error))]) from None
    return MessagePage(items=[_shown(message) for message in page.messages], next_cursor=page.next_cursor)


@router.get(
    "/{message_id}",
    operation_id="getMessage",
    summary="Get a message",
    response_description="The message",
    responses=responses(
        problems.UNAUTHORIZED, problems.MESSAGE_UNKNOWN, problems.VALIDATION_FAILED, problems.INTERNAL_ERROR, problems.DATABASE_UNUSABLE
    ),
)
async def get(message_id: UUID, resources: UsedResources) -> MessageOut:
    """Return a message as it is now."""
    message = await store.get(resources.engine, message_id)
    if message is None:
        raise ProblemError(problems.MESSAGE_UNKNOWN, f"There is no message {message_id}.")
    return _shown(message)


def _shown(message: RowMapping) -> MessageOut:
    return MessageOut.model_validate(dict(message))

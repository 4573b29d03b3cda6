"""`/s3`: what lies in MinIO. As in 2.2.3 it isn't looked at whose files they are: any instance finds those of all."""

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends

from simulator.errors import Answer, bad_request
from simulator.guards import Body, Running, global_key_or_token, instance_exists
from simulator.messages.validation import Schema, problems
from simulator.runtime import Simulator
from simulator.store import Row, camel

_SCHEMA: Schema = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "type": {"type": "string"}, "messageId": {"type": "integer"}},
    "notEmpty": ["id", "type", "messageId"],
}
_DIGITS: Row = {"type": "string", "pattern": r"\d+", "minLength": 1}
_URL_SCHEMA: Schema = {"type": "object", "properties": {"id": _DIGITS, "expiry": _DIGITS}, "required": ["id"], "notEmpty": ["id"]}

_FOUND = """
    select media.id, media.object, media.type, media.mimetype, media.created_at, message.id as message_id, key, push_name, message_type,
        message, context_info, source, message_timestamp, message.instance_id, status
    from media join message on message.id = media.message_id
    where object is not null and not held and ($1::text is null or media.id = $1) and ($2::text is null or media.type = $2)
    order by media.created_at
"""
_MESSAGE = ("key", "push_name", "message_type", "message", "context_info", "source", "message_timestamp", "instance_id", "status")
_NEVER_SET = (
    "participant",
    "chatwootMessageId",
    "chatwootInboxId",
    "chatwootConversationId",
    "chatwootContactInboxSourceId",
    "chatwootIsRead",
    "webhookUrl",
    "sessionId",
)
"""Columns of Prisma's that nothing here fills."""

router = APIRouter(prefix="/s3", dependencies=[Depends(instance_exists), Depends(global_key_or_token)])


@router.post("/getMedia/{instance_name}")
async def get_media(simulator: Running, body: Body) -> Answer:
    """List files and their messages, by the file's id or its type."""
    wrong = problems(body, _SCHEMA)
    if wrong:
        raise bad_request(wrong)
    if "messageId" in body:
        raise bad_request("Argument `messageId`: Invalid value provided. Expected StringFilter or String, provided Int.")
    return Answer(await _found(simulator, body.get("id"), body.get("type")), status_code=HTTPStatus.CREATED)


@router.post("/getMediaUrl/{instance_name}")
async def get_media_url(simulator: Running, body: Body) -> Answer:
    """Give a file's URL, good for `expiry` seconds."""
    wrong = problems(body, _URL_SCHEMA)
    if wrong:
        raise bad_request(wrong)
    media = (await _found(simulator, body["id"], None))[0]
    try:
        expiry = {"expires": timedelta(seconds=int(body["expiry"]))} if "expiry" in body else {}
    except ValueError:
        raise bad_request("expirySeconds should be of type int") from None
    url = await simulator.media.url(media["fileName"], **expiry)
    return Answer(({"mediaUrl": url} if url else {}) | media)


async def _found(simulator: Simulator, media_id: str | None, kind: str | None) -> list[Row]:
    rows = await simulator.store.fetch(_FOUND, media_id, kind)
    if not rows:
        raise bad_request("Media not found")
    return [_shown(row) for row in rows]


def _shown(row: Any) -> Row:  # noqa: ANN401  (a record)
    message = {"id": row["message_id"]} | {camel(column): row[column] for column in _MESSAGE} | dict.fromkeys(_NEVER_SET)
    day = f"{row['created_at']:%Y-%m-%d}T00:00:00.000Z"
    own = {"id": row["id"], "fileName": row["object"], "type": row["type"], "mimetype": row["mimetype"], "createdAt": day}
    return own | {"Message": message}

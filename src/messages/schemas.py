"""What callers send and get at /messages."""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from src.messages.matching import chats_of_same_account
from src.messages.store import Draft, Filter
from src.messages.values import RECIPIENT_LIMIT, MediaSource, chat_of, file_name_of, media_source, mimetype_of, number_of, storable, visible

TEXT_LIMIT = 65_536
"""WhatsApp's limit for a text, in characters."""
CAPTION_LIMIT = 1024

Direction = Literal["outbound", "inbound"]
MessageType = Literal["text", "media", "voice", "other"]
MessageState = Literal["queued", "sent", "delivered", "read", "failed", "received"]
MediaKind = Literal["image", "video", "document", "audio"]


def _read_media(value: Any) -> MediaSource:  # noqa: ANN401  # whatever the JSON held
    if not isinstance(value, str):
        raise ValueError("not a text")  # noqa: TRY004  # pydantic makes a problem of this one only
    return media_source(value)


Text = Annotated[str, AfterValidator(storable)]
Recipient = Annotated[
    str,
    AfterValidator(chat_of),
    Field(
        description="A phone number with its country code, or the JID of a person or a group.",
        examples=["5511999990001", "+55 (11) 99999-0001", "120363040000000000@g.us"],
        json_schema_extra={"maxLength": RECIPIENT_LIMIT},
    ),
]
Media = Annotated[
    MediaSource,
    BeforeValidator(_read_media),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "description": "An http(s) URL, whose host has a dot in its name or is an IP address; or base64; or a base64 data: URI. "
            "Evolution API fetches a URL: addresses of its own machine and of its link are refused, but what a name stands for, or where a "
            "server redirects to, can't be checked here. Private addresses are allowed.",
            "examples": ["https://example.com/picture.png", "iVBORw0KGgo="],
        }
    ),
]
InstanceName = Annotated[Text, Field(min_length=1, max_length=64, description="The name of the instance.", examples=["support"])]


class _NewMessage(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    instance: InstanceName
    to: Recipient

    def request_hash(self) -> str:
        """Return what is the same for two requests that ask for the same, however they are written."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class NewTextMessage(_NewMessage):
    """A text to send."""

    type: Literal["text"]
    text: Annotated[Text, AfterValidator(visible), Field(min_length=1, max_length=TEXT_LIMIT)]

    def draft(self) -> Draft:
        """Return what is stored of it, with what Evolution gets."""
        return Draft(self.instance, self.to, self.type, self.text, None, {"number": number_of(self.to), "text": self.text})


class NewMediaMessage(_NewMessage):
    """A picture, video, sound or document to send."""

    type: Literal["media"]
    kind: MediaKind
    media: Media
    mimetype: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+( *; *[A-Za-z0-9-]+=[ -:<-~]+)*$", max_length=255)] = (
        None
    )
    file_name: Annotated[Text | None, Field(min_length=1, max_length=255)] = None
    caption: Annotated[Text | None, Field(max_length=CAPTION_LIMIT)] = None

    def draft(self) -> Draft:
        """Return what is stored of it, with what Evolution gets."""
        mimetype = self.mimetype or mimetype_of(self.kind, self.media, self.file_name)
        file_name = self.file_name or file_name_of(self.kind, self.media, mimetype)
        payload = {
            "number": number_of(self.to),
            "mediatype": self.kind,
            "media": self.media.content,
            "mimetype": mimetype,
            "fileName": file_name,
            "caption": self.caption,
        }
        given = {name: value for name, value in payload.items() if value is not None}
        stored = _stored(self.kind, self.media, mimetype, file_name) | ({} if self.media.is_url else {"sha256": self.media.sha256()})
        return Draft(self.instance, self.to, self.type, self.caption, stored, given)


class NewVoiceMessage(_NewMessage):
    """A voice note to send; the audio converter makes Ogg/Opus of whatever sound file it is."""

    type: Literal["voice"]
    audio: Media

    def draft(self) -> Draft:
        """Return what is stored of it, with what Evolution gets."""
        media = _stored("audio", self.audio, VOICE_MIMETYPE, None)
        return Draft(self.instance, self.to, self.type, None, media, {"number": number_of(self.to), "audio": self.audio.content})


VOICE_MIMETYPE = "audio/ogg; codecs=opus"
"""What every voice note is when it is sent."""


def _stored(kind: MediaKind, source: MediaSource, mimetype: str | None, file_name: str | None) -> dict[str, Any]:
    url = source.content if source.is_url else None
    return {"kind": kind, "mimetype": mimetype, "file_name": file_name, "url": url, "seconds": None}


NewMessage = Annotated[NewTextMessage | NewMediaMessage | NewVoiceMessage, Field(discriminator="type")]

EXAMPLES: dict[str, Any] = {
    "text": {"summary": "A text", "value": {"instance": "support", "to": "5511999990001", "type": "text", "text": "Good morning!"}},
    "picture": {
        "summary": "A picture by its URL",
        "value": {
            "instance": "support",
            "to": "5511999990001",
            "type": "media",
            "kind": "image",
            "media": "https://example.com/offer.png",
            "caption": "Today only",
        },
    },
    "document": {
        "summary": "A document in base64",
        "value": {
            "instance": "support",
            "to": "5511999990001",
            "type": "media",
            "kind": "document",
            "media": "JVBERi0xLjQK",
            "mimetype": "application/pdf",
            "file_name": "invoice.pdf",
        },
    },
    "voice": {
        "summary": "A voice note",
        "value": {"instance": "support", "to": "5511999990001", "type": "voice", "audio": "https://example.com/hello.mp3"},
    },
}


class MediaOut(BaseModel):
    """What a message's media are; never the bytes."""

    kind: str
    mimetype: str | None = None
    file_name: str | None = None
    url: str | None = Field(
        default=None,
        description="The URL that it was sent with. Of an inbound message, and of one sent as base64, a presigned URL of Evolution API's "
        "MinIO: its host is MinIO's name inside the network, as in http://minio:9000/..., and it expires after seven days.",
    )
    seconds: int | None = None


class MessageProblem(BaseModel):
    """What the last attempt to send a message met."""

    code: str
    detail: str
    mend: str | None = None
    at: datetime


class MessageOut(BaseModel):
    """A message in either direction."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    instance: str
    chat: str = Field(description="The JID of the person or group.")
    direction: Direction
    type: MessageType
    state: Annotated[
        MessageState,
        BeforeValidator(lambda state: "queued" if state == "sending" else state),
        Field(description="Outbound messages go from queued to sent, delivered and read, or to failed; inbound ones are received."),
    ]
    text: str | None = Field(
        description="The text, or the caption of media; of type `other` what of it can be read as one: the answer that a button or a list "
        "gave, a reaction's emoji, the name of a contact, a place or a poll."
    )
    media: MediaOut | None
    evolution_id: str | None = Field(description="WhatsApp's id of the message; known once it is sent.")
    attempts: int = Field(description="How often Evolution API was asked to send it.")
    problem: MessageProblem | None = Field(description="What the last attempt met: why it failed, or what it still waits for.")
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    failed_at: datetime | None
    whatsapp_timestamp: datetime | None = Field(description="WhatsApp's own time of the message.")
    push_name: str | None = Field(description="The name that the sender of an inbound message shows.")
    sender: str | None = Field(description="The JID of the member who wrote an inbound message of a group; null where `chat` is who wrote.")
    whatsapp_type: str | None = Field(
        description="What the message is for WhatsApp, as in `conversation`, `imageMessage`, `locationMessage` or `reactionMessage`; tells "
        "what a message of type `other` is. Known once it is sent."
    )


def _as_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("not a time that has a place in the calendar") from None


Moment = Annotated[AwareDatetime, AfterValidator(_as_utc)]


class MessageQuery(BaseModel):
    """Which messages to list, and where to begin."""

    model_config = ConfigDict(extra="forbid")

    instance: Annotated[Text | None, Field(description="The name of the instance.")] = None
    chat: Annotated[Recipient | None, Field(description="A phone number, or the JID of a person or group.")] = None
    direction: Direction | None = None
    state: MessageState | None = None
    type: MessageType | None = None
    since: Annotated[Moment | None, Field(description="Stored at this time or later; with its time zone.")] = None
    until: Annotated[Moment | None, Field(description="Stored before this time; with its time zone.")] = None
    limit: Annotated[int, Field(ge=1, le=200, description="The most that a page holds.")] = 50
    cursor: Annotated[str | None, Field(max_length=200, description="The `next_cursor` of the page before.")] = None

    def filter(self) -> Filter:
        """Return it as the store takes it."""
        chats = chats_of_same_account(self.chat) if self.chat else None
        return Filter(self.instance, chats, self.direction, self.type, self.state, self.since, self.until)


class MessagePage(BaseModel):
    """Messages, newest first."""

    items: list[MessageOut]
    next_cursor: str | None = Field(description="What to pass as `cursor` for the messages before these; null at the end.")

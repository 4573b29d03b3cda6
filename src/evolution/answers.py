"""What Evolution API 2.2.3 answers, as far as this application reads it; what else is there is left out.

Field names are this application's; the aliases are Evolution's.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AliasPath, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

InstanceState = Literal["open", "connecting", "close"]


Message = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]
"""The content, under WhatsApp's own names, as in `{"conversation": "hi"}`."""


class Answer(BaseModel):
    """The parent of all: camel case outside, and frozen."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Welcome(Answer):
    """The answer of `GET /`, which needs no key."""

    version: str


class InstanceSummary(Answer):
    """One element of `GET /instance/fetchInstances`. The instance's own token, which is there too, is left out."""

    id: UUID
    name: str
    connection_status: InstanceState = "close"
    owner_jid: str | None = None
    profile_name: str | None = None
    number: str | None = None

    @property
    def phone(self) -> str | None:
        """The number of the paired phone, digits alone."""
        return self.owner_jid.partition("@")[0].partition(":")[0] if self.owner_jid else None


class CreatedInstance(Answer):
    """What `POST /instance/create` made. Its token, which is there too, is left out: the application uses the global key."""

    id: UUID = Field(validation_alias=AliasPath("instance", "instanceId"))
    name: str = Field(validation_alias=AliasPath("instance", "instanceName"))
    state: InstanceState = Field(validation_alias=AliasPath("instance", "status"))


class Connection(Answer):
    """What `GET /instance/connect` and `POST /instance/restart` answer: a code to scan, or that the instance is open.

    Before there is a code, `count` is 0 and the rest absent; `count` is how many codes were made since pairing began.
    """

    code: str | None = None
    base64: str | None = Field(default=None, description="A PNG of the code, as a data: URI.")
    pairing_code: str | None = None
    count: int = 0
    state: InstanceState | None = Field(default=None, validation_alias=AliasPath("instance", "state"))


class ConnectionState(Answer):
    """The answer of `GET /instance/connectionState`; without a state where Evolution has the instance in its database alone."""

    state: InstanceState | None = Field(default=None, validation_alias=AliasPath("instance", "state"))


class FoundWebhook(Answer):
    """The answer of `GET /webhook/find`, for an instance that has one."""

    url: str
    enabled: bool = False
    headers: dict[str, Any] | None = None
    events: list[str] | None = None
    webhook_by_events: bool | None = None
    webhook_base64: bool | None = None


class MessageKey(Answer):
    """What names a message on WhatsApp."""

    remote_jid: str
    from_me: bool = False
    id: str
    participant: str | None = None


class SentMessage(Answer):
    """The 201 of the three send calls, and the data of the event `send.message`."""

    key: MessageKey
    message: Message = Field(default_factory=dict)
    message_type: str | None = None
    message_timestamp: datetime | None = None
    status: str | None = None


class MessageUpdate(Answer):
    """One mark of a stored message, as in DELIVERY_ACK."""

    status: str


class FoundMessage(Answer):
    """One record of `POST /chat/findMessages`; `updates` are in no certain order."""

    key: MessageKey
    push_name: str | None = None
    message: Message = Field(default_factory=dict)
    message_type: str | None = None
    message_timestamp: datetime
    source: str | None = None
    updates: list[MessageUpdate] = Field(default_factory=list, validation_alias="MessageUpdate")


class FoundMessages(Answer):
    """One page of `POST /chat/findMessages`, newest first; pages count from 1."""

    total: int
    pages: int
    current_page: int
    records: list[FoundMessage]


class FoundMessagesAnswer(Answer):
    """The body that holds such a page."""

    messages: FoundMessages

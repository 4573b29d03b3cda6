"""What callers send and get at /instances."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

InstanceState = Literal["open", "connecting", "close"]

NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""Narrower than Evolution's, which takes any text: these need no quoting in paths, routing keys and URLs."""

InstanceName = Annotated[
    str, Field(pattern=NAME, description="1 to 64 letters, digits, `_` and `-`; a letter or digit first.", examples=["support"])
]


PHONE = r"^[1-9]\d{6,14}$"
"""A phone's number with its country's code, digits alone."""


class NewInstance(BaseModel):
    """An instance to make."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "support"}]})

    name: InstanceName
    number: Annotated[str | None, Field(pattern=PHONE, description="The number of the phone that will be paired, digits alone.")] = None


class InstanceOut(BaseModel):
    """An instance, as the application last heard of it."""

    id: UUID = Field(description="Evolution API's own id.")
    name: str
    state: InstanceState = Field(description="`open` is connected to WhatsApp; `connecting` waits for the phone; `close` is neither.")
    state_changed_at: datetime | None
    phone: str | None = Field(description="The number of the paired phone.")
    profile_name: str | None = Field(description="The name that the phone's owner shows to others.")
    created_at: datetime
    updated_at: datetime


class InstanceList(BaseModel):
    """All instances, by name."""

    items: list[InstanceOut]


class InstanceStateOut(BaseModel):
    """How an instance is connected at this moment."""

    name: str
    state: InstanceState


class QrCode(BaseModel):
    """What to scan with the phone, under Settings, Linked devices."""

    code: str = Field(description="The text that the picture holds.")
    base64: str = Field(description="The picture, a PNG, as a data: URI.")
    pairing_code: str | None = Field(description="What to type on the phone in place of scanning, if `number` named it.")
    count: int = Field(description="How many codes this pairing has had; each is good for less than a minute.")

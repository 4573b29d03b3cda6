"""What events tell, as typed values, and in which order marks and states stand."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from uuid import UUID

from src.events.content import Content


class Mark(IntEnum):
    """How far an own message got; a higher mark is never replaced by a lower one.

    WhatsApp's refusal (ERROR) stands below delivery: what was delivered was not refused, in whatever order the two are heard.
    """

    SENT = 1
    FAILED = 2
    DELIVERED = 3
    READ = 4

    @classmethod
    def of_status(cls, status: str | None) -> "Mark | None":
        """Return what a message's status says; None for a status that is no mark, as in DELETED."""
        return _MARKS.get(status or "")

    @property
    def state(self) -> str:
        """The message's state, as it is stored."""
        return self.name.lower()


_MARKS = {
    "PENDING": Mark.SENT,
    "SERVER_ACK": Mark.SENT,
    "ERROR": Mark.FAILED,
    "DELIVERY_ACK": Mark.DELIVERED,
    "READ": Mark.READ,
    "PLAYED": Mark.READ,
}


class ConnectionState(StrEnum):
    """What `connection.update` says of an instance."""

    OPEN = "open"
    CONNECTING = "connecting"
    CLOSE = "close"
    REFUSED = "refused"

    @property
    def stored(self) -> str:
        """One of the three states that an instance has: with its QR codes used up it is closed."""
        return ConnectionState.CLOSE if self is ConnectionState.REFUSED else self


@dataclass(frozen=True)
class MessageSeen:
    """A message is there, in either direction.

    Attributes:
        at: the message's own time, in whole seconds.
        sender: the JID of who wrote it, where the chat doesn't say it, as in a group.
    """

    instance: str
    evolution_id: str
    chat: str
    from_me: bool
    content: Content
    push_name: str | None
    at: datetime
    mark: Mark
    heard_at: datetime
    sender: str | None = None

    @property
    def identity(self) -> tuple[str, str]:
        """What tells the message from all others: the instance's name, and WhatsApp's id."""
        return self.instance, self.evolution_id


@dataclass(frozen=True)
class MarkSeen:
    """An own message got a mark."""

    instance: str
    evolution_id: str
    mark: Mark
    heard_at: datetime

    @property
    def identity(self) -> tuple[str, str]:
        """What tells the message from all others: the instance's name, and WhatsApp's id."""
        return self.instance, self.evolution_id


@dataclass(frozen=True)
class ConnectionSeen:
    """An instance's connection is in this state. `phone` and `profile_name` come with an open one."""

    instance: str
    state: ConnectionState
    heard_at: datetime
    status_reason: int | None = None
    phone: str | None = None
    profile_name: str | None = None


@dataclass(frozen=True)
class InstanceMade:
    """An instance was created."""

    instance: str
    id: UUID
    heard_at: datetime


@dataclass(frozen=True)
class InstanceGone:
    """An instance was deleted."""

    instance: str
    id: UUID
    heard_at: datetime


@dataclass(frozen=True)
class Ignored:
    """Nothing that is kept: another event, a status update, a mark of somebody else's message."""

    instance: str
    why: str
    heard_at: datetime


@dataclass(frozen=True)
class Change:
    """What became of a stored message: its id in this application, and the state that it has now."""

    message_id: UUID
    instance: str
    evolution_id: str
    state: str


Fact = MessageSeen | MarkSeen | ConnectionSeen | InstanceMade | InstanceGone | Ignored


@dataclass(frozen=True)
class Event:
    """What was heard: the event's name, as in `messages.upsert`, and what it tells."""

    name: str
    fact: Fact

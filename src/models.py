"""The tables. A change here needs a migration under alembic/versions; a test compares the two."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Identity, Index, Integer, MetaData, Text, UniqueConstraint, func
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

UNFINISHED = "state IN ('queued', 'sending')"
"""The messages that the outbox still has to do something about; the condition of its indexes."""


class Base(DeclarativeBase):
    """The parent of all tables. Constraints get names from their content, so that migrations can refer to them.

    All times are `timestamptz`; JSON is `jsonb`, and an absent one is SQL's NULL.
    """

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy's own name for it
        datetime: DateTime(timezone=True),
        str: Text,
        dict[str, Any]: JSONB(none_as_null=True),
    }


class Instance(Base):
    """A WhatsApp connection that Evolution API keeps for this application.

    Evolution addresses an instance by its name, any text, unique among those that exist, and gives it a UUID of its own; an
    instance that is deleted and made again under the same name has another one. Its state is one of the three that
    `GET /instance/connectionState/{name}` answers.
    """

    __tablename__ = "instances"
    __table_args__ = (CheckConstraint("state IN ('close', 'connecting', 'open')", name="state"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, doc="Evolution's instanceId.")
    name: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(server_default="close")
    state_changed_at: Mapped[datetime | None] = mapped_column(doc="When Evolution says it changed; an event older than that is stale.")
    phone: Mapped[str | None] = mapped_column(doc="The number of the paired phone, digits alone.")
    profile_name: Mapped[str | None] = mapped_column(doc="The name that the phone's owner shows to others.")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


def _unique_where_given(column: str) -> Index:
    """Two messages of an instance never have the same one; any number have none."""
    return Index(f"uq_messages_{column}", "instance", column, unique=True, postgresql_where=sql(f"{column} IS NOT NULL"))


class Message(Base):
    """A message in either direction; the outbound ones that are not finished yet are the outbox.

    A message outlives its instance, so it has the instance's name and no foreign key. Outbound messages that another device
    of the same account sent are here too: they were never queued, and have no payload.

    Who stores a message with an `evolution_id`, or a receipt of one, first takes, in the same transaction, the lock
    `pg_advisory_xact_lock(hashtextextended(instance || '/' || evolution_id, 0))`: else one that looks for the other while
    both are being stored would miss it.
    """

    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint("direction IN ('outbound', 'inbound')", name="direction"),
        CheckConstraint("type IN ('text', 'media', 'voice', 'other')", name="type"),
        CheckConstraint("state IN ('queued', 'sending', 'sent', 'delivered', 'read', 'failed', 'received')", name="state"),
        CheckConstraint("(direction = 'inbound') = (state = 'received')", name="state_fits_direction"),
        _unique_where_given("evolution_id"),
        _unique_where_given("idempotency_key"),
        Index("ix_messages_outbox_chat", "instance", "chat", "seq", postgresql_where=sql(UNFINISHED)),
        Index("ix_messages_sending", "instance", postgresql_where=sql("state = 'sending'")),
        Index("ix_messages_failed", "created_at", "seq", postgresql_where=sql("state = 'failed'")),
        Index(None, "created_at", "seq"),
        Index(None, "instance", "created_at", "seq"),
        Index(None, "instance", "chat", "created_at", "seq"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), doc="The order of storing; each chat is sent in it.")
    instance: Mapped[str] = mapped_column(doc="The instance's name.")
    chat: Mapped[str] = mapped_column(doc="The other side's JID, as in 5511999990001@s.whatsapp.net; what Evolution answered, once it did.")
    direction: Mapped[str]
    type: Mapped[str] = mapped_column(doc="'other' is for what is neither text nor media nor voice; whatsapp_type says what.")
    state: Mapped[str] = mapped_column(doc="'sending' is a queued message that a sender has claimed; the API shows it as queued.")
    text: Mapped[str | None] = mapped_column(doc="The text, or a media message's caption.")
    media: Mapped[dict[str, Any] | None] = mapped_column(doc="kind, mimetype, file_name, url, seconds, sha256; never the bytes.")
    payload: Mapped[dict[str, Any] | None] = mapped_column(doc="The body that Evolution gets; NULL once the message is finished.")
    payload_bytes: Mapped[int] = mapped_column(Integer, server_default="0", doc="Its size: a sender's memory holds few big ones.")
    evolution_id: Mapped[str | None] = mapped_column(doc="WhatsApp's own id, `key.id`; unique in an instance.")
    whatsapp_type: Mapped[str | None] = mapped_column(doc="Evolution's messageType, as in imageMessage.")
    push_name: Mapped[str | None] = mapped_column(doc="The name that the sender of an inbound message shows.")
    sender: Mapped[str | None] = mapped_column(doc="The JID of who wrote an inbound message, where the chat doesn't say it, as in a group.")

    idempotency_key: Mapped[str | None]
    request_hash: Mapped[str | None] = mapped_column(doc="SHA-256 of the request that came with the idempotency key.")

    attempts: Mapped[int] = mapped_column(Integer, server_default="0", doc="How often Evolution was asked to send it.")
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    attempt_started_at: Mapped[datetime | None] = mapped_column(doc="When the last attempt began: a search for its outcome starts there.")
    lease_owner: Mapped[str | None] = mapped_column(doc="The sender that has claimed it.")
    lease_until: Mapped[datetime | None] = mapped_column(doc="Until then the claim holds; a claim that ran out has an unknown outcome.")
    problem: Mapped[dict[str, Any] | None] = mapped_column(doc="What the last attempt met: code, detail, mend, at.")

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    sent_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    whatsapp_timestamp: Mapped[datetime | None] = mapped_column(doc="WhatsApp's own time of the message, in whole seconds.")


class Receipt(Base):
    """The best mark that a message has got which is not stored yet: marks may come before their message."""

    __tablename__ = "receipts"
    __table_args__ = (CheckConstraint("state IN ('sent', 'delivered', 'read')", name="state"),)

    instance: Mapped[str] = mapped_column(primary_key=True)
    evolution_id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(doc="Only ever moves from sent to delivered to read.")
    sent_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class CaughtUp(Base):
    """How far catch-up has got with an instance of Evolution's; the application need not know it, its messages are stored all the same."""

    __tablename__ = "caught_up"

    instance: Mapped[str] = mapped_column(primary_key=True, doc="The instance's name.")
    until: Mapped[datetime | None] = mapped_column(doc="All messages with a WhatsApp time before it were asked for; only ever moves on.")
    looked_at: Mapped[datetime] = mapped_column(server_default=func.now(), doc="When a replica looked last: they take turns.")


class ConnectionChange(Base):
    """A moment at which an instance's state became another one; the newest 1000 of each instance are kept."""

    __tablename__ = "connection_changes"
    __table_args__ = (UniqueConstraint("instance", "state", "at"), Index(None, "instance", "at"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    instance: Mapped[str]
    state: Mapped[str] = mapped_column(doc="As Evolution says it: open, connecting, close or refused.")
    status_reason: Mapped[int | None] = mapped_column(Integer, doc="WhatsApp's code, as in 401 for an instance that the phone logged out.")
    at: Mapped[datetime]


class RejectedEvent(Base):
    """What came as an event and can't be read; the newest 10 000 are kept, for a person to look at."""

    __tablename__ = "rejected_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    source: Mapped[str] = mapped_column(doc="rabbitmq or webhook.")
    body: Mapped[str] = mapped_column(doc="At most the first 64 KiB.")
    error: Mapped[str] = mapped_column(doc="Why it can't be read.")
    at: Mapped[datetime] = mapped_column(server_default=func.now())

"""Messages in both directions, the outbox among them, and what events tell about messages and connections."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UNFINISHED = sa.text("state IN ('queued', 'sending')")


def upgrade() -> None:
    """Apply the change."""
    op.add_column("instances", _time("state_changed_at"))
    op.add_column("instances", sa.Column("phone", sa.Text()))
    op.add_column("instances", sa.Column("profile_name", sa.Text()))
    _create_messages()
    op.create_table(
        "receipts",
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("evolution_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        _time("sent_at"),
        _time("delivered_at"),
        _time("read_at"),
        _now("created_at"),
        sa.CheckConstraint("state IN ('sent', 'delivered', 'read')", name=op.f("ck_receipts_state")),
        sa.PrimaryKeyConstraint("instance", "evolution_id", name=op.f("pk_receipts")),
    )
    op.create_index(op.f("ix_receipts_created_at"), "receipts", ["created_at"])
    op.create_table(
        "connection_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("status_reason", sa.Integer()),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connection_changes")),
        sa.UniqueConstraint("instance", "state", "at", name=op.f("uq_connection_changes_instance_state_at")),
    )
    op.create_index(op.f("ix_connection_changes_instance_at"), "connection_changes", ["instance", "at"])
    op.create_table(
        "rejected_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        _now("at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejected_events")),
    )


def _create_messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("chat", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("text", sa.Text()),
        sa.Column("media", postgresql.JSONB()),
        sa.Column("payload", postgresql.JSONB()),
        sa.Column("payload_bytes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("evolution_id", sa.Text()),
        sa.Column("whatsapp_type", sa.Text()),
        sa.Column("push_name", sa.Text()),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("request_hash", sa.Text()),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        _now("next_attempt_at"),
        _time("attempt_started_at"),
        sa.Column("lease_owner", sa.Text()),
        _time("lease_until"),
        sa.Column("problem", postgresql.JSONB()),
        _now("created_at"),
        _time("sent_at"),
        _time("delivered_at"),
        _time("read_at"),
        _time("failed_at"),
        _time("whatsapp_timestamp"),
        sa.CheckConstraint("direction IN ('outbound', 'inbound')", name=op.f("ck_messages_direction")),
        sa.CheckConstraint("type IN ('text', 'media', 'voice', 'other')", name=op.f("ck_messages_type")),
        sa.CheckConstraint(
            "state IN ('queued', 'sending', 'sent', 'delivered', 'read', 'failed', 'received')", name=op.f("ck_messages_state")
        ),
        sa.CheckConstraint("(direction = 'inbound') = (state = 'received')", name=op.f("ck_messages_state_fits_direction")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
    )
    # Base64 of compressed media: Postgres would only lose time trying to compress it again.
    op.execute("ALTER TABLE messages ALTER COLUMN payload SET STORAGE EXTERNAL")
    _unique_where_given("evolution_id")
    _unique_where_given("idempotency_key")
    op.create_index("ix_messages_outbox_chat", "messages", ["instance", "chat", "seq"], postgresql_where=_UNFINISHED)
    op.create_index("ix_messages_outbox_due", "messages", ["next_attempt_at"], postgresql_where=_UNFINISHED)
    op.create_index(op.f("ix_messages_created_at_seq"), "messages", ["created_at", "seq"])
    op.create_index(op.f("ix_messages_instance_created_at_seq"), "messages", ["instance", "created_at", "seq"])
    op.create_index(op.f("ix_messages_instance_chat_created_at_seq"), "messages", ["instance", "chat", "created_at", "seq"])


def _unique_where_given(column: str) -> None:
    condition = sa.text(f"{column} IS NOT NULL")
    op.create_index(f"uq_messages_{column}", "messages", ["instance", column], unique=True, postgresql_where=condition)


def _time(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True))


def _now(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def downgrade() -> None:
    """Take it back."""
    for table in ("rejected_events", "connection_changes", "receipts", "messages"):
        op.drop_table(table)
    for column in ("profile_name", "phone", "state_changed_at"):
        op.drop_column("instances", column)

"""Indexes of the messages for what is asked of them: which are being sent, and which have failed; none of when they are due."""

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.create_index("ix_messages_sending", "messages", ["instance"], postgresql_where=sa.text("state = 'sending'"))
    op.create_index("ix_messages_failed", "messages", ["created_at", "seq"], postgresql_where=sa.text("state = 'failed'"))
    op.drop_index("ix_messages_outbox_due", "messages")


def downgrade() -> None:
    """Take it back."""
    unfinished = sa.text("state IN ('queued', 'sending')")
    op.create_index("ix_messages_outbox_due", "messages", ["next_attempt_at"], postgresql_where=unfinished)
    op.drop_index("ix_messages_failed", "messages")
    op.drop_index("ix_messages_sending", "messages")

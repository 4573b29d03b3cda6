"""Who wrote a message to a group."""

import sqlalchemy as sa

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.add_column("messages", sa.Column("sender", sa.Text()))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("messages", "sender")

"""How far catch-up has got with each instance."""

import sqlalchemy as sa

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Until now the newest known message was the measure. A day is what a new instance gets; what was missing for longer is looked for too.
_FROM_MESSAGES = """
    INSERT INTO caught_up (instance, until)
    SELECT instance, LEAST(max(whatsapp_timestamp), now() - interval '1 day') FROM messages
    WHERE whatsapp_timestamp IS NOT NULL GROUP BY instance
"""


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "caught_up",
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True)),
        sa.Column("looked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("instance", name=op.f("pk_caught_up")),
    )
    op.execute(_FROM_MESSAGES)


def downgrade() -> None:
    """Take it back."""
    op.drop_table("caught_up")

"""The tables. A change here needs a migration under alembic/versions; a test compares the two."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, MetaData, Text, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The parent of all tables. Constraints get names from their content, so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Instance(Base):
    """A WhatsApp connection that Evolution API keeps for this application.

    Evolution addresses an instance by its name, any text, unique among those that exist, and gives it a UUID of its own; an
    instance that is deleted and made again under the same name has another one. Its state is one of the three that
    `GET /instance/connectionState/{name}` answers.
    """

    __tablename__ = "instances"
    __table_args__ = (CheckConstraint("state IN ('close', 'connecting', 'open')", name="state"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, doc="Evolution's instanceId.")
    name: Mapped[str] = mapped_column(Text, unique=True)
    state: Mapped[str] = mapped_column(Text, server_default="close")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), onupdate=func.now())

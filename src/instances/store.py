"""The instances in the database."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import RowMapping, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from src.models import CaughtUp, Instance

_SHOWN = (
    Instance.id,
    Instance.name,
    Instance.state,
    Instance.state_changed_at,
    Instance.phone,
    Instance.profile_name,
    Instance.created_at,
    Instance.updated_at,
)


async def every(engine: AsyncEngine) -> Sequence[RowMapping]:
    """Return all instances, by name."""
    async with engine.connect() as connection:
        return (await connection.execute(select(*_SHOWN).order_by(Instance.name))).mappings().all()


async def get(engine: AsyncEngine, name: str) -> RowMapping | None:
    """Return an instance."""
    if "\x00" in name:  # no text in the database can have it
        return None
    async with engine.connect() as connection:
        return (await connection.execute(select(*_SHOWN).where(Instance.name == name))).mappings().first()


async def put(engine: AsyncEngine, instance_id: UUID, name: str, state: str, phone: str | None, profile_name: str | None) -> RowMapping:
    """Store an instance as Evolution has it now; what an event stored of it a moment ago stays.

    Of an earlier instance of the same name only the name is kept: it was deleted, and made again.
    """
    known = {"id": instance_id, "name": name, "state": state, "phone": phone, "profile_name": profile_name}
    statement = insert(Instance).values(known)
    renewed = {**known, "state_changed_at": None, "created_at": func.now(), "updated_at": func.now()}
    statement = statement.on_conflict_do_update(index_elements=["name"], set_=renewed, where=Instance.id != instance_id)
    async with engine.begin() as connection:
        await connection.execute(statement)
        return (await connection.execute(select(*_SHOWN).where(Instance.name == name))).mappings().one()


async def remove(engine: AsyncEngine, name: str, instance_id: UUID) -> None:
    """Forget an instance and how far catch-up got, but not another one that was made under its name meanwhile; its messages stay."""
    async with engine.begin() as connection:
        gone = await connection.execute(delete(Instance).where(Instance.name == name, Instance.id == instance_id))
        if gone.rowcount:
            await connection.execute(delete(CaughtUp).where(CaughtUp.instance == name))

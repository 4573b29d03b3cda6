"""Finds out whether Evolution has accepted a message, when the answer to the request was lost."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import Text

from src.events.content import Content
from src.evolution import EvolutionClient
from src.evolution.answers import FoundMessage
from src.messages.accepted import EVENT_ROW, Accepted
from src.messages.claims import Claim
from src.messages.matching import chat_variants, is_same, may_be_a_librarys, may_be_evolutions

CLOCK_DIFFERENCE = timedelta(seconds=5)
"""How far Evolution's clock may be behind the database's; its times are whole seconds."""
_AHEAD = timedelta(minutes=5)
_SET_BACK = timedelta(minutes=1)
"""Who began later than so much from now did so before the clock was set back: when that was in today's time, nobody knows."""
_REACH = timedelta(minutes=10)
"""How far back the search for that goes."""
_PAGE_SIZE = 100
_MOST_PAGES = 20

_TOLD_BY_EVENTS = text(f"""
    SELECT evolution_id, chat, type, text, media, whatsapp_type, whatsapp_timestamp FROM messages
     WHERE instance = :instance AND chat = ANY (:chats) AND {EVENT_ROW} AND evolution_id IS NOT NULL
       AND created_at >= :since AND whatsapp_timestamp >= :since
     ORDER BY whatsapp_timestamp, seq
""").bindparams(bindparam("chats", type_=ARRAY(Text)))  # noqa: S608  # a constant
_OWNED = text(f"""
    SELECT evolution_id FROM messages WHERE instance = :instance AND evolution_id = ANY (:ids) AND NOT ({EVENT_ROW})
""").bindparams(bindparam("ids", type_=ARRAY(Text)))  # noqa: S608  # a constant
_LAST_ID = text("""
    SELECT evolution_id FROM messages
     WHERE instance = :instance AND direction = 'outbound' AND attempts > 0 AND evolution_id IS NOT NULL
     ORDER BY created_at DESC, seq DESC LIMIT 1
""")


async def find_accepted(engine: AsyncEngine, evolution: EvolutionClient, claim: Claim) -> Accepted | None:
    """Return the oldest message that Evolution has accepted since the attempt began, that is like this one and no other one's.

    Raises:
        EvolutionError: Evolution can't be asked, so nothing is known.
    """
    wanted = Content(claim.type, claim.text, claim.media)
    since = _beginning(claim.started, datetime.now(UTC)) - CLOCK_DIFFERENCE
    told = await _told_by_events(engine, claim, wanted, since)
    if told:
        return told
    for chat in chat_variants(claim.chat):
        records = [each async for each in _records(evolution, claim, chat, since)]
        same = [each for each in map(Accepted.of, records) if is_same(wanted, each.content)]
        like = [each for each in same if await _may_be_evolutions(engine, claim.instance, each.evolution_id)]
        owned = await _owned(engine, claim.instance, [each.evolution_id for each in like]) if like else set()
        free = [each for each in like if each.evolution_id not in owned]
        if free:
            return min(reversed(free), key=lambda each: each.at or since)  # they come newest first, and their times are whole seconds
    return None


def _beginning(started: datetime, now: datetime) -> datetime:
    return now - _REACH if started > now + _SET_BACK else min(started, now)


async def _may_be_evolutions(engine: AsyncEngine, instance: str, evolution_id: str) -> bool:
    """Tell it by the form of the id; where that leaves a doubt, by the length of the last one that Evolution gave when asked to send."""
    if may_be_evolutions(evolution_id):
        return True
    if not may_be_a_librarys(evolution_id):
        return False
    async with engine.connect() as connection:
        known = (await connection.execute(_LAST_ID, {"instance": instance})).scalar()
    return known is not None and len(known) == len(evolution_id)


async def _told_by_events(engine: AsyncEngine, claim: Claim, wanted: Content, since: datetime) -> Accepted | None:
    names = {"instance": claim.instance, "chats": chat_variants(claim.chat), "since": since}
    async with engine.connect() as connection:
        told = (await connection.execute(_TOLD_BY_EVENTS, names)).all()
    for row in told:
        content = Content(row.type, row.text, row.media, row.whatsapp_type)
        if is_same(wanted, content) and await _may_be_evolutions(engine, claim.instance, row.evolution_id):
            return Accepted(row.evolution_id, row.chat, content, row.whatsapp_timestamp, certain=False)
    return None


async def _records(evolution: EvolutionClient, claim: Claim, chat: str, since: datetime) -> AsyncIterator[FoundMessage]:
    between = (since, max(claim.started, datetime.now(UTC)) + _AHEAD)
    for page in range(1, _MOST_PAGES + 1):
        found = await evolution.find_messages(claim.instance, chat=chat, from_me=True, between=between, page=page, page_size=_PAGE_SIZE)
        for record in found.records:
            if record.key.from_me:
                yield record
        if page >= found.pages:
            return


async def _owned(engine: AsyncEngine, instance: str, ids: list[str]) -> set[str]:
    async with engine.connect() as connection:
        return set((await connection.execute(_OWNED, {"instance": instance, "ids": ids})).scalars())

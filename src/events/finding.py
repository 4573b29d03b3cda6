"""Reads the messages that Evolution API has stored, as the facts that events would have told."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from src.events.content import clean, is_edit, read_content
from src.events.facts import Fact, Mark, MarkSeen, MessageSeen
from src.events.payloads import STATUS_BROADCAST, without_device
from src.evolution import EvolutionClient
from src.evolution.answers import FoundMessage

PAGE_SIZE = 200
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Found:
    """Some messages, and up to which moment all were given with them; None while there are more of the same second."""

    records: list[FoundMessage]
    reached: datetime | None


async def found_between(
    evolution: EvolutionClient, instance: str, since: datetime, until: datetime, *, from_me: bool = False
) -> AsyncIterator[Found]:
    """Give all messages with a WhatsApp time from one moment to another, some at a time, the oldest first; or only the own ones.

    Evolution orders by the time alone, in whole seconds, so that between two pages of a busy second a message may slip through. So a
    time with more messages than a page holds is halved, down to a second, before pages are turned.
    """
    spans = [(since.replace(microsecond=0), until.replace(microsecond=0))]
    while spans:
        start, end = spans.pop()
        page = await evolution.find_messages(instance, from_me=from_me, between=(start, end), page_size=PAGE_SIZE)
        if page.total > len(page.records) and end > start:
            middle = start + ((end - start) / 2 // _SECOND) * _SECOND
            spans += [(middle + _SECOND, end), (start, middle)]
            continue
        for number in range(2, page.pages + 1):
            yield Found(page.records, None)
            page = await evolution.find_messages(instance, from_me=from_me, between=(start, end), page=number, page_size=PAGE_SIZE)
        yield Found(page.records, end)


def facts_of(instance: str, record: FoundMessage, heard_at: datetime) -> list[Fact]:
    """Return what a stored message tells: that it is there, and, of an own one, its best mark."""
    if record.key.remote_jid == STATUS_BROADCAST or is_edit(record.message):
        return []
    seen = MessageSeen(
        instance=instance,
        evolution_id=clean(record.key.id),
        chat=without_device(clean(record.key.remote_jid)),
        from_me=record.key.from_me,
        content=read_content(record.message, record.message_type),
        push_name=clean(record.push_name) or None,
        at=record.message_timestamp,
        mark=Mark.SENT,
        heard_at=heard_at,
        sender=without_device(clean(record.key.participant)) if record.key.participant else None,
    )
    marks = [mark for update in record.updates if (mark := Mark.of_status(update.status))] if record.key.from_me else []
    return [seen, MarkSeen(instance, seen.evolution_id, max(marks), heard_at)] if marks else [seen]

"""Asks Evolution API again about own messages, when events that told of their delivery or their reading may have been lost."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from src.events.finding import found_between
from src.events.looking import store
from src.resources import Resources

_REACH = timedelta(days=3)
"""Whoever has not read a message by then is not asked about any more."""
_AT_MOST_EVERY = timedelta(minutes=10)
_MOST_AT_ONCE = 5000
"""Messages that are asked about in one go; the next one goes on."""
_NEVER = datetime.max.replace(tzinfo=UTC)


class LostMarks:
    """Remembers which instances are still to be asked about; only this process does, for a new one asks anyway."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._doubted = False
        self._begun_at: datetime | None = None
        self._left: dict[str, datetime] = {}

    def doubt(self) -> None:
        """Note that events may have been lost."""
        self._doubted = True

    def begin(self, instances: Iterable[str], now: datetime) -> None:
        """Begin to ask about these instances, if there is a doubt, and not too often."""
        if self._doubted and (self._begun_at is None or now - self._begun_at > _AT_MOST_EVERY):
            self._doubted, self._begun_at = False, now
            self._left = dict.fromkeys(instances, now - _REACH)

    async def go_on(self, instance: str) -> None:
        """Ask about an instance's messages that may have got further than is known: all of their time together, a page a request."""
        since = self._left.get(instance)
        if since is None:
            return
        async with self._resources.engine.connect() as connection:
            span = (await connection.execute(_UNREAD, {"instance": instance, "since": since})).one()
        asked = 0
        if span.oldest is not None:
            async for found in found_between(self._resources.evolution, instance, span.oldest, span.newest, from_me=True):
                await store(self._resources, instance, found.records, loud_after=_NEVER)
                asked += len(found.records)
                if found.reached is not None and asked >= _MOST_AT_ONCE and found.reached < span.newest:
                    self._left[instance] = found.reached + timedelta(seconds=1)
                    return
        del self._left[instance]


_UNREAD = text("""
    SELECT min(whatsapp_timestamp) AS oldest, max(whatsapp_timestamp) AS newest FROM messages
    WHERE instance = :instance AND created_at >= :since AND direction = 'outbound' AND state IN ('sent', 'delivered')
      AND whatsapp_timestamp >= :since AND chat NOT LIKE '%@g.us'
""")
# Of messages to groups Evolution 2.2.3 tells and stores no delivery and no reading (`message-receipt.update` of its Baileys service).

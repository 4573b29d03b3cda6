"""What becomes of sent messages: taken by WhatsApp, delivered, read, played; told to Evolution in batches."""

import asyncio
import heapq
import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from simulator.background import Background
from simulator.events.bus import Events
from simulator.instance import Instance
from simulator.journal import Journal
from simulator.messages.contacts import Contacts
from simulator.messages.hub import Hub
from simulator.messages.store import DELIVERY_ACK, READ, SERVER_ACK, STATUSES, Message, MessageStore
from simulator.store import StoreError

DELIVERED_AFTER_S = 0.05
READ_AFTER_S = 0.1
_BATCH_EVERY_S = 0.02
_AGAIN_AFTER_S = 1.0
_MOST_AT_ONCE = 2000


@dataclass(order=True)
class _Mark:
    """A message is to have come so far, at a time of the loop's clock; those of the same time keep their order."""

    due: float
    order: int
    instance: Instance = field(compare=False)
    message: Message = field(compare=False)
    status: str = field(compare=False)
    forced: bool = field(compare=False, default=False)


class Receipts:
    """Marks messages, and tells about it."""

    def __init__(
        self,
        store: MessageStore,
        contacts: Contacts,
        events: Events,
        hub: Hub,
        background: Background,
        journal: Journal,
        *,
        keep_updates: bool,
    ) -> None:
        self._store = store
        self._contacts = contacts
        self._events = events
        self._hub = hub
        self._background = background
        self._journal = journal.named("Receipts")
        self._keep_updates = keep_updates
        self._waiting: list[_Mark] = []
        self._order = itertools.count()
        self._working = False

    def sent(self, instance: Instance, message: Message) -> None:
        """Let WhatsApp take a message that was sent, and let it come as far as it does by itself."""
        self.mark(instance, message, SERVER_ACK)
        self.deliver(instance, message)

    def deliver(self, instance: Instance, message: Message) -> None:
        """Let a message arrive, if the phone that it goes to is online."""
        if self._contacts.behaviour.autoDeliver and self._contacts.online(instance.id, message.remote_jid):
            self.mark(instance, message, DELIVERY_ACK, DELIVERED_AFTER_S)
            if self._contacts.behaviour.autoRead:
                self.mark(instance, message, READ, READ_AFTER_S)

    def mark(self, instance: Instance, message: Message, status: str, after_s: float = 0, *, forced: bool = False) -> None:
        """Let a message come so far, in a moment; back to there too, if that is `forced`."""
        due = asyncio.get_running_loop().time() + after_s
        heapq.heappush(self._waiting, _Mark(due, next(self._order), instance, message, status, forced))
        if not self._working:
            self._working = True
            self._background.run(self._work())

    async def tell_untold(self, instance: Instance) -> None:
        """Tell an instance that is open again how far its messages came meanwhile, and let arrive what waited."""
        for message in await self._store.untold(instance.id):
            self.mark(instance, message, STATUSES[message.reached])
        for message in await self._store.below(instance.id, DELIVERY_ACK):
            self.deliver(instance, message)

    async def _work(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(_BATCH_EVERY_S)
                due = self._due()
                while due:
                    try:
                        await self._apply(due[0])
                        due.pop(0)
                    except StoreError as error:
                        self._journal.error(str(error))
                        await asyncio.sleep(_AGAIN_AFTER_S)
        finally:
            self._working = False

    def _due(self) -> list[list[_Mark]]:
        """Take what is due: the first mark of each message together, then the second ones, and so on."""
        now = asyncio.get_running_loop().time()
        batches: list[list[_Mark]] = []
        taken: Counter[str] = Counter()
        for _ in range(_MOST_AT_ONCE):
            if not self._waiting or self._waiting[0].due > now:
                break
            mark = heapq.heappop(self._waiting)
            earlier = taken[mark.message.id]
            taken[mark.message.id] += 1
            if earlier == len(batches):
                batches.append([])
            batches[earlier].append(mark)
        return batches

    async def _apply(self, batch: list[_Mark]) -> None:
        told = [mark for mark in batch if mark.instance.state == "open"]
        untold = [mark for mark in batch if mark.instance.state != "open"]
        if untold:
            await self._store.reach([mark.message.id for mark in untold], [mark.status for mark in untold])
        ids, statuses = [mark.message.id for mark in told], [mark.status for mark in told]
        news = await self._store.mark(ids, statuses, [mark.forced for mark in told], keep_updates=self._keep_updates) if told else set()
        for mark in told:
            if mark.message.id in news and mark.message.saved:
                self._events.emit(mark.instance, "messages.update", update_of(mark.message, mark.status))
        for mark in batch:
            if mark.message.id in news or mark in untold:
                self._hub.tell("status", mark.instance.name, jid=mark.message.remote_jid, id=mark.message.key_id, status=mark.status)


def update_of(message: Message, status: str) -> dict[str, Any]:
    """Make the data of `messages.update`; what 2.2.3 calls the participant is the chat."""
    return {
        "messageId": message.id,
        "keyId": message.key_id,
        "remoteJid": message.remote_jid,
        "fromMe": message.from_me,
        "participant": message.remote_jid,
        "status": status,
        "instanceId": message.instance_id,
    }

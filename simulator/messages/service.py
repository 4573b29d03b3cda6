"""All that has to do with messages, wired together."""

import asyncio

from simulator.audio import AudioConverter
from simulator.background import Background
from simulator.events.bus import Events
from simulator.events.event import Event
from simulator.faults import Faults
from simulator.instance import Instance
from simulator.journal import Journal
from simulator.media import Media
from simulator.messages.chats import Chats
from simulator.messages.contacts import Contacts
from simulator.messages.hub import Hub
from simulator.messages.queries import Queries
from simulator.messages.receipts import Receipts
from simulator.messages.receiving import Receiver
from simulator.messages.sending import Sender
from simulator.messages.store import MessageStore
from simulator.preferences import Preferences
from simulator.sessions import Sessions
from simulator.settings import Settings
from simulator.store import Store, StoreError

_AGAIN_AFTER_S = 1
_TELLING = frozenset({"connection.update", "instance.create", "instance.delete", "remove.instance"})
"""Events after which the phone's page shows something else of an instance."""


class Messages:
    """The parts, by what they do."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        preferences: Preferences,
        sessions: Sessions,
        media: Media,
        events: Events,
        faults: Faults,
        background: Background,
        journal: Journal,
    ) -> None:
        save = settings.database.save
        self._background = background
        self._journal = journal.named("ChannelStartupService")
        audio = AudioConverter(settings.audio_converter, settings.audio_converter_key, faults, journal)
        self.store = MessageStore(store)
        self.queries = Queries(store)
        self.contacts = Contacts(store)
        self.hub = Hub()
        self.receipts = Receipts(self.store, self.contacts, events, self.hub, background, journal, keep_updates=save.message_update)
        self.sender = Sender(self.store, self.contacts, self.receipts, sessions, media, audio, events, self.hub, save=save.new_message)
        self.receiver = Receiver(
            self.store,
            self.contacts,
            preferences,
            media,
            audio,
            events,
            self.hub,
            save_messages=save.new_message,
            save_contacts=save.contacts,
        )
        self.chats = Chats(self.store, self.sender, self.receiver, audio, events, self.hub, keep_deleted=save.logical_message_delete)
        events.listen(self._heard)

    async def load(self) -> None:
        """Take up what the phones were told before."""
        await self.contacts.load()

    def _heard(self, instance: Instance, event: Event) -> None:
        """Tell the page what became of an instance; one that is open gets what it missed."""
        if event.name in _TELLING:
            self.hub.tell("instance", instance.name, event=event.name)
        if event.name == "connection.update" and instance.state == "open":
            self._background.run(self._catch_up(instance))

    async def _catch_up(self, instance: Instance) -> None:
        while instance.state == "open":
            try:
                await self.receiver.release(instance)
                await self.receipts.tell_untold(instance)
            except StoreError as error:
                self._journal.error(str(error))
                await asyncio.sleep(_AGAIN_AFTER_S)
            else:
                return

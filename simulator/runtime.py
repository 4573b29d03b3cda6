"""What lives as long as the process: the services in use and the instances."""

import asyncio
from contextlib import suppress

from simulator.background import Background
from simulator.connections import Connections
from simulator.database import open_pool, parse_uri
from simulator.errors import ApiError
from simulator.events.bus import Events
from simulator.events.event import local_time_with_z
from simulator.events.rabbitmq import RabbitMQ
from simulator.events.webhook import Webhooks
from simulator.faults import Faults, FaultSettings
from simulator.instances import Instances
from simulator.journal import Journal
from simulator.media import Media
from simulator.messages.service import Messages
from simulator.preferences import Preferences
from simulator.sessions import Sessions
from simulator.settings import Settings
from simulator.store import Store

BROKER_WAIT_S = 2
STOP_GRACE_S = 0.3


class Simulator:
    """The parts, wired together."""

    def __init__(self, settings: Settings, store: Store, journal: Journal) -> None:
        self.settings = settings
        self.journal = journal
        self.store = store
        self.preferences = Preferences(store)
        self.background = Background()
        self.faults = Faults()
        self.sessions = Sessions(settings.redis, journal)
        self.media = Media(settings.s3, journal)
        self.rabbitmq = RabbitMQ(settings.rabbitmq, journal)
        self.webhooks = Webhooks(settings.webhook, self.background, journal)
        self.events = Events(settings, (self.rabbitmq, self.webhooks), self.faults)
        self.connections = Connections(settings.phone, store, self.sessions, self.events, self.background, journal)
        self.instances = Instances(settings, store, self.preferences, self.connections, self.events, self.background, journal)
        self.messages = Messages(
            settings, store, self.preferences, self.sessions, self.media, self.events, self.faults, self.background, journal
        )
        self.faults.listen(self._apply)
        self._running: list[asyncio.Task[None]] = []

    @classmethod
    async def start(cls, settings: Settings, journal: Journal) -> "Simulator":
        """Open the database, and begin with the other services: as in 2.2.3, HTTP doesn't wait for them.

        Raises:
            StartRefusedError: an address that the real one crashes over.
        """
        simulator = cls(settings, Store(await open_pool(parse_uri(settings.database.uri))), journal)
        journal.named("PrismaRepository").info("Repository:Prisma - ON")
        await simulator.instances.load()
        await simulator.messages.load()
        work = (simulator.sessions.watch(), simulator.media.prepare(), simulator._begin())
        simulator._running = [asyncio.create_task(each) for each in work]
        return simulator

    async def _begin(self) -> None:
        """Let the instances connect once the broker is there, or doesn't come: their first events then reach it."""
        connecting = asyncio.create_task(self.rabbitmq.start())
        await asyncio.wait({connecting}, timeout=BROKER_WAIT_S)
        self.instances.connect_all()
        await connecting

    def _apply(self, before: FaultSettings, now: FaultSettings) -> None:
        """Do what a change of faults does at once. A broker that is no longer lost is taken up as by a restart of the process."""
        for instance in self.instances.all():
            if instance.name in now.disconnect:
                self.connections.go_offline(instance)
            elif instance.name in before.disconnect:
                self.connections.go_online(instance)
        if now.loseBroker and not before.loseBroker:
            self.rabbitmq.close()
        elif before.loseBroker and not now.loseBroker:
            self.background.run(self.rabbitmq.start())

    def report(self, failure: ApiError) -> None:
        """Post one of the API's own failures to where the settings want it, with the global key in it, as 2.2.3 does."""
        webhook = self.settings.webhook
        if not (webhook.errors and webhook.errors_url):
            return
        response = {"message": failure.message}
        data = {"error": failure.error, "message": failure.message, "status": failure.status, "response": response}
        last = {"date_time": local_time_with_z(), "api_key": self.settings.api_key, "server_url": self.settings.server.url}
        self.background.run(self.webhooks.report_error({"event": "error", "data": data, **last}))

    async def stop(self) -> None:
        """Let go of everything; a service that doesn't answer within the grace is left hanging."""
        self.background.stop()
        for task in self._running:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE_S):
                await asyncio.gather(self.sessions.close(), self.webhooks.close(), *self._running, return_exceptions=True)
        self.rabbitmq.close()
        self.store.close()

"""What lives as long as the process: the services in use and the instances."""

import asyncio
from contextlib import suppress

from simulator.database import open_pool, parse_uri
from simulator.events.bus import Events
from simulator.events.rabbitmq import RabbitMQ
from simulator.instances import Instances
from simulator.journal import Journal
from simulator.media import Media
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
        self._sessions = Sessions(settings.redis, journal)
        self._media = Media(settings.s3, journal)
        self._rabbitmq = RabbitMQ(settings.rabbitmq, journal)
        self.instances = Instances(settings, store, self._sessions, Events(settings, [self._rabbitmq]), journal)
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
        work = (simulator._sessions.watch(), simulator._media.prepare(), simulator._begin())
        simulator._running = [asyncio.create_task(each) for each in work]
        return simulator

    async def _begin(self) -> None:
        """Let the instances connect once the broker is there, or doesn't come: their first events then reach it."""
        connecting = asyncio.create_task(self._rabbitmq.start())
        await asyncio.wait({connecting}, timeout=BROKER_WAIT_S)
        await self.instances.connect_all()
        await connecting

    async def stop(self) -> None:
        """Let go of everything; a service that doesn't answer within the grace is left hanging."""
        for task in self._running:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE_S):
                await asyncio.gather(self._sessions.close(), *self._running, return_exceptions=True)
        self._rabbitmq.close()
        self.store.close()

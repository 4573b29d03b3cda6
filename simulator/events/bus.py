"""From what happens in the simulator to the ways out."""

import asyncio
from typing import TYPE_CHECKING

from simulator.events.event import Event, Way, local_time_with_z
from simulator.settings import Settings
from simulator.store import Target

if TYPE_CHECKING:
    from simulator.instances import Instance


class Events:
    """Hands each event to every way out, one after the other, in the background: a request never waits for a delivery."""

    def __init__(self, settings: Settings, ways: list[Way]) -> None:
        self._settings = settings
        self._ways = ways
        self._running: set[asyncio.Task[None]] = set()

    def emit(self, instance: "Instance", name: str, data: object) -> None:
        """Send an event of an instance."""
        event = Event(
            name=name,
            instance=instance.name,
            data=data,
            server_url=self._settings.server.url,
            date_time=local_time_with_z(),
            sender=instance.wuid,
            api_key=(instance.token or "Apikey not found") if self._settings.expose_token else None,
        )
        task = asyncio.create_task(self._deliver(event, dict(instance.targets)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _deliver(self, event: Event, targets: dict[str, Target]) -> None:
        for way in self._ways:
            await way.deliver(event, targets)

"""From what happens in the simulator to the ways out."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from simulator.events.event import Event, Way, local_time_with_z
from simulator.faults import Faults
from simulator.instance import Instance
from simulator.preferences import Target
from simulator.settings import Settings

_LATEST_S = 0.5
"""How late an event comes at most that is out of order."""

Listener = Callable[[Instance, Event], None]


class Events:
    """Hands each event to every way out: a request never waits for a delivery. `counts` is how many of each name there were."""

    def __init__(self, settings: Settings, ways: Sequence[Way], faults: Faults) -> None:
        self._settings = settings
        self._ways = ways
        self._faults = faults
        self._listeners: list[Listener] = []
        self.counts: Counter[str] = Counter()

    def listen(self, listener: Listener) -> None:
        """Call `listener` for every event, wherever it is sent; faults don't touch that."""
        self._listeners.append(listener)

    def emit(self, instance: Instance, name: str, data: object) -> None:
        """Send an event of an instance; a fault may double or delay it."""
        event = Event(
            name=name,
            instance=instance.name,
            data=data,
            server_url=self._settings.server.url,
            date_time=local_time_with_z(),
            sender=instance.wuid,
            api_key=(instance.token or "Apikey not found") if self._settings.expose_token else None,
        )
        self.counts[name] += 1
        for listener in self._listeners:
            listener(instance, event)
        faults, targets = self._faults.current, dict(instance.targets)
        for _ in range(2 if Faults.strikes(faults.duplicateEvents) else 1):
            if Faults.strikes(faults.reorderEvents):
                asyncio.get_running_loop().call_later(random.uniform(0, _LATEST_S), self._deliver, event, targets)  # noqa: S311
            else:
                self._deliver(event, targets)

    def _deliver(self, event: Event, targets: Mapping[str, Target]) -> None:
        for way in self._ways:
            way.deliver(event, targets)

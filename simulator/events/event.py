"""An event, in the form in which 2.2.3 sends it."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from simulator.store import Target


@dataclass(frozen=True)
class Event:
    """Something that happened to an instance. `sender` is the phone's JID, None (and left out) before pairing."""

    name: str
    instance: str
    data: object
    server_url: str
    date_time: str
    sender: str | None
    api_key: str | None

    @property
    def switch(self) -> str:
        """The key that switches it: `MESSAGES_UPSERT` for `messages.upsert`."""
        return self.name.replace(".", "_").replace("-", "_").upper()

    def body(self) -> bytes:
        """What a RabbitMQ message holds."""
        content = {
            "event": self.name,
            "instance": self.instance,
            "data": self.data,
            "server_url": self.server_url,
            "date_time": self.date_time,
            **({"sender": self.sender} if self.sender else {}),
            "apikey": self.api_key,
        }
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def local_time_with_z() -> str:
    """Now, in the container's time zone, with a `Z` that says UTC: 2.2.3's own mistake (`channel.service.ts`)."""
    now = datetime.now().astimezone()
    return f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z"


class Way(Protocol):
    """A way out for events."""

    async def deliver(self, event: Event, targets: dict[str, Target]) -> None:
        """Send it to where the instance and the global settings want it; never raises."""

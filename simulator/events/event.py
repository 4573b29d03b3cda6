"""An event, in the form in which 2.2.3 sends it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

from simulator.preferences import Target

to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


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

    @cached_property
    def switch(self) -> str:
        """The key that switches it: `MESSAGES_UPSERT` for `messages.upsert`."""
        return self.name.replace(".", "_").replace("-", "_").upper()

    @cached_property
    def dashed(self) -> str:
        """Its name at the end of a webhook's path: `messages-upsert`."""
        return self.switch.replace("_", "-").lower()

    @cached_property
    def body(self) -> bytes:
        """What a RabbitMQ message holds."""
        last = {"server_url": self.server_url, "date_time": self.date_time, **self._sender, "apikey": self.api_key}
        return to_json({"event": self.name, "instance": self.instance, "data": self.data, **last}).encode()

    def webhook_body(self, destination: str) -> bytes:
        """What a webhook is sent: the same in another order, and a `destination`."""
        first = {"event": self.name, "instance": self.instance, "data": self.data, "destination": destination}
        last: dict[str, Any] = {"server_url": self.server_url, "apikey": self.api_key}
        return to_json({**first, "date_time": self.date_time, **self._sender, **last}).encode()

    @property
    def _sender(self) -> dict[str, str]:
        return {"sender": self.sender} if self.sender else {}


def local_time_with_z() -> str:
    """Now, in the container's time zone, with a `Z` that says UTC: 2.2.3's own mistake (`channel.service.ts`)."""
    now = datetime.now().astimezone()
    return f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z"


class Way(Protocol):
    """A way out for events."""

    def deliver(self, event: Event, targets: Mapping[str, Target]) -> None:
        """Send it to where the instance and the global settings want it, without waiting for that; never raises."""

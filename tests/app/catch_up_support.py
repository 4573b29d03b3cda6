"""Messages that Evolution API has stored, and finds as it does: by their times."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from src.evolution.answers import FoundMessage, FoundMessages
from src.resources import Resources
from tests.app.events_support import CHAT


def record(
    message_id: str, seconds_ago: float = 60, *, from_me: bool = False, statuses: tuple[str, ...] = (), chat: str = CHAT
) -> dict[str, Any]:
    """A stored message, as `POST /chat/findMessages` selects it."""
    return {
        "id": f"cm{message_id}",
        "key": {"id": message_id, "fromMe": from_me, "remoteJid": chat},
        "pushName": "Ana",
        "messageType": "conversation",
        "message": {"conversation": "hi"},
        "messageTimestamp": int((datetime.now(UTC) - timedelta(seconds=seconds_ago)).timestamp()),
        "instanceId": "an-id",
        "source": "android",
        "contextInfo": None,
        "MessageUpdate": [{"status": each} for each in statuses],
    }


@dataclass
class StoredMessages:
    """Stands in the place of the client's search."""

    records: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By instance."""
    fails: dict[str, Exception] = field(default_factory=dict)
    asked: list[tuple[str, timedelta]] = field(default_factory=list)
    """The instance, and how far back."""

    def put_in(self, resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(resources.evolution, "find_messages", self.find)

    async def find(self, name: str, *, from_me: bool, between: tuple[datetime, datetime], page: int = 1, page_size: int) -> FoundMessages:
        self.asked.append((name, datetime.now(UTC) - between[0]))
        if name in self.fails:
            raise self.fails[name]
        found = [
            each
            for each in map(FoundMessage.model_validate, self.records.get(name, []))
            if between[0] <= each.message_timestamp <= between[1] and (each.key.from_me or not from_me)
        ]
        found.sort(key=lambda each: each.message_timestamp, reverse=True)
        here = found[(page - 1) * page_size : page * page_size]
        return FoundMessages(total=len(found), pages=-(-len(found) // page_size), current_page=page, records=here)

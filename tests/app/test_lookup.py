"""The search for what became of an attempt, where it asks the application's own database."""

import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from src.messages.claims import Claim
from src.messages.lookup import find_accepted
from src.resources import Resources, open_resources
from tests.app.catch_up_support import StoredMessages
from tests.app.events_support import CHAT, INSTANCE, rows, sent, store

if TYPE_CHECKING:
    from tests.app.test_events_catch_up import MakeSettings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def resources(make_settings: "MakeSettings", migrated_url: str) -> AsyncIterator[Resources]:
    async with open_resources(make_settings(database=migrated_url)) as resources:
        yield resources


def claim_of(text: str, started: datetime) -> Claim:
    return Claim(
        id=uuid.uuid4(),
        instance=INSTANCE,
        chat=CHAT,
        type="text",
        text=text,
        media=None,
        payload_bytes=10,
        attempts=1,
        started=started,
        created_at=started,
        problem=None,
        unknown=True,
        orphaned_at=None,
        payload=None,
        fresh_until=time.monotonic() + 60,
    )


@pytest.mark.parametrize("heard_before", [False, True])
async def test_only_what_was_heard_of_since_an_attempt_began_can_be_what_it_sent(
    resources: Resources, monkeypatch: pytest.MonkeyPatch, heard_before: bool
) -> None:
    """Whatever WhatsApp's clock says; so the search needs to look at a chat's newest messages alone, however many there are."""

    async def nothing(*_: object, **__: object) -> object:
        return await StoredMessages().find("x", from_me=True, between=(started, started), page_size=1)

    monkeypatch.setattr(resources.evolution, "find_messages", nothing)
    started = datetime.now(UTC)
    await store(resources.engine, sent("A1", "hi", at=started + timedelta(minutes=1)))
    if heard_before:
        await rows(resources.engine, "UPDATE messages SET created_at = now() - interval '1 hour'")
    found = await find_accepted(resources.engine, resources.evolution, claim_of("hi", started))
    assert (found is None) is heard_before

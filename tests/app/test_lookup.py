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
from tests.app.events_support import CHAT, INSTANCE, PHONES_ID, WEBS_ID, new_id, queue, rows, sent, store

if TYPE_CHECKING:
    from tests.app.test_events_catch_up import MakeSettings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def resources(make_settings: "MakeSettings", migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Resources]:
    """With an Evolution that finds nothing."""

    async def nothing(*_: object, **__: object) -> object:
        now = datetime.now(UTC)
        return await StoredMessages().find("x", from_me=True, between=(now, now), page_size=1)

    async with open_resources(make_settings(database=migrated_url)) as resources:
        monkeypatch.setattr(resources.evolution, "find_messages", nothing)
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
async def test_only_what_was_heard_of_since_an_attempt_began_can_be_what_it_sent(resources: Resources, heard_before: bool) -> None:
    """Whatever WhatsApp's clock says; so the search needs to look at a chat's newest messages alone, however many there are."""
    started = datetime.now(UTC)
    await store(resources.engine, sent(new_id(), "hi", at=started + timedelta(minutes=1)))
    if heard_before:
        await rows(resources.engine, "UPDATE messages SET created_at = now() - interval '1 hour'")
    found = await find_accepted(resources.engine, resources.evolution, claim_of("hi", started))
    assert (found is None) is heard_before


@pytest.mark.parametrize(("last_id", "is_found"), [(None, False), ("3EB0" + "A" * 36, False), ("3EB0" + "A" * 18, True)])
async def test_an_id_like_whatsapp_webs_is_evolutions_only_where_evolution_gives_such_ids(
    resources: Resources, last_id: str | None, is_found: bool
) -> None:
    """As Evolution 2.3.6 and later do; of 2.2.3 such a message is another device's."""
    if last_id:
        message_id = await queue(resources.engine, "before")
        await rows(resources.engine, "UPDATE messages SET state = 'sent', evolution_id = :last WHERE id = :id", last=last_id, id=message_id)
    started = datetime.now(UTC)
    await store(resources.engine, sent(WEBS_ID, "hi", at=started), sent(PHONES_ID, "hi", at=started))
    found = await find_accepted(resources.engine, resources.evolution, claim_of("hi", started))
    assert (found is not None) is is_found
    assert found is None or found.evolution_id == WEBS_ID

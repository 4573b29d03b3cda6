"""What Evolution API has of the application's instances is kept as the settings say, without a request of anybody's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import HttpUrl, SecretStr

from src.instances import service, webhooks
from src.instances.upkeep import keeping_instances
from src.resources import Resources, open_resources
from src.settings import EventsVia, Settings
from tasks.migrate import migrate
from tests.app.events_support import add_instance, rows
from tests.app.simulator_support import KEY

if TYPE_CHECKING:
    from tests.app.conftest import FakeEvolution
    from tests.app.simulator_fixtures import Run

pytest_plugins = ["tests.app.simulator_fixtures"]
pytestmark = pytest.mark.anyio

MakeSettings = Callable[..., Settings]
OURS = "http://app:8000/webhooks/evolution"
FAILED = 500, {"status": 500, "error": "Internal Server Error", "response": {"message": "x"}}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.instances.upkeep._FIRST_RETRY_SECONDS", 0.1)


@pytest.fixture
async def settings(make_settings: MakeSettings, fake_evolution: "FakeEvolution") -> Settings:
    settings = make_settings(events_via=EventsVia.WEBHOOK, webhook_secret=SecretStr("the-new-secret"))
    await migrate(settings)
    fake_evolution.instances = {"one": "open", "two": "open"}
    async with open_resources(settings) as resources:
        for name in fake_evolution.instances:
            await add_instance(resources.engine, name)
    return settings


@asynccontextmanager
async def kept(settings: Settings) -> AsyncIterator[Resources]:
    async with open_resources(settings) as resources, keeping_instances(resources):
        yield resources


async def eventually(look: Callable[[], bool], why: str) -> None:
    for _ in range(100):
        if look():
            return
        await asyncio.sleep(0.05)
    pytest.fail(why)


def webhook(shown: str = "the-new-secret", **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    events = ["QRCODE_UPDATED", "MESSAGES_UPSERT", "MESSAGES_UPDATE", "MESSAGES_DELETE", "SEND_MESSAGE", "CONNECTION_UPDATE"]
    switches = {"webhookByEvents": False, "webhookBase64": False}
    return {"url": OURS, "enabled": True, "headers": {"X-Webhook-Secret": shown}, "events": events, **switches, **changes}


def changed(fake: "FakeEvolution") -> list[str]:
    return [path for _, path, _ in fake.requests if path.startswith("/webhook/set/")]


@pytest.mark.parametrize(
    "before",
    [
        None,
        webhook("the-old-secret"),
        webhook(url="http://old.internal:8000/webhooks/evolution"),
        webhook(enabled=False, events=[]),
        webhook(events=["MESSAGES_UPSERT"]),
        webhook(headers=None),
        webhook(webhookByEvents=True),
    ],
)
async def test_an_instance_from_before_the_switch_or_a_rotation_gets_the_webhook_that_it_should_have(
    settings: Settings, fake_evolution: "FakeEvolution", before: dict[str, Any] | None
) -> None:
    if before is not None:
        fake_evolution.webhooks["one"] = before

    def right() -> bool:
        return all((fake_evolution.webhooks.get(name) or {}).items() >= webhook().items() for name in ("one", "two"))

    async with kept(settings), kept(settings):  # two replicas
        await eventually(right, f"{fake_evolution.webhooks}")


async def test_a_webhook_that_is_right_or_leads_elsewhere_is_not_touched(settings: Settings, fake_evolution: "FakeEvolution") -> None:
    theirs = webhook("theirs", url="http://crm.internal/hook", events=["CALL"])
    fake_evolution.webhooks = {"one": webhook(), "two": theirs}
    async with kept(settings):
        await eventually(lambda: any(path == "/webhook/find/two" for _, path, _ in fake_evolution.requests), "it looks")
        await asyncio.sleep(0.3)
    assert changed(fake_evolution) == []
    assert fake_evolution.webhooks["two"] == theirs


async def test_events_by_rabbitmq_again_switch_the_applications_webhooks_off_and_no_others(
    settings: Settings, fake_evolution: "FakeEvolution"
) -> None:
    fake_evolution.webhooks = {"one": webhook("whatever"), "two": webhook(url="http://crm.internal/hook")}
    async with kept(settings.model_copy(update={"events_via": EventsVia.RABBITMQ})):
        await eventually(lambda: not fake_evolution.webhooks["one"]["enabled"], "it is off")
    assert changed(fake_evolution) == ["/webhook/set/one"]
    assert fake_evolution.webhooks["two"]["enabled"]


async def test_evolution_that_is_away_for_a_while_gets_them_when_it_is_back(settings: Settings, fake_evolution: "FakeEvolution") -> None:
    fake_evolution.answers["/instance/fetchInstances"] = FAILED
    async with kept(settings):
        await asyncio.sleep(0.5)
        assert fake_evolution.webhooks == {}
        del fake_evolution.answers["/instance/fetchInstances"]
        await eventually(lambda: len(fake_evolution.webhooks) == 2, "both are set")


async def test_one_instances_error_keeps_no_other_from_its_webhook(settings: Settings, fake_evolution: "FakeEvolution") -> None:
    fake_evolution.answers["/webhook/find/one"] = FAILED
    async with kept(settings):
        await eventually(lambda: "two" in fake_evolution.webhooks, "the second one is set")
        del fake_evolution.answers["/webhook/find/one"]
        await eventually(lambda: "one" in fake_evolution.webhooks, "the first one is tried again")


async def test_an_instance_that_others_deleted_unheard_is_forgotten_and_one_that_is_in_doubt_is_not(
    settings: Settings, fake_evolution: "FakeEvolution"
) -> None:
    del fake_evolution.instances["two"]
    async with open_resources(settings) as resources:
        await add_instance(resources.engine, "doubted")
    fake_evolution.answers["/instance/connectionState/doubted"] = FAILED
    async with kept(settings) as resources:

        async def names() -> list[str]:
            return [row["name"] for row in await rows(resources.engine, "SELECT name FROM instances ORDER BY name")]

        for _ in range(100):
            if await names() == ["doubted", "one"]:
                break
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        assert await names() == ["doubted", "one"]


async def test_with_a_wrong_key_no_instance_is_forgotten(settings: Settings, fake_evolution: "FakeEvolution") -> None:
    fake_evolution.instances = {}
    fake_evolution.accepted_key = "another"
    async with kept(settings) as resources:
        await asyncio.sleep(0.5)
        assert len(await rows(resources.engine, "SELECT name FROM instances")) == 2


async def test_evolutions_own_contract_takes_what_is_set_and_switched_off(
    settings: Settings, run: "Run", alone: Callable[[], dict[str, str]]
) -> None:
    """The fake of the other tests says what they want; the simulator says what 2.2.3 does."""
    simulator = run(alone())
    there = settings.model_copy(update={"evolution_api_url": HttpUrl(simulator.url), "evolution_api_key": SecretStr(KEY)})
    async with open_resources(there) as resources:
        assert (await service.make(resources, "three", None)).is_new
        await webhooks.settle(resources, "three")
        found = await resources.evolution.webhook("three")
        assert found is not None
        assert (found.enabled, found.url, found.headers) == (True, OURS, {"X-Webhook-Secret": "the-new-secret"})
    async with open_resources(there.model_copy(update={"events_via": EventsVia.RABBITMQ})) as resources:
        await webhooks.settle(resources, "three")
        found = await resources.evolution.webhook("three")
        assert found is not None
        assert not found.enabled
        assert (await service.make(resources, "four", None)).is_new
        assert await resources.evolution.webhook("four") is None

"""The consumer, on a real RabbitMQ and a real Postgres: nothing is lost, nothing is stored twice, whatever goes away meanwhile."""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import aio_pika
import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from src.events.consumer import Consumer
from src.faults import State
from src.resources import open_resources
from src.settings import Settings
from tests.app.events_broker import VirtualHost, connected, consuming, eventually, migrated, publishing
from tests.app.events_support import INSTANCE, add_instance, envelope, marked, messages, received, rows, sent
from tests.app.events_support import connected as connection_event
from tests.app.simulator_support import Broker, Passage

if TYPE_CHECKING:
    from tests.app.conftest import Postgres

pytest_plugins = ["tests.app.simulator_fixtures"]
pytestmark = pytest.mark.anyio

MakeSettings = Callable[..., Settings]


@pytest.fixture
def host(broker: Broker) -> Iterator[VirtualHost]:
    host = VirtualHost(broker)
    yield host
    host.close()


@pytest.fixture
async def settings(make_settings: MakeSettings, host: VirtualHost) -> Settings:
    return await migrated(make_settings(), host)


async def stored(engine: AsyncEngine, count: int, limit_s: float = 30) -> list[str]:
    """Wait for so many messages, and then a moment for one too many; give their ids."""

    async def enough() -> bool:
        return bool((await rows(engine, "SELECT count(*) >= :count AS enough FROM messages", count=count))[0]["enough"])

    await eventually(enough, f"{count} messages are stored", limit_s)
    await asyncio.sleep(0.2)
    found = [row["evolution_id"] for row in await messages(engine)]
    assert len(found) == len(set(found)) == count
    return found


async def test_its_queues_are_bounded_and_bound_by_itself_before_evolution_has_ever_run(settings: Settings, host: VirtualHost) -> None:
    async with consuming(settings):
        assert host.bindings("app.messages") == {"messages.upsert", "messages.update", "send.message"}
        assert host.bindings("app.connections") == {"connection.update", "qrcode.updated", "instance.create", "instance.delete"}
        exchange = host.api.get(f"exchanges/{host.name}/evolution").json()
        assert (exchange["type"], exchange["durable"], exchange["auto_delete"]) == ("topic", True, False), "as Evolution declares it"
        for name, most in (("app.messages", 1_000_000), ("app.connections", 1_000), ("app.dead", 10_000)):
            queue = host.queue(name)
            assert queue["durable"]
            assert queue["arguments"]["x-queue-type"] == "quorum"
            assert queue["arguments"]["x-max-length"] == most
        assert host.queue("app.dead")["arguments"]["x-max-length-bytes"] == 256 * 1024 * 1024, "a dead letter may be large"


@pytest.mark.parametrize("letters", [0, 2])
async def test_dead_letters_of_an_earlier_version_are_kept_and_their_queue_is_bounded_anew_once_it_is_empty(
    settings: Settings, host: VirtualHost, letters: int
) -> None:
    earlier: dict[str, str | int] = {"x-queue-type": "quorum", "x-max-length": 10_000}
    async with await aio_pika.connect(host.url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("app.dead", durable=True, arguments=dict(earlier))
        for _ in range(letters):
            await channel.default_exchange.publish(aio_pika.Message(b"a letter"), routing_key="app.dead")
    async with consuming(settings) as resources, publishing(host.url) as evolution:
        assert ("x-max-length-bytes" in host.queue("app.dead")["arguments"]) is (letters == 0)
        await evolution.send(received("A1"), b"no JSON", key="messages.upsert")
        await stored(resources.engine, 1)

        async def all_dead() -> bool:
            found.extend(await asyncio.to_thread(host.take_dead))
            return len(found) == letters + 1

        found: list[dict[str, object]] = []
        await eventually(all_dead, "the letters are there, and the new one")
    async with consuming(settings):
        assert "x-max-length-bytes" in host.queue("app.dead")["arguments"]


async def test_a_queue_of_dead_letters_that_somebody_deleted_is_made_again(
    settings: Settings, host: VirtualHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.events.consumer._DECLARE_AGAIN_SECONDS", 0.5)
    async with consuming(settings) as resources:
        host.delete("queues/app.dead")

        async def there() -> bool:
            return bool(host.queue("app.dead"))

        await eventually(there, "it is there")
        await connected(resources)


async def test_events_are_stored_and_acknowledged(settings: Settings, host: VirtualHost) -> None:
    async with consuming(settings) as resources, publishing(host.url) as evolution:
        await evolution.send(received("A1"), sent("A2"), marked("A2", "READ"))
        await stored(resources.engine, 2)

        async def read() -> bool:
            return [row["state"] for row in await messages(resources.engine)] == ["received", "read"]

        await eventually(read, "the mark is stored")
    await eventually_empty(host)


async def eventually_empty(host: VirtualHost, name: str = "app.messages") -> None:
    async def empty() -> bool:
        return host.queue(name).get("messages") == 0  # RabbitMQ counts every 5 s

    await eventually(empty, f"{name} is empty", 30)


async def test_what_was_published_while_no_consumer_ran_is_stored_when_one_does(settings: Settings, host: VirtualHost) -> None:
    async with consuming(settings):
        pass
    async with publishing(host.url) as evolution:
        await evolution.send(*(received(f"A{number}") for number in range(500)))
    async with consuming(settings) as resources:
        await stored(resources.engine, 500)


async def test_two_consumers_duplicates_and_disorder_leave_each_message_once_with_its_best_mark(
    settings: Settings, host: VirtualHost
) -> None:
    ids = [f"A{number}" for number in range(200)]
    events = [event for each in ids for event in (sent(each), marked(each, "DELIVERY_ACK"), marked(each, "READ"))] * 2
    random.shuffle(events)
    async with consuming(settings) as resources, consuming(settings), publishing(host.url) as evolution:
        await evolution.send(*events)
        assert sorted(await stored(resources.engine, 200)) == sorted(ids)

        async def all_read() -> bool:
            return {row["state"] for row in await messages(resources.engine)} == {"read"}

        await eventually(all_read, "all are read")
    assert host.take_dead() == []


async def test_what_cannot_be_read_is_put_aside_with_the_reason_and_holds_nothing_up(
    settings: Settings, host: VirtualHost, caplog: pytest.LogCaptureFixture
) -> None:
    async with consuming(settings) as resources, publishing(host.url) as evolution:
        await evolution.send(b"a secret that is no JSON", key="messages.upsert")
        await evolution.send(envelope("messages.upsert", {"key": {}}), received("A1"), envelope("connection.update", {"state": "sideways"}))
        await stored(resources.engine, 1)

        async def put_aside() -> list[dict[str, object]]:
            found = host.take_dead()
            dead.extend(found)
            return dead if len(dead) == 3 else []

        dead: list[dict[str, object]] = []
        await eventually(put_aside, "three are put aside")
    reasons = {json.dumps(each["properties"]) for each in dead}
    assert any("app.connections" in each for each in reasons)
    assert any("JSONDecodeError" in each for each in reasons)
    assert "a secret" in {str(each["payload"])[:8] for each in dead}, "a person can look at it"
    assert "put aside" in caplog.text
    assert "a secret" not in caplog.text


async def test_what_postgres_refuses_for_ever_is_put_aside_alone(
    settings: Settings, host: VirtualHost, caplog: pytest.LogCaptureFixture
) -> None:
    async with consuming(settings) as resources, publishing(host.url) as evolution:
        await rows(resources.engine, "ALTER TABLE messages ADD CONSTRAINT harsh CHECK (text <> 'poison')")
        await evolution.send(*(received(f"A{number}", "poison" if number == 7 else "fine") for number in range(20)))
        await stored(resources.engine, 19)
        await eventually(lambda: asyncio.to_thread(host.take_dead), "it is put aside")
    assert "poison" not in caplog.text, "the log repeats no content"


async def test_a_lost_connection_is_made_again_and_nothing_is_lost(settings: Settings, host: VirtualHost) -> None:
    passage = Passage("127.0.0.1", host.port)
    through = settings.model_copy(update={"rabbitmq_url": SecretStr(host.url_at(passage.port))})
    async with consuming(through) as resources, publishing(host.url) as evolution:
        for turn in range(3):
            await evolution.send(*(received(f"A{turn}-{number}") for number in range(100)))
            passage.shut()

            async def unwell() -> bool:
                return resources.faults["rabbitmq"] is not None

            await eventually(unwell, "readiness says that it is not connected")
            fault = resources.faults["rabbitmq"]
            assert fault is not None
            assert fault.state is State.UNREACHABLE
            assert f"127.0.0.1:{passage.port}" in fault.problem
            await evolution.send(*(received(f"B{turn}-{number}") for number in range(100)))
            passage.open()
            await connected(resources)
        await stored(resources.engine, 600)
    passage.shut()


async def test_a_broker_that_restarts_is_found_again_with_what_waited_in_it(settings: Settings, host: VirtualHost) -> None:
    container = host.broker.server.container
    async with consuming(settings) as resources:
        async with publishing(host.url) as evolution:
            await evolution.send(*(received(f"A{number}") for number in range(100)))
        stop = await asyncio.to_thread(container.exec_run, ["rabbitmqctl", "stop_app"], user="rabbitmq")
        assert stop.exit_code == 0, stop.output
        await asyncio.sleep(1)
        start = await asyncio.to_thread(container.exec_run, ["rabbitmqctl", "start_app"], user="rabbitmq")
        assert start.exit_code == 0, start.output
        await connected(resources)
        async with publishing(host.url) as evolution:
            await evolution.send(*(received(f"B{number}") for number in range(100)))
        await stored(resources.engine, 200, limit_s=60)


@pytest.mark.parametrize("name", ["app.messages", "app.connections"])
async def test_a_queue_that_is_deleted_is_made_again_at_once(settings: Settings, host: VirtualHost, name: str) -> None:
    async with consuming(settings) as resources, publishing(host.url) as evolution:
        host.delete(f"queues/{name}")

        async def back() -> bool:
            return bool(host.queue(name)) and bool(host.bindings(name)) and resources.faults["rabbitmq"] is None

        await eventually(back, f"{name} is there again")
        await evolution.send(received("A1"))
        await stored(resources.engine, 1)


async def test_a_deleted_exchange_is_bound_again(settings: Settings, host: VirtualHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.events.consumer._DECLARE_AGAIN_SECONDS", 0.5)
    async with consuming(settings) as resources, publishing(host.url) as evolution:
        host.delete("exchanges/evolution")
        await evolution.declare()  # Evolution does so before each event

        async def bound() -> bool:
            return bool(host.bindings("app.messages"))

        await eventually(bound, "the queue is bound again")
        await evolution.send(received("A1"))
        await stored(resources.engine, 1)


async def test_an_emptied_broker_is_furnished_anew(settings: Settings, host: VirtualHost) -> None:
    async with consuming(settings) as resources:
        host.api.delete(f"vhosts/{host.name}").raise_for_status()

        async def unwell() -> bool:
            return resources.faults["rabbitmq"] is not None

        await eventually(unwell, "the loss is noticed")
        host.api.put(f"vhosts/{host.name}").raise_for_status()
        host.api.put(f"permissions/{host.name}/evolution", json={"configure": ".*", "write": ".*", "read": ".*"}).raise_for_status()
        await connected(resources)
        async with publishing(host.url) as evolution:
            await evolution.send(received("A1"))
        await stored(resources.engine, 1)


async def test_while_postgres_is_away_events_wait_and_none_is_lost_or_put_aside(
    settings: Settings, host: VirtualHost, postgres: "Postgres", caplog: pytest.LogCaptureFixture
) -> None:
    port = int(postgres.address.rpartition(":")[2])
    passage = Passage("127.0.0.1", port)
    database = settings.database_url.get_secret_value()
    through = settings.model_copy(update={"database_url": SecretStr(database.replace(f":{port}/", f":{passage.port}/"))})
    async with consuming(through) as resources, publishing(host.url) as evolution:
        await evolution.send(*(received(f"A{number}") for number in range(100)))
        await stored(resources.engine, 100)
        passage.shut()
        await evolution.send(*(received(f"B{number}") for number in range(300)))
        await asyncio.sleep(3)
        assert resources.faults["rabbitmq"] is None, "RabbitMQ is not what is wrong"
        passage.open()
        await stored(resources.engine, 400)
    assert "events wait for the database" in caplog.text
    assert host.take_dead() == []
    passage.shut()


async def test_a_stop_under_load_loses_nothing(settings: Settings, host: VirtualHost) -> None:
    async with publishing(host.url) as evolution:
        for turn in range(4):
            async with consuming(settings) as resources:
                await evolution.send(*(received(f"A{turn}-{number}") for number in range(250)))
                begin = asyncio.get_running_loop().time()
            took = asyncio.get_running_loop().time() - begin
            assert took < 8, f"the stop took {took:.1f} s"
        async with consuming(settings) as resources:
            await stored(resources.engine, 1000)
    assert host.take_dead() == []


async def test_a_stop_while_postgres_is_away_is_quick_and_loses_nothing(
    settings: Settings, host: VirtualHost, postgres: "Postgres"
) -> None:
    port = int(postgres.address.rpartition(":")[2])
    passage = Passage("127.0.0.1", port)
    database = settings.database_url.get_secret_value()
    through = settings.model_copy(update={"database_url": SecretStr(database.replace(f":{port}/", f":{passage.port}/"))})
    passage.shut()
    async with publishing(host.url) as evolution:
        async with consuming(through):
            await evolution.send(*(received(f"A{number}") for number in range(50)))
            await asyncio.sleep(1)
            begin = asyncio.get_running_loop().time()
        took = asyncio.get_running_loop().time() - begin
        assert took < 8, f"the stop took {took:.1f} s"
    async with consuming(settings) as resources:
        await stored(resources.engine, 50)


async def test_a_storm_of_changes_delays_no_message_and_costs_few_writes(settings: Settings, host: VirtualHost) -> None:
    async with consuming(settings) as resources, publishing(host.url) as evolution:
        await add_instance(resources.engine)
        loop = asyncio.get_running_loop()
        delays: list[float] = []
        before = await writes(resources.engine)
        begin = loop.time()

        async def storm() -> None:
            for second in range(5):
                for number in range(90):
                    await evolution.send(connection_event("connecting", second + number / 90))
                await asyncio.sleep(max(0, begin + second + 1 - loop.time()))

        async def chat() -> None:
            async with publishing(host.url) as another:
                for number in range(10):
                    sent_at = loop.time()
                    await another.send(received(f"A{number}"))
                    await eventually(lambda: known(resources.engine, f"A{number}"), "it is stored")  # noqa: B023
                    delays.append(loop.time() - sent_at)
                    await asyncio.sleep(0.3)

        await asyncio.gather(storm(), chat())
        assert max(delays) < 1, f"a message took {max(delays):.2f} s in a storm"
        changes = await rows(resources.engine, "SELECT state FROM connection_changes WHERE instance = :name", name=INSTANCE)
        assert [each["state"] for each in changes] == ["connecting"]
        used = await writes(resources.engine) - before
        assert used < 60, f"450 changes were written {used} times"


async def known(engine: AsyncEngine, message_id: str) -> bool:
    return bool(await rows(engine, "SELECT 1 FROM messages WHERE evolution_id = :id", id=message_id))


async def writes(engine: AsyncEngine) -> int:
    await rows(engine, "SELECT pg_stat_force_next_flush()")
    (row,) = await rows(engine, "SELECT n_tup_ins + n_tup_upd AS written FROM pg_stat_user_tables WHERE relname = 'instances'")
    return int(row["written"])


async def test_a_refused_password_is_said_in_words_and_never_shown(
    settings: Settings, host: VirtualHost, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = settings.model_copy(update={"rabbitmq_url": SecretStr(host.url_at(host.port, "a-wrong-password"))})
    async with open_resources(wrong) as resources, Consumer(resources):

        async def refused() -> bool:
            fault = resources.faults["rabbitmq"]
            return fault is not None and fault.state is State.CREDENTIALS_REFUSED

        await eventually(refused, "the refusal is noticed")
    assert "RABBITMQ_DEFAULT_PASS" in str(resources.faults["rabbitmq"])
    assert "a-wrong-password" not in f"{resources.faults}{caplog.text}"


async def test_a_queue_of_the_same_name_with_other_properties_is_said_with_its_mend(settings: Settings, host: VirtualHost) -> None:
    host.api.put(f"queues/{host.name}/app.messages", json={"durable": True}).raise_for_status()
    async with open_resources(settings) as resources, Consumer(resources):

        async def told() -> bool:
            fault = resources.faults["rabbitmq"]
            return fault is not None and fault.state is State.UNEXPECTED_ANSWER and "app.messages" in fault.problem

        await eventually(told, "the conflict is told")
        host.delete("queues/app.messages")
        await connected(resources)

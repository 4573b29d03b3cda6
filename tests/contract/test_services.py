"""What Evolution does in RabbitMQ, MinIO and Redis: on the simulator alone, whose services these tests can look into."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.app.simulator_support import Broker, Passage, Process, Service, eventually, redis_cli
from tests.contract.comparison import Need, needs
from tests.contract.target import Api, Paired, Target
from tests.contract.test_messages import PNG, new_text

pytestmark = needs(Need.SERVICES)

EXCHANGE = "evolution"


def test_the_exchange_is_a_durable_topic_and_the_queues_are_quorum_queues(broker: Broker, target: Target) -> None:
    assert target.simulator
    exchange = broker.api.get(f"exchanges/%2F/{EXCHANGE}").raise_for_status().json()
    assert (exchange["type"], exchange["durable"], exchange["auto_delete"]) == ("topic", True, False)
    queue = eventually(lambda: broker.queue(f"{EXCHANGE}.send.message") or {}, "the queue is declared at the start")
    assert (queue["durable"], queue["arguments"]["x-queue-type"]) == (True, "quorum")


def test_queues_are_bound_with_a_key_in_capitals_until_their_first_event(broker: Broker, api: Api) -> None:
    bound_at_start = (f"{EXCHANGE}.instance.create", "INSTANCE_CREATE")
    eventually(lambda: bound_at_start in broker.bindings(EXCHANGE), "the key that nothing is published with")
    api.create()
    bound = (f"{EXCHANGE}.instance.create", "instance.create")
    eventually(lambda: bound in broker.bindings(EXCHANGE), "the key that is really published")


def test_an_event_is_published_by_its_name_without_properties_and_without_a_destination(broker: Broker, api: Api) -> None:
    tap = broker.tap(EXCHANGE, "instance.create")
    created = api.create()
    name, instance_id = created["instance"]["instanceName"], created["instance"]["instanceId"]
    (message,) = eventually(lambda: tap.of(name), "the event is published")
    assert message["routing_key"] == "instance.create"
    assert message["properties"] in ([], {}, {"headers": {}}), "not persistent, no content type, nothing"
    body = json.loads(message["payload"])
    assert set(body) == {"event", "instance", "data", "server_url", "date_time", "apikey"}
    assert (body["event"], body["instance"]) == ("instance.create", name)
    assert body["data"] == {"instanceName": name, "instanceId": instance_id}


def test_an_instance_with_rabbitmq_of_its_own_gets_an_exchange_by_its_name_and_is_told_twice(broker: Broker, paired: Paired) -> None:
    body = {"rabbitmq": {"enabled": True, "events": ["SEND_MESSAGE"]}}
    paired.api.post(f"/rabbitmq/set/{paired.name}", body).raise_for_status()
    tap = broker.tap(EXCHANGE, "send.message")
    try:
        sent = paired.sent("sendText", text=new_text())
        everybodys = eventually(lambda: tap.of(paired.name), "the event is on the global exchange")
        queue = f"{paired.name}.send.message"
        eventually(lambda: (broker.queue(queue) or {}).get("messages"), f"and in the queue {queue}")
    finally:
        paired.api.post(f"/rabbitmq/set/{paired.name}", {"rabbitmq": {"enabled": False, "events": []}}).raise_for_status()
    assert (queue, "send.message") in broker.bindings(paired.name)
    assert sent["key"] in [json.loads(each["payload"])["data"]["key"] for each in everybodys]


def test_a_deletion_leaves_the_exchange_and_the_queue_of_the_instance_behind(broker: Broker, api: Api, name: str) -> None:
    api.create(instanceName=name, rabbitmq={"events": ["REMOVE_INSTANCE"]})
    api.delete(f"/instance/delete/{name}")
    eventually(lambda: api.is_gone(name), f"{name} is gone")
    eventually(lambda: broker.queue(f"{name}.remove.instance"), "the queue of the last event, which is told after the answer")
    assert broker.api.get(f"exchanges/%2F/{name}").is_success


def test_media_lies_in_a_bucket_that_anybody_may_read_and_its_url_names_instance_chat_and_message(paired: Paired) -> None:
    sent = paired.sent("sendMedia", mediatype="image", media=PNG, mimetype="image/png", fileName="dot.png")
    url = urlsplit(sent["message"]["mediaUrl"])
    row = paired.api.row(paired.name)
    path = f"/evolution/evolution-api/{row['id']}/{paired.number}%40s.whatsapp.net/{sent['key']['id']}/imageMessage/"
    assert url.path.startswith(path), sent["message"]["mediaUrl"]
    assert "X-Amz-Expires=604800" in url.query
    for address in (url.geturl(), url._replace(query="").geturl()):
        answer = httpx.get(address)
        assert answer.status_code == 200, "with and without the signature"
        assert answer.content.startswith(b"\x89PNG")


def test_a_session_stays_in_redis_when_its_instance_is_deleted(redis_server: Service, api: Api, name: str) -> None:
    instance_id = api.create(instanceName=name)["instance"]["instanceId"]
    api.post(f"/simulator/instances/{name}/pair", {"number": "5511988887777", "profileName": "Ana"}).raise_for_status()
    key = f"evolution:instance:{instance_id}"
    eventually(lambda: redis_cli(redis_server, "exists", key) == "1", "a hash with its keys")
    assert redis_cli(redis_server, "ttl", key) == "-1"
    api.delete(f"/instance/delete/{name}")
    eventually(lambda: api.is_gone(name), f"{name} is gone")
    assert redis_cli(redis_server, "exists", key) == "1"


@pytest.fixture
def on_a_line_that_can_be_cut(
    run: Callable[..., Process], alone: Callable[[], dict[str, str]], with_rabbitmq: dict[str, str], broker: Broker
) -> tuple[Api, Passage]:
    """A simulator that reaches RabbitMQ by a passage."""
    passage = Passage("127.0.0.1", broker.port)
    process = run(alone(), with_rabbitmq, RABBITMQ_URI=broker.uri.replace(f":{broker.port}/", f":{passage.port}/"))
    process.wait_for_line("Initializing global queues")
    return Api(Target(process.url, process.environment["AUTHENTICATION_API_KEY"], process)), passage


def test_a_lost_rabbitmq_is_never_found_again_and_nothing_tells_of_the_lost_events(
    on_a_line_that_can_be_cut: tuple[Api, Passage], broker: Broker
) -> None:
    api, passage = on_a_line_that_can_be_cut
    tap = broker.tap(EXCHANGE, "instance.create")
    name = api.created_name()

    def told() -> set[str]:
        return {json.loads(each["payload"])["instance"] for each in tap.messages()}

    eventually(lambda: name in told(), "an event comes through")
    passage.shut()
    assert api.try_to_create({"instanceName": f"{name}-2", "integration": "WHATSAPP-BAILEYS"}).status_code == 201, "the API works on"
    passage.open()
    assert api.try_to_create({"instanceName": f"{name}-3", "integration": "WHATSAPP-BAILEYS"}).status_code == 201
    seen: set[Any] = told()
    assert not seen & {f"{name}-2", f"{name}-3"}, "its events are lost, also with RabbitMQ back"


def test_a_converter_that_refuses_the_key_shows_as_a_401_of_the_api(
    run: Callable[..., Process], alone: Callable[[], dict[str, str]], converter: dict[str, str]
) -> None:
    process = run(alone(), converter, API_AUDIO_CONVERTER_KEY="another")
    name = process.create()["instance"]["instanceName"]
    answer = process.api.post(f"/message/sendWhatsAppAudio/{name}", json={"number": "5511999990001", "audio": PNG})
    assert answer.status_code == 401
    assert answer.json()["response"]["message"] == "Request failed with status code 401"


def test_a_converter_that_is_down_shows_as_a_500_with_its_address(run: Callable[..., Process], alone: Callable[[], dict[str, str]]) -> None:
    process = run(alone(), API_AUDIO_CONVERTER="http://127.0.0.1:1/process-audio", API_AUDIO_CONVERTER_KEY="a")
    name = process.create()["instance"]["instanceName"]
    answer = process.api.post(f"/message/sendWhatsAppAudio/{name}", json={"number": "5511999990001", "audio": PNG})
    expected = {"status": 500, "error": "Internal Server Error", "response": {"message": "connect ECONNREFUSED 127.0.0.1:1"}}
    assert (answer.status_code, answer.json()) == (500, expected)

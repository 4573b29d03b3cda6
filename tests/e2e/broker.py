"""A user's own definitions in RabbitMQ, of every kind, and messages in queues of every kind."""

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx

from tests.e2e.data import Clients, succeeded

_VHOST, _QUEUE, _QUORUM, _ELSEWHERE = "e2e/other world", "e2e kept", "e2e-quorum", "e2e-elsewhere"
_READER, _READERS_PASSWORD = "e2e-reader", "theirOwnPasswordInRabbitmq"
_KINDS = ("vhosts", "users", "permissions", "topic_permissions", "policies", "exchanges", "queues", "bindings")
_QUEUES = (("/", _QUEUE, "e2e-exchange", 60), ("/", _QUORUM, "amq.default", 20), (_VHOST, _ELSEWHERE, "amq.default", 5))


def make(clients: Clients) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Definitions of every kind, and messages in three queues: what was published into each."""
    vhost, user, anything = quote(_VHOST, safe=""), clients.user, {"configure": ".*", "write": ".*", "read": ".*"}
    for path, body in (
        (f"/vhosts/{vhost}", {}),
        (f"/permissions/{vhost}/{user}", anything),
        (f"/users/{_READER}", {"password": _READERS_PASSWORD, "tags": "monitoring"}),
        (f"/permissions/%2F/{_READER}", {"configure": "", "write": "", "read": "^e2e"}),
        ("/policies/%2F/e2e-policy", {"pattern": "^e2e-quorum$", "definition": {"max-length": 5000}, "apply-to": "queues"}),
        ("/exchanges/%2F/e2e-exchange", {"type": "topic", "durable": True}),
        (f"/queues/%2F/{quote(_QUEUE)}", {"durable": True, "arguments": {"x-max-length": 100000}}),
        (f"/queues/%2F/{_QUORUM}", {"durable": True, "arguments": {"x-queue-type": "quorum"}}),
        (f"/queues/{vhost}/{_ELSEWHERE}", {"durable": True}),
    ):
        succeeded(clients.rabbitmq("PUT", path, **body))
    succeeded(clients.rabbitmq("POST", f"/bindings/%2F/e/e2e-exchange/q/{quote(_QUEUE)}", routing_key="e2e.#", arguments={"x": "y"}))
    for each, queue, exchange, number in _QUEUES:
        published = list(_messages(queue, exchange, number))
        _publish(clients, each, exchange, published)
        yield f"RabbitMQ queue {queue}", [_plain(message) for message in published]


def lose_right(clients: Clients) -> str:
    """Take the administrator's right to a virtual host away, as where it was added by hand, or by an administrator of before; its name."""
    succeeded(clients.rabbitmq("DELETE", f"/permissions/{quote(_VHOST, safe='')}/{clients.user}"))
    return _VHOST


def damage(clients: Clients) -> None:
    """Change, remove or add something of each kind."""
    for method, path, body in (
        ("DELETE", f"/vhosts/{quote(_VHOST, safe='')}", {}),
        ("DELETE", f"/queues/%2F/{quote(_QUEUE)}/contents", {}),
        ("DELETE", f"/queues/%2F/{_QUORUM}", {}),
        ("DELETE", f"/users/{_READER}", {}),
        ("PUT", "/queues/%2F/e2e-stranger", {"durable": True}),
    ):
        succeeded(clients.rabbitmq(method, path, **body))


def read_definitions(clients: Clients) -> Iterator[tuple[str, Any]]:
    """What there is but for messages, and whether a user's password is still taken."""
    definitions = succeeded(clients.rabbitmq("GET", "/definitions")).json()
    for kind in _KINDS:
        listed = [each for each in definitions[kind] if not _is_the_stacks(each, clients.user)]
        yield f"RabbitMQ {kind}", sorted(json.dumps({**each, "metadata": None}, sort_keys=True) for each in listed)
    reader = replace(clients, user=_READER, credentials={"RABBITMQ_DEFAULT_PASS": _READERS_PASSWORD})
    yield "RabbitMQ reader's login", reader.rabbitmq("GET", "/whoami").status_code


def _is_the_stacks(definition: dict[str, Any], administrator: str) -> bool:
    """Whether it is the administrator, who is each stack's own, or a queue that Evolution API makes when it first has something for it."""
    made = str(definition.get("destination", definition.get("name", "")))
    return administrator in (definition.get("name"), definition.get("user")) or made.startswith("evolution.")


def _messages(queue: str, exchange: str, count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        content = {0: b"", 1: os.urandom(3000)}.get(number, f"{queue} {number}".encode())
        properties = {
            "delivery_mode": 2,
            "content_type": "application/json",
            "correlation_id": str(number),
            "headers": {"number": number, "nested": {"list": [1, "two"]}},
            **({"priority": 3, "timestamp": 1700000000, "message_id": "ünïcode", "type": "event"} if number % 2 else {}),
        }
        key = f"e2e.{number % 7}" if exchange == "e2e-exchange" else queue
        yield {"routing_key": key, "payload": base64.b64encode(content).decode(), "payload_encoding": "base64", "properties": properties}


def _publish(clients: Clients, vhost: str, exchange: str, messages: list[dict[str, Any]]) -> None:
    url = clients.stack.url("RABBITMQ_UI_PORT", f"/api/exchanges/{quote(vhost, safe='')}/{exchange}/publish")
    with httpx.Client(auth=(clients.user, clients.credentials["RABBITMQ_DEFAULT_PASS"]), timeout=20) as client:  # one connection for all
        for message in messages:
            succeeded(client.post(url, json=message))


def read_messages(clients: Clients) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for vhost, queue, exchange, _ in _QUEUES:
        found = [_plain(message) for message in take(clients, queue, vhost, "ack_requeue_false")]
        # What is given back to a quorum queue comes again in another order, so they are taken, and put there anew.
        _publish(clients, vhost, exchange, [{**message, "payload_encoding": "base64"} for message in found])
        yield f"RabbitMQ queue {queue}", found


def take(clients: Clients, queue: str, vhost: str = "/", mode: str = "ack_requeue_true") -> list[dict[str, Any]]:
    """The messages of a queue as the management interface gives them, in its order; none where there is no such queue."""
    path = f"/queues/{quote(vhost, safe='')}/{quote(queue)}/get"
    answer = clients.rabbitmq("POST", path, count=100_000, ackmode=mode, encoding="base64")
    return list(answer.json()) if answer.is_success else []


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    """What of a message has to be kept. How often a quorum queue handed it out is no part of it."""
    properties = dict(message["properties"])
    properties["headers"] = {name: value for name, value in properties["headers"].items() if name != "x-delivery-count"}
    return {"routing_key": message["routing_key"], "payload": message["payload"], "properties": properties}

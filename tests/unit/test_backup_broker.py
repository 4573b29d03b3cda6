"""RabbitMQ: what of it a restore takes for the same, which messages it counts, and which queues a backup leaves alone."""

import io
import json
from typing import Any
from unittest.mock import Mock

import pytest
from pamqp import commands, frame
from pamqp.header import ContentHeader

from ops.backup import definitions, rabbitmq
from ops.backup.amqp import Amqp, Login, Message
from ops.backup.inside import InsideError
from ops.backup.manifest import Broker, Queue
from ops.backup.rabbitmq import Rabbitmq
from ops.backup.refusals import VhostRefusedError
from ops.backup.services import Place
from tests.unit.backup_samples import message

QUEUE: dict[str, Any] = {"vhost": "/", "name": "q", "durable": True, "arguments": {"x-max-length": 5}}
BINDING: dict[str, Any] = {
    "vhost": "/",
    "source": "e",
    "destination": "q",
    "destination_type": "queue",
    "routing_key": "k",
    "arguments": {"x": 1},
}


@pytest.mark.parametrize(
    ("kind", "wanted", "there", "agree"),
    [
        ("queues", QUEUE, QUEUE, True),
        ("queues", QUEUE, {**QUEUE, "type": "classic", "arguments": {"x-max-length": 5, "x-queue-type": "classic"}}, True),
        ("queues", {**QUEUE, "auto_delete": False}, QUEUE, True),
        ("queues", QUEUE, {**QUEUE, "durable": False}, False),
        ("queues", QUEUE, {**QUEUE, "arguments": {"x-max-length": 6}}, False),
        ("queues", QUEUE, {**QUEUE, "vhost": "other"}, False),
        ("vhosts", {"name": "/", "metadata": {"tags": []}}, {"name": "/", "description": "", "metadata": {"tags": ["x"]}}, True),
        ("bindings", BINDING, BINDING, True),
        ("bindings", BINDING, {**BINDING, "properties_key": "k~x"}, True),
        ("bindings", BINDING, {**BINDING, "arguments": {"y": 2}}, False),
    ],
)
def test_definitions_are_the_same_where_all_that_both_versions_tell_is_the_same(
    kind: str, wanted: dict[str, Any], there: dict[str, Any], agree: bool
) -> None:
    assert definitions.missing({kind: [wanted]}, {kind: [there]}) == (None if agree else (kind, wanted))


class Connection:
    """Stands for a broker that takes every message, and has none of them any more when somebody looks."""

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def put(self, _exchange: str, _queue: str, messages: Any) -> int:  # noqa: ANN401 - as it comes
        return len(list(messages))


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Rabbitmq:
    monkeypatch.setattr(rabbitmq, "Amqp", Connection)
    monkeypatch.setattr(Rabbitmq, "definitions", lambda _: {})
    return Rabbitmq(Mock(), Place("rabbitmq", {}), Login("u", "p"))


def test_a_message_that_expires_before_it_is_looked_for_counts_as_restored(broker: Rabbitmq) -> None:
    taken = broker.restore_messages([message("a"), message("a"), message("b")], lambda _: None)
    assert taken == {("/", "a"): 2, ("/", "b"): 1}
    queues = [Queue(vhost="/", name=name, messages=count) for name, count in (("a", 2), ("b", 1), ("empty", 0))]
    broker.check(b"{}", Broker(version="3.10.8", queues=queues), taken)
    with pytest.raises(InsideError, match="queue a took 2 messages, and the archive has 3"):
        broker.check(b"{}", Broker(version="3.10.8", queues=[Queue(vhost="/", name="a", messages=3)]), taken)


@pytest.mark.parametrize(("user", "sent"), [("somebody-else", None), ("whatsapp", "whatsapp"), (None, None)])
def test_a_message_in_the_name_of_another_user_goes_back_in_nobodys_name(
    monkeypatch: pytest.MonkeyPatch, user: str | None, sent: str | None
) -> None:
    monkeypatch.setattr("ops.backup.amqp.tunnel", Mock())
    monkeypatch.setattr(Amqp, "_shake_hands", Mock())
    send = Mock()
    monkeypatch.setattr(Amqp, "_send", send)
    properties = commands.Basic.Properties(user_id=user, content_type="text/plain").marshal()
    Amqp(Mock(), "rabbitmq", Login("whatsapp", "p"), "/")._publish("e", Message("", "k", properties, b""))
    header = send.call_args.args[1]
    assert isinstance(header, ContentHeader)
    assert (header.properties.user_id, header.properties.content_type) == (sent, "text/plain")


ANSWERS: dict[str, Any] = {"/overview": {"rabbitmq_version": "3.10.8"}, "/users/u/permissions": [{"vhost": "/"}]}


def backed_up() -> Broker:
    """What a backup finds in the queues."""
    writer = Mock()
    writer.content.side_effect = lambda _, pieces: list(pieces)
    return Rabbitmq(Mock(), Place("rabbitmq", {}), Login("u", "p")).write_messages(writer, lambda _: None)


def have_queues(monkeypatch: pytest.MonkeyPatch, *queues: dict[str, Any]) -> None:
    monkeypatch.setattr(Rabbitmq, "_get", lambda _, path: list(queues) if path.startswith("/queues") else ANSWERS[path])


def test_a_backup_gives_the_administrator_the_right_that_it_lacks_to_the_virtual_hosts_that_it_has_to_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    have_queues(
        monkeypatch,
        QUEUE,
        {**QUEUE, "vhost": "a/b"},
        {**QUEUE, "vhost": "a/b", "name": "p"},
        {**QUEUE, "vhost": "streams", "type": "stream"},
    )
    monkeypatch.setattr(rabbitmq, "Amqp", Mock(side_effect=VhostRefusedError("no")))
    requests = Mock(return_value=b"")
    monkeypatch.setattr(Rabbitmq, "_request", requests)
    backed_up()
    ((method, path, body),) = [call.args for call in requests.call_args_list]
    assert (method, path, json.loads(body)["read"]) == ("PUT", "/permissions/a%2Fb/u", ".*")
    assert "u had no right to RabbitMQ's virtual host a/b" in capsys.readouterr().err


def test_a_virtual_host_that_lets_nobody_in_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    have_queues(monkeypatch, QUEUE)
    said = (
        commands.Connection.Start(),
        commands.Connection.Tune(),
        commands.Connection.Close(530, "NOT_ALLOWED - connection limit (0) is reached", 10, 40),
    )
    answers = b"".join(frame.marshal(each, 0) for each in said)
    monkeypatch.setattr("ops.backup.amqp.tunnel", lambda *_: Mock(makefile=lambda: io.BytesIO(answers)))
    (told,) = backed_up().queues
    assert (told.name, told.messages) == ("q", 0)
    assert told.left_out.startswith("all messages: ")
    assert "connection limit (0) is reached" in told.left_out


@pytest.mark.parametrize(
    ("queue", "left_alone"),
    [
        ({"durable": True}, False),
        ({"durable": True, "auto_delete": True, "consumers": 1}, False),
        ({"durable": True, "auto_delete": True, "consumers": 0}, True),
        ({"durable": True, "auto_delete": True}, True),
        ({"durable": False}, True),
        ({"durable": True, "exclusive": True}, True),
        ({"durable": True, "type": "stream"}, True),
    ],
)
def test_a_queue_that_a_look_would_end_is_left_alone_and_named(
    monkeypatch: pytest.MonkeyPatch, queue: dict[str, Any], left_alone: bool
) -> None:
    monkeypatch.setattr(rabbitmq, "Amqp", Mock(side_effect=AssertionError("it was looked at")))
    asked: list[str] = []

    def get(_: object, path: str) -> Any:  # noqa: ANN401 - whatever JSON it is
        asked.append(path)
        return [{"vhost": "/", "name": "q", **queue}] if path.startswith("/queues") else ANSWERS[path]

    monkeypatch.setattr(Rabbitmq, "_get", get)
    if not left_alone:
        with pytest.raises(AssertionError, match="looked at"):
            backed_up()
        return
    (told,) = backed_up().queues
    assert told.left_out
    assert all(name in asked[-1].split("=")[1].split(",") for name in ("auto_delete", "consumers", "durable", "exclusive"))

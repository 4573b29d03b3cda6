"""RabbitMQ: its definitions, and the messages that lie in its queues.

The broker offers no way to copy a queue while it serves. So the messages are looked at as a consumer would, and given back. What can't be
had that way, and is said to be left out: messages that a consumer holds at that moment, queues that end with their connection, streams.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlsplit

from ops.backup import definitions
from ops.backup.amqp import Amqp, Login, Message, decoded
from ops.backup.inside import InsideError
from ops.backup.manifest import DEFINITIONS, MESSAGES, Broker, Queue
from ops.backup.refusals import QueueRefusedError, VhostRefusedError
from ops.backup.telling import warn
from ops.backup.web import Web, whole
from stack.vocabulary import RABBITMQ_UI_PORT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from docker import DockerClient

    from ops.backup.archive import Writer
    from ops.backup.services import Place

_OK = 300
_EXCHANGE: Final = "whatsapp.restore"
_DEFAULT_LIMIT = 20
"""How often RabbitMQ 4 hands a message of a quorum queue out before it drops it, unless told otherwise."""
_LIMIT_SINCE = 4
_MARGIN = 5
"""A look counts as one time: messages that were handed out so often that the limit is near are left alone."""
_LINE_BYTES = 32 * 1024 * 1024
_LONGEST_KEY = 255
"""Bytes of a routing key, in AMQP."""


@dataclass
class Rabbitmq:
    """A RabbitMQ, asked from inside its container."""

    client: DockerClient
    place: Place
    login: Login

    def version(self) -> str:
        """Of the server."""
        return str(self._get("/overview")["rabbitmq_version"])

    def definitions(self) -> dict[str, Any]:
        """Everything but messages, without the administrator: each stack has its own, with a password of its own."""
        found: dict[str, Any] = self._get("/definitions")
        return definitions.without_user(found, self.login.user)

    def write_definitions(self, writer: Writer) -> None:
        """Write the definitions."""
        writer.content(DEFINITIONS, [json.dumps(self.definitions(), indent=1, sort_keys=True).encode() + b"\n"])

    def write_messages(self, writer: Writer, tell: Callable[[int], None]) -> Broker:
        """Write the messages of all queues; which queues there are, and what of them is left out.

        Args:
            writer: of the archive.
            tell: called now and then with the number of messages so far.
        """
        version, queues = self.version(), self._queues()
        self._reach({queue["vhost"] for queue in queues if not _unreadable(queue)})
        told: list[Queue] = []

        def content() -> Iterator[bytes]:
            count = 0
            for queue in queues:
                for line in self._look(queue, _limit(queue, version), told):
                    count += 1
                    tell(count)
                    yield line

        writer.content(MESSAGES, content())
        return Broker(version=version, queues=told)

    def _look(self, queue: dict[str, Any], limit: int | None, told: list[Queue]) -> Iterator[bytes]:
        vhost, name = queue["vhost"], queue["name"]
        if reason := _unreadable(queue):
            told.append(Queue(vhost=vhost, name=name, messages=0, left_out=reason))
            return
        held, written = queue.get("messages_unacknowledged", 0), 0
        notes = [f"{held} that a consumer held"] if held else []
        try:
            for message in self._handed_out(queue, limit, notes):
                written += 1
                yield _line(vhost, name, message)
        except VhostRefusedError as error:
            notes.append(f"all messages: {error}")
        told.append(Queue(vhost=vhost, name=name, messages=written, left_out="; ".join(dict.fromkeys(notes))))

    def _handed_out(self, queue: dict[str, Any], limit: int | None, notes: list[str]) -> Iterator[Message]:
        """The messages of a queue that can be had; what can't be is noted."""
        with Amqp(self.client, self.place.container, self.login, queue["vhost"]) as connection:
            try:
                for message in connection.look(queue["name"]):
                    if limit is not None and message.deliveries + _MARGIN >= limit:
                        notes.append("one that was handed out too often to be looked at again, and those behind it")
                        break
                    if message.body is None:
                        notes.append("one of more than 16 MiB")
                        continue
                    yield message
                else:
                    if connection.missed:
                        notes.append(f"{connection.missed} that a consumer took meanwhile, or has for itself")
            except QueueRefusedError as error:
                notes.append(f"all messages, for a consumer has them for itself ({error})")

    def _reach(self, vhosts: set[str]) -> None:
        """Give the administrator a right to those virtual hosts to which it has none: it may be newer than they are, or not their maker."""
        if not vhosts:
            return
        has = {each["vhost"] for each in self._get(f"/users/{quote(self.login.user, safe='')}/permissions")}
        for vhost in sorted(vhosts - has):
            self._give_right(vhost)
            warn(f"  {self.login.user} had no right to RabbitMQ's virtual host {vhost}, and was given it, to read its queues", "yellow")

    def _give_right(self, vhost: str) -> None:
        rights = json.dumps({"configure": ".*", "write": ".*", "read": ".*"}).encode()
        self._request("PUT", f"/permissions/{quote(vhost, safe='')}/{quote(self.login.user, safe='')}", rights)

    def restore_definitions(self, text: bytes) -> None:
        """Import definitions."""
        wanted = definitions.without_user(definitions.parsed(text), self.login.user)
        body = json.dumps(wanted).encode()
        self._request("POST", "/definitions", body)
        # The administrator needs a right to each virtual host that came with them.
        for vhost in wanted.get("vhosts", []):
            self._give_right(vhost["name"])

    def restore_messages(self, content: Iterable[bytes], tell: Callable[[int], None]) -> Counter[tuple[str, str]]:
        """Put all messages back into their queues; how many the broker has taken, by virtual host and queue."""
        count, taken = 0, Counter[tuple[str, str]]()

        def run(first: tuple[str, str, Message], rest: Iterator[tuple[str, str, Message]]) -> Iterator[Message]:
            """The messages of one queue; the first of the next one is left in `ahead`."""
            nonlocal count
            following: tuple[str, str, Message] | None = first
            while following is not None and following[:2] == first[:2]:
                count += 1
                tell(count)
                yield following[2]
                following = next(rest, None)
            ahead.append(following)

        parsed = messages(content)
        ahead = [next(parsed, None)]
        while (first := ahead.pop()) is not None:
            with Amqp(self.client, self.place.container, self.login, first[0]) as connection:
                taken[first[:2]] += connection.put(_EXCHANGE, first[1], run(first, parsed))
        return taken

    def check(self, text: bytes, expected: Broker, taken: Mapping[tuple[str, str], int]) -> None:
        """Compare definitions and messages with those of an archive.

        Args:
            text: the archive's definitions.
            expected: the archive's queues.
            taken: what `restore_messages` returned. It is this that counts: a message can be past its time by now, or where it goes then.

        Raises:
            InsideError: something is missing, or other.
        """
        wanted = definitions.without_user(definitions.parsed(text), self.login.user)
        if lacks := definitions.missing(wanted, self.definitions()):
            kind, one = lacks
            raise InsideError(f"RabbitMQ has not all {kind} of the archive: {json.dumps(one)[:300]} is missing or other")
        for queue in expected.queues:
            if (count := taken.get((queue.vhost, queue.name), 0)) != queue.messages:
                raise InsideError(f"queue {queue.name} took {count} messages, and the archive has {queue.messages}")

    def _queues(self) -> list[dict[str, Any]]:
        columns = "vhost,name,type,durable,exclusive,auto_delete,consumers,arguments,effective_policy_definition,messages_unacknowledged"
        found: list[dict[str, Any]] = self._get(f"/queues?columns={columns}")
        return sorted(found, key=lambda each: (each["vhost"], each["name"]))

    def _get(self, path: str) -> Any:  # noqa: ANN401 - whatever JSON it is
        said = self._request("GET", path)
        try:
            return json.loads(said)
        except ValueError as error:
            raise InsideError(f"RabbitMQ's answer to GET {path} can't be read: {error}") from error

    def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        web = Web(self.client, self.place.container, RABBITMQ_UI_PORT)
        login = base64.b64encode(f"{self.login.user}:{self.login.password}".encode()).decode()
        try:
            answer = web.ask(method, f"/api{path}", {"authorization": f"Basic {login}", "content-type": "application/json"}, body)
            said = whole(answer)
        finally:
            web.close()
        if answer.status >= _OK:
            raise InsideError(f"RabbitMQ answers {method} {path} with {answer.status}: {said[:500].decode(errors='replace')}")
        return said


def login_of(evolution: Place) -> Login:
    """The broker's administrator, as Evolution API was told it."""
    uri = urlsplit(evolution.variables["RABBITMQ_URI"])
    return Login(unquote(uri.username or ""), unquote(uri.password or ""))


def _unreadable(queue: dict[str, Any]) -> str:
    """Why a queue's messages can't be in a backup; empty when they can."""
    if queue.get("type") == "stream":
        return "a stream"
    if not queue.get("durable", True) or queue.get("exclusive"):
        return "it ends with its connection"
    if queue.get("auto_delete") and not queue.get("consumers"):
        return "it ends with its next consumer, and so it would with the backup's look at it"
    return ""


def _limit(queue: dict[str, Any], version: str) -> int | None:
    """How often the queue hands a message out before it drops it; None for always."""
    if queue.get("type") != "quorum":
        return None
    given = [(queue.get("arguments") or {}).get("x-delivery-limit"), (queue.get("effective_policy_definition") or {}).get("delivery-limit")]
    limits = [each for each in given if isinstance(each, int)]
    if limits:
        return None if min(limits) < 0 else min(limits)
    return _DEFAULT_LIMIT if int(version.partition(".")[0]) >= _LIMIT_SINCE else None


def _line(vhost: str, queue: str, message: Message) -> bytes:
    line = {
        "vhost": vhost,
        "queue": queue,
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "properties": base64.b64encode(message.properties).decode(),
        "body": base64.b64encode(message.body or b"").decode(),
    }
    return json.dumps(line).encode() + b"\n"


def messages(content: Iterable[bytes]) -> Iterator[tuple[str, str, Message]]:
    """Virtual host, queue and message of each line.

    Raises:
        ValueError: a line is not one that a backup writes.
    """
    rest = b""
    for piece in content:
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > _LINE_BYTES:
            raise ValueError("a message has no end")
        yield from map(_message, whole)
    if rest:
        raise ValueError("its last message has no end")


def _message(line: bytes) -> tuple[str, str, Message]:
    try:
        found = json.loads(line)
        properties, body = (base64.b64decode(found[name], validate=True) for name in ("properties", "body"))
        message = Message(str(found["exchange"]), str(found["routing_key"]), properties, body)
        decoded(properties)
        if len(message.routing_key.encode()) > _LONGEST_KEY:
            raise ValueError("a message's routing key is longer than it can be")
        return str(found["vhost"]), str(found["queue"]), message
    except (LookupError, TypeError) as error:
        raise ValueError(f"a message can't be read: {error!r}") from error

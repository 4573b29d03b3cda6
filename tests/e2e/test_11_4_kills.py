"""Services that are killed while messages flow both ways: nothing is lost and nothing is doubled, counted at both ends."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import asyncpg
import httpx
import pytest

from bench.figures import Tally
from bench.traffic import Stack as Places
from bench.traffic import Traffic
from tests.e2e.environment import Stack

_EACH_WAY = 150
_PER_SECOND = 30
_INTO_THE_TRAFFIC = 2
"""Seconds after which something is killed."""
_AWAY = 1
_ALL_THERE_WITHIN = 100
"""Seconds from the end of the traffic: a claim of a killed sender runs out after 30, and catch-up looks every 60."""
_SENDER = "5511966665555"


@dataclass
class BothWays:
    """Traffic of one instance in both directions, counted in the application's database and at the simulated WhatsApp."""

    stack: Stack
    traffic: Traffic
    marks_may_be_lost: bool = False
    """Whether a sent message counts as well as a delivered one: WhatsApp tells a mark once, and Evolution keeps it in its database."""

    def run(self, trouble: Callable[[], None]) -> None:
        """Let messages flow both ways, cause trouble in their midst, and wait until all are where they belong."""
        asyncio.run(self.traffic.pair())
        texts = self.traffic.more(_EACH_WAY)
        with ThreadPoolExecutor(max_workers=3) as pool:
            flows = [
                pool.submit(asyncio.run, self.traffic.post(texts, per_second=_PER_SECOND)),
                pool.submit(self._write_to_the_phone),
                pool.submit(self._in_the_midst, trouble),
            ]
            for flow in flows:
                flow.result()

    @staticmethod
    def _in_the_midst(trouble: Callable[[], None]) -> None:
        time.sleep(_INTO_THE_TRAFFIC)
        trouble()

    def _write_to_the_phone(self) -> None:
        """Write as somebody else does. Whether an attempt without an answer arrived is counted at the phone: all that it has is wanted."""
        places = self.traffic.stack
        path = f"{places.evolution}/simulator/instances/{self.traffic.instance}/messages"
        with httpx.Client(timeout=20, headers={"apikey": places.evolution_key}) as client:
            for number in range(_EACH_WAY):
                begun = time.monotonic()
                while not self._wrote(client, path, {"from": _SENDER, "pushName": "Bea", "text": f"to {self.traffic.instance} {number}"}):
                    assert time.monotonic() - begun < _ALL_THERE_WITHIN, "the phone can't be written to any more"
                    time.sleep(0.2)
                time.sleep(max(0.0, 1 / _PER_SECOND - (time.monotonic() - begun)))

    @staticmethod
    def _wrote(client: httpx.Client, path: str, body: dict[str, str]) -> bool:
        try:
            answer = client.post(path, json=body)
        except httpx.TransportError:
            return False
        assert answer.is_success or answer.is_server_error, f"the phone refuses a message: {answer.text}"
        return answer.is_success

    def assert_all_are_there_once(self) -> None:
        out, back = self._counted_when_complete()
        for said, texts in (
            ("lost on the way to WhatsApp", out.lost),
            ("still on the way to WhatsApp, or back from there", out.late),
            ("doubled on the way to WhatsApp", out.doubled),
            ("on the phone and not in the application", back.lost),
            ("in the application twice, or not on the phone", back.doubled),
        ):
            assert not texts, f"{len(texts)} messages are {said}: {sorted(texts)[:5]}; the application has of them {self._states(texts)}"

    def _counted_when_complete(self) -> tuple[Tally, Tally]:
        """Count again until nothing is missing, for as long as it may take; what is too much stays so."""
        limit = time.monotonic() + _ALL_THERE_WITHIN
        while True:
            try:
                out, back = asyncio.run(self.traffic.counted()), self._inbound()
                if self.marks_may_be_lost:
                    out = replace(out, late=frozenset(text for text, state in self._states(out.late).items() if state != "sent"))
            except (httpx.HTTPError, asyncpg.PostgresError, OSError):  # what was killed is not back yet
                assert time.monotonic() < limit, f"nothing could be counted within {_ALL_THERE_WITHIN} s"
            else:
                if not (out.lost or out.late or back.lost) or time.monotonic() > limit:
                    return out, back
            time.sleep(1)

    def _states(self, texts: frozenset[str]) -> dict[str, str]:
        return {sent.text: sent.state for sent in asyncio.run(self.traffic.in_app()) if sent.text in texts}

    def _inbound(self) -> Tally:
        """Compare by WhatsApp's ids: a text that was written again for want of an answer is another message."""
        received = asyncio.run(self._received())
        return Tally.of(self._on_the_phone(), received)

    async def _received(self) -> list[str]:
        connection = await asyncpg.connect(self.traffic.stack.database, timeout=10)
        try:
            rows = await connection.fetch(
                "SELECT evolution_id FROM messages WHERE instance = $1 AND direction = 'inbound'", self.traffic.instance
            )
        finally:
            await connection.close()
        return [row["evolution_id"] for row in rows]

    def _on_the_phone(self) -> list[str]:
        places = self.traffic.stack
        body: dict[str, Any] = {"where": {"key": {"remoteJid": f"{_SENDER}@s.whatsapp.net"}}, "offset": 10 * _EACH_WAY}
        path = f"{places.evolution}/chat/findMessages/{self.traffic.instance}"
        answer = httpx.post(path, json=body, headers={"apikey": places.evolution_key}, timeout=20).raise_for_status()
        ids = [record["key"]["id"] for record in answer.json()["messages"]["records"] if not record["key"]["fromMe"]]
        assert len(ids) >= _EACH_WAY, f"the phone has only {len(ids)}"
        return ids


@pytest.fixture
def both_ways(stack: Stack) -> Iterator[BothWays]:
    credentials = stack.credentials()
    places = Places(
        apps=(stack.url("APP_PORT"),),
        evolution=stack.url("EVOLUTION_PORT"),
        evolution_key=credentials["AUTHENTICATION_API_KEY"],
        database=f"postgresql://app:{quote(credentials['POSTGRES_PASSWORD'], safe='')}@127.0.0.1:{stack.settings['POSTGRES_PORT']}/app",
    )
    flow = BothWays(stack, Traffic(places, f"e2e-{uuid4().hex[:8]}", chats=30))
    yield flow
    httpx.delete(f"{places.apps[0]}/instances/{flow.traffic.instance}", timeout=20)


def _kill(stack: Stack, service: str) -> None:
    """End a service's processes as a power cut does, and start it again."""
    stack.settled = False
    container = stack.container(service).id
    stack.client.api.kill(container)
    time.sleep(_AWAY)
    stack.client.api.start(container)


@pytest.mark.parametrize("service", ["app", "evolution-api", "db", "evolution_postgres"])
def test_a_killed_service_loses_and_doubles_no_message(stack: Stack, both_ways: BothWays, service: str) -> None:
    both_ways.marks_may_be_lost = service == "evolution_postgres"
    both_ways.run(lambda: _kill(stack, service))
    both_ways.assert_all_are_there_once()


def test_a_killed_rabbitmq_loses_no_message_although_evolution_never_finds_it_again(stack: Stack, both_ways: BothWays) -> None:
    both_ways.run(lambda: _kill(stack, "rabbitmq"))
    ran = stack.up()  # which sees that evolution-api is older than its broker, and restarts it
    assert "evolution-api is restarted" in ran.output, ran.told
    both_ways.assert_all_are_there_once()


def test_an_application_that_is_stopped_under_load_ends_in_time_with_nothing_left_in_its_hands(stack: Stack, both_ways: BothWays) -> None:
    container = stack.container("app").id
    seen: dict[str, Any] = {}

    def stop_and_start() -> None:
        stack.settled = False
        begun = time.monotonic()
        stack.client.api.stop(container, timeout=20)
        seen["seconds"] = time.monotonic() - begun
        seen["code"] = stack.client.api.inspect_container(container)["State"]["ExitCode"]
        seen["sending"] = asyncio.run(_count_in_hand(both_ways.traffic))
        stack.client.api.start(container)

    both_ways.run(stop_and_start)
    assert seen["code"] in (0, 143), f"it did not end by itself, but with {seen['code']}"
    assert seen["seconds"] < 15, f"it took {seen['seconds']:.1f} s"
    assert seen["sending"] == 0, f"it left {seen['sending']} messages half sent"
    both_ways.assert_all_are_there_once()


async def _count_in_hand(traffic: Traffic) -> int:
    connection = await asyncpg.connect(traffic.stack.database, timeout=10)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM messages WHERE instance = $1 AND state = 'sending'", traffic.instance))
    finally:
        await connection.close()

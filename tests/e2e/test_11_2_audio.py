"""Voice messages: from the application's request to the bytes in the object store; and what goes wrong on the way."""

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pytest

from tests.contract.sounds import decoded, wav
from tests.e2e.data import Clients
from tests.e2e.environment import Stack
from tests.e2e.messaging import Messaging

_SECONDS = 2.37
_MENDED_WITHIN = 40
"""Seconds from the mend to the sent message: the outbox waits longer and longer between its attempts."""


@pytest.fixture(scope="module")
def messaging(shared: Stack) -> Iterator[Messaging]:
    shared.settle()
    messaging = Messaging(shared, Clients(shared, shared.credentials()), f"e2e-{uuid4().hex[:8]}")
    messaging.pair()
    yield messaging
    messaging.app("DELETE", f"/instances/{messaging.instance}")


def _voice(content: bytes) -> dict[str, Any]:
    return {"type": "voice", "audio": base64.b64encode(content).decode()}


def test_a_voice_message_reaches_the_object_store_as_ogg_with_opus_as_long_as_it_was(messaging: Messaging) -> None:
    identifier = messaging.send(**_voice(wav(_SECONDS)))
    sent = messaging.wait_for(identifier, "delivered with its file's address", lambda each: bool((each["media"] or {}).get("url")))
    bucket, _, name = unquote(urlsplit(sent["media"]["url"]).path).lstrip("/").partition("/")
    with messaging.clients.minio().get_object(bucket, name) as stored:
        content = stored.read()
    kind, seconds = decoded(content)
    assert content.startswith(b"OggS")
    assert kind == "ogg/opus"
    assert abs(seconds - _SECONDS) < 0.1, f"{_SECONDS} s became {seconds} s"
    assert sent["media"]["mimetype"] == "audio/ogg; codecs=opus"


def test_with_the_converter_down_a_voice_message_says_so_and_waits_and_texts_still_go(messaging: Messaging) -> None:
    stack = messaging.stack
    converter = stack.container("audio-converter").id
    stack.settled = False
    stack.client.api.kill(converter)
    try:
        voice = messaging.send(**_voice(wav(0.5)))
        problem = messaging.wait_for_problem(voice, "converter_down")
        assert "audio-converter" in problem["mend"], problem
        assert messaging.message(voice)["state"] == "queued"
    finally:
        stack.client.api.start(converter)
    messaging.wait_for_state(voice, "delivered", seconds=_MENDED_WITHIN)


def test_a_converter_that_refuses_the_key_is_not_mistaken_for_evolution_refusing_it(messaging: Messaging) -> None:
    messaging.phone("PUT", "/faults", converter="refuse")
    try:
        voice = messaging.send(**_voice(wav(0.5)))
        problem = messaging.wait_for_problem(voice, "converter_refused_key")
        assert "AUDIO_CONVERTER_API_KEY" in problem["mend"], problem
        assert messaging.stack.readiness().is_success, "Evolution still takes the application's own key"
    finally:
        messaging.phone("DELETE", "/faults")
    messaging.wait_for_state(voice, "delivered", seconds=_MENDED_WITHIN)


def test_a_file_that_is_no_sound_fails_after_a_few_tries_and_the_next_one_is_sent(messaging: Messaging) -> None:
    broken = messaging.send(**_voice(b"this is no sound at all" * 50))
    good = messaging.send(**_voice(wav(0.5)))
    failed = messaging.wait_for_state(broken, "failed", seconds=_MENDED_WITHIN)
    assert failed["problem"]["code"] == "voice_not_convertible", failed
    assert "ffmpeg" in failed["problem"]["mend"], failed
    assert failed["attempts"] == 3
    messaging.wait_for_state(good, "delivered")

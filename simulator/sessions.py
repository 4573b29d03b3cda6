"""The keys of WhatsApp sessions, in Redis: what a pairing leaves there, and without which it is lost.

2.2.3 keeps every signal key but the credentials in the hash `<prefix>:instance:<instance id>`, without a time to live. With the cache
switched off they are files under `instances/<instance id>/`.
"""

import asyncio
import re
import shutil
from pathlib import Path
from urllib.parse import quote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from simulator.journal import Journal
from simulator.settings import Redis as RedisSettings
from simulator.settings import StartRefusedError

INSTANCES_FOLDER = Path("instances")
"""Relative to the working directory, `/evolution` in the image."""

_STEP_MS = 50
_LONGEST_WAIT_MS = 500
"""The client's back-off: 50 ms more for each failure, up to 500 ms, for ever."""


def check_uri(uri: str) -> None:
    """Refuse what node-redis refuses at import.

    Raises:
        StartRefusedError: the URI isn't `redis[s]://[user:password@]host[:port][/number]`.
    """
    hint = f"(CACHE_REDIS_URI={re.sub('//.*@', '//***@', uri)}; redis://[:password@]host:6379/<number>, percent-encoded)"
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        raise StartRefusedError(f"TypeError: Invalid URL {hint}") from None
    if not parts.scheme:
        raise StartRefusedError(f"TypeError: Invalid URL {hint}")
    if parts.scheme not in {"redis", "rediss"}:
        raise StartRefusedError(f"TypeError: Invalid protocol {hint}")
    if not re.fullmatch(r"(/\d*)?", parts.path):
        raise StartRefusedError(f"TypeError: Invalid pathname {hint}")


class Sessions:
    """Keeps session keys; `watch` follows the connection and logs as node-redis's client in 2.2.3 does."""

    def __init__(self, settings: RedisSettings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal.named("Redis")
        self._ready = asyncio.Event()
        self._client: Redis | None = None
        if settings.enabled:
            check_uri(settings.uri)
            self._client = Redis.from_url(settings.uri, retry=Retry(NoBackoff(), 0), socket_connect_timeout=5, socket_keepalive=True)

    async def watch(self) -> None:
        """Hold a connection open, for ever; come back to a Redis that went away."""
        if self._client is None:
            return
        failures = 0
        while True:
            try:
                await self._hold(self._client)
            except (RedisError, OSError):
                failures = 0 if self._ready.is_set() else failures + 1
                self._ready.clear()
                self._journal.error("redis disconnected")
            await asyncio.sleep(min(failures * _STEP_MS, _LONGEST_WAIT_MS) / 1000)

    async def _hold(self, client: Redis) -> None:
        """Listen on a channel where nothing is ever said: the one call that ends when the connection does."""
        async with client.pubsub() as listener:
            self._journal.verbose("redis connecting")
            await listener.subscribe(f"{self._settings.prefix}:simulator")
            self._ready.set()
            self._journal.verbose("redis ready")
            async for _ in listener.listen():
                pass

    async def available(self) -> None:
        """Wait until Redis answers: an open instance reads its keys for every message, and in 2.2.3 that hangs for as long as it takes."""
        if self._client is not None:
            await self._ready.wait()

    async def keep(self, instance_id: str, number: str) -> None:
        """Keep a session's key. With Redis down this waits for it, as every command in 2.2.3 does."""
        field = f"session-{number}.0"
        if self._client is None:
            folder = INSTANCES_FOLDER / instance_id
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{quote(field)}.json").write_text("{}", encoding="utf-8")
            return
        await self._ready.wait()
        await self._client.hset(self._key(instance_id), field, "{}")

    async def kept(self, instance_id: str) -> bool:
        """Whether the session's keys are still there; waits for Redis too."""
        if self._client is None:
            return any((INSTANCES_FOLDER / instance_id).glob("*.json"))
        while True:
            await self._ready.wait()
            try:
                return bool(await self._client.exists(self._key(instance_id)))
            except (RedisError, OSError):
                await asyncio.sleep(_LONGEST_WAIT_MS / 1000)

    def forget(self, instance_id: str) -> None:
        """Remove a session's files. What is in Redis stays there: 2.2.3 leaves it behind."""
        shutil.rmtree(INSTANCES_FOLDER / instance_id, ignore_errors=True)

    async def close(self) -> None:
        """Drop the connections."""
        if self._client is not None:
            await self._client.aclose()

    def _key(self, instance_id: str) -> str:
        return f"{self._settings.prefix}:instance:{instance_id}"

"""Log lines that mean trouble, by service: what they mean and what mends it.

Evolution API's were seen while 2.2.3 ran, or stand in its source; most of its failures show nowhere else: it goes on without what it lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from stack.vocabulary import ServiceName


@dataclass(frozen=True)
class Sign:
    """A kind of log line.

    Attributes:
        pattern: what is looked for in a line.
        meaning: what it says about the service.
        mend: what to do.
        least: how many such lines among those looked at mean it; one may be a passing moment.
        is_of_logins: whether it is over when those who log in were started anew, as after a rotation.
    """

    pattern: re.Pattern[str]
    meaning: str
    mend: str
    least: int = 1
    is_of_logins: bool = False


def _sign(pattern: str, meaning: str, mend: str, least: int = 1, *, is_of_logins: bool = False) -> Sign:
    return Sign(re.compile(pattern, re.IGNORECASE), meaning, mend, least, is_of_logins)


_ENDLESS = 300
"""More lines than instances write that connect once, at a start; a storm writes as many in half a minute."""

_EVOLUTION = (
    _sign("redis disconnected", "it has lost Redis, which holds WhatsApp's session keys: sending hangs", "see the log of redis", least=5),
    _sign(
        "S3 ERROR|S3Error|\\[S3 Service\\] Error", "it can't use MinIO: media is lost", "see the log of minio, then restart evolution-api"
    ),
    _sign(
        "unhandledRejection.*(ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ACCESS.REFUSED|handshake|frame_max)"
        "|RabbitMQ does not answer: starting without it",
        "it started without RabbitMQ, and never tries again: events are dropped",
        "restart evolution-api when RabbitMQ is well",
    ),
    _sign(
        "P3009|failed migrations",
        "a migration of its database was cut short",
        "restore a backup; or, when it had changed nothing yet, `make psql SERVICE=evolution_postgres`, "
        "`UPDATE _prisma_migrations SET rolled_back_at = now() WHERE finished_at IS NULL;` and `make up`",
    ),
    _sign("Migration failed", "it can't migrate its database", "see the log of evolution_postgres"),
    _sign("QR code limit reached", "nobody scanned the code of an instance", "ask for a code again when the phone is at hand"),
    _sign(
        "Baileys version( env)?:|connection\\.update|CONNECTION_UPDATE|connecting to whatsapp",
        "it reconnects without end: WhatsApp can't be reached",
        "see that evolution-api reaches web.whatsapp.com; deleting the instance doesn't stop it, a restart does",
        least=_ENDLESS,
    ),
)
_POSTGRES = (
    _sign(
        "password authentication failed",
        "somebody uses an old or wrong password",
        "`make up`; then look for other users of the port",
        is_of_logins=True,
    ),
    _sign("No space left on device|could not (write|extend)", "its disk is full", "make room, then `make up`"),
    _sign("remaining connection slots|too many clients", "all connections are taken", "raise its ..._MAX_CONNECTIONS setting"),
    _sign(
        "was terminated by signal 9", "one of its processes was killed, most likely for lack of memory", "raise its ..._MEMORY_MB setting"
    ),
    _sign("database system was interrupted|not properly shut down", "it was killed, and recovered", "nothing; see why it was killed"),
)
SIGNS: dict[str, tuple[Sign, ...]] = {
    ServiceName.EVOLUTION_API: _EVOLUTION,
    ServiceName.DB: _POSTGRES,
    ServiceName.EVOLUTION_POSTGRES: _POSTGRES,
    ServiceName.REDIS: (
        _sign("OOM command not allowed|used memory > 'maxmemory'", "its memory is full: it refuses writes", "raise REDIS_MEMORY_MB"),
        _sign("MISCONF|Can't save in background|No space left", "it can't write its data", "make room on the disk"),
    ),
    ServiceName.RABBITMQ: (
        _sign("(memory|disk) resource limit alarm set", "it is full, and takes no more messages", "raise RABBITMQ_MEMORY_MB, or make room"),
        _sign(
            "invalid credentials|login refused",
            "somebody uses an old or wrong password",
            "`make up`; then look for other users",
            is_of_logins=True,
        ),
    ),
    ServiceName.MINIO: (_sign("drive (not found|full)|storage.*full|No space left", "it can't write its data", "make room on the disk"),),
    ServiceName.AUDIO_CONVERTER: (_sign("panic:|index out of range", "it fails over short clips", "use another AUDIO_CONVERTER_IMAGE"),),
    ServiceName.APP: (
        _sign("lost its connection to RabbitMQ", "Evolution API drops events", "make restart SERVICE=evolution-api"),
        _sign('^Traceback|"level": "(error|critical)".*"exception":', "a request failed by a mistake in the code", "make logs SERVICE=app"),
    ),
}
"""What is looked for in each service's log."""


def signs_in(service: str, lines: list[str], since_the_logins: list[str]) -> list[tuple[Sign, int]]:
    """The signs that show in a service's log lines, with how often.

    Args:
        service: whose lines they are.
        lines: all that are looked at.
        since_the_logins: those among them from after the last start of whoever logs in.
    """
    counted = [
        (sign, sum(1 for line in (since_the_logins if sign.is_of_logins else lines) if sign.pattern.search(line)))
        for sign in SIGNS.get(service, ())
    ]
    return [(sign, count) for sign, count in counted if count >= sign.least]

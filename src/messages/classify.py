"""What it means for a message that Evolution API 2.2.3 did not simply take it.

Evolution calls WhatsApp last: its guards, the look-up of the number and the preparation of media come before, the storing in its own
database after. Which errors come from which step is read from tag 2.2.3 (`whatsapp.baileys.service.ts`, sendMessageWithTyping): what
is thrown before comes as its own status or 500, what is thrown from the hand-over to WhatsApp on comes as a 400 with the error's text.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from src.events.content import clean
from src.evolution.errors import (
    AnswerLostError,
    ConversionFailedError,
    ConverterBrokeOffError,
    ConverterRefusedKeyError,
    ConverterUnavailableError,
    EvolutionError,
    EvolutionUnreachableError,
    GroupUnavailableError,
    InstanceNotConnectedError,
    InstanceUnknownError,
    KeyRefusedError,
    MediaUnavailableError,
    NumberNotOnWhatsAppError,
    Outcome,
    RefusedError,
    UnexpectedAnswerError,
)
from src.faults import State

MessageType = Literal["text", "media", "voice"]

VOICE_TRIES = 3
"""How often the converter may fail at a voice message before its file is held to be broken."""

MEDIA_TRIES = 10
"""How often Evolution may fail to fetch or prepare a file: its server may be away for a while, but all after it in its chat waits."""

BREAK_OFFS = 10
"""How often the converter may break off over a file before that is held to be the cause. It is away after each, which is no reason to
count anew."""

UNRECORDED = "sent_but_not_recorded"
GAVE_UP = "gave_up"


class Action(StrEnum):
    """What to do with the message now."""

    RETRY = "retry"
    """It was certainly not sent: try again later."""
    LOOK = "look"
    """It may have been sent: find out before anything else."""
    FAIL = "fail"
    """It was not sent and never will be."""


class Pause(StrEnum):
    """Which other messages would meet the same, so that trying them is of no use for a while."""

    NONE = "none"
    INSTANCE = "instance"
    ALL = "all"


@dataclass(frozen=True)
class Problem:
    """What stands in the way of a message: a code for programs, words for people."""

    code: str
    detail: str
    mend: str

    def as_json(self, at: datetime, times: int = 1) -> dict[str, Any]:
        """Return it as it is stored with the message; `times` is how many attempts in a row have met it."""
        return {"code": self.code, "detail": clean(self.detail), "mend": clean(self.mend), "at": at.isoformat(), "times": times}


@dataclass(frozen=True)
class Verdict:
    """What follows from an attempt that did not end with a message sent.

    Attributes:
        tries: with `RETRY`, how many attempts in a row may end like this before the message fails.
        may_be_at_work: with `LOOK`, whether Evolution may still be busy with the request, so that one look is not enough.
    """

    action: Action
    problem: Problem
    pause: Pause = Pause.NONE
    tries: int | None = None
    may_be_at_work: bool = False


_STARTING = re.compile(r"of undefined \(reading '(textMessage|mediaMessage|audioWhatsapp)'\)")
"""Evolution answers before it has loaded its instances; for a while it knows them, but can't use them."""
_DATABASE = re.compile(r"\bPrisma\w*Error\b|prismaRepository")
_PREPARING = re.compile(r"with 500: (?!.*Prisma)\w*Error\b")

_RULES: tuple[tuple[type[EvolutionError], Action, Pause, int | None], ...] = (
    (EvolutionUnreachableError, Action.RETRY, Pause.ALL, None),
    (KeyRefusedError, Action.RETRY, Pause.ALL, None),
    (InstanceNotConnectedError, Action.RETRY, Pause.INSTANCE, None),
    (InstanceUnknownError, Action.FAIL, Pause.NONE, None),
    (NumberNotOnWhatsAppError, Action.FAIL, Pause.NONE, None),
    (GroupUnavailableError, Action.RETRY, Pause.NONE, None),
    (RefusedError, Action.FAIL, Pause.NONE, None),
    (ConverterRefusedKeyError, Action.RETRY, Pause.NONE, None),
    (ConverterUnavailableError, Action.RETRY, Pause.NONE, None),
    (ConverterBrokeOffError, Action.RETRY, Pause.NONE, BREAK_OFFS),
    (ConversionFailedError, Action.RETRY, Pause.NONE, VOICE_TRIES),
    (MediaUnavailableError, Action.RETRY, Pause.NONE, MEDIA_TRIES),
    (UnexpectedAnswerError, Action.LOOK, Pause.ALL, None),
)


def judge(kind: MessageType, error: EvolutionError) -> Verdict:
    """Say what follows from an error of Evolution's, or of the way to it, for the message that it was asked to send."""
    told = problem_of(error)
    if isinstance(error, AnswerLostError):
        return Verdict(Action.LOOK, told, may_be_at_work=error.fault.state is State.TIMEOUT)
    for known, action, pause, tries in _RULES:
        if isinstance(error, known):
            unsure = action is Action.RETRY and error.outcome is Outcome.UNKNOWN
            return Verdict(Action.LOOK if unsure else action, told, pause, tries)
    return _judge_failure(kind, told)


def _judge_failure(kind: MessageType, told: Problem) -> Verdict:
    """Judge an error that Evolution gives no other sign of than its text."""
    if _STARTING.search(told.detail):
        return Verdict(Action.RETRY, told, Pause.INSTANCE)
    if " with 400: " in told.detail and _DATABASE.search(told.detail):
        return Verdict(Action.LOOK, unrecorded(told.detail))
    if kind == "media" and _PREPARING.search(told.detail):
        return Verdict(Action.RETRY, told, tries=MEDIA_TRIES)
    return Verdict(Action.LOOK, told)


def problem_of(error: EvolutionError) -> Problem:
    """Return an error as a message's problem."""
    return Problem(error.code, error.fault.problem, error.fault.mend)


def unrecorded(detail: str) -> Problem:
    """Describe a message that WhatsApp has and Evolution could not store: a search can't find it, and sending it again would double it."""
    return Problem(
        UNRECORDED,
        f"WhatsApp got the message, but Evolution API could not store it, so it has no id and gets no marks: {detail}",
        "look at evolution_postgres, Evolution's database, and its log; do not send the message again.",
    )


def interrupted() -> Problem:
    """Describe a message whose sender ended while it was at it."""
    return Problem(
        "interrupted",
        "The application ended while it sent the message, or lost its database; whether Evolution API got the message is not known yet.",
        "nothing to do: Evolution API is asked what became of it. If it has nothing of it, the message is sent again: a text once another "
        "message of the instance was sent, and any message after ten minutes.",
    )


def gave_up(hours: float, last: str | None) -> Problem:
    """Describe a message that could not be sent in time; `last` is what the last attempt met."""
    why = f" The last attempt met: {last}" if last else " It was never tried, for Evolution API could not be used in all that time."
    return Problem(
        GAVE_UP,
        f"The message could not be sent within {hours:g} hours, which OUTBOX_GIVE_UP_HOURS sets.{why}",
        "mend what stood in its way, and send the message again.",
    )

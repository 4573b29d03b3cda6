"""What can go wrong in a call of Evolution API, each with what it means: whether Evolution did what was asked, and what mends it."""

from enum import StrEnum
from typing import ClassVar

import httpx

from src.faults import Fault, State

_LOOK_AT_LOG = "look at the log of the service evolution-api."


class Outcome(StrEnum):
    """What is known about whether Evolution did what it was asked to."""

    NOT_DONE = "not_done"
    """Certainly not: asking again repeats nothing."""
    UNKNOWN = "unknown"
    """Perhaps: look before asking again."""


class EvolutionError(Exception):
    """A call did not do what it should; `fault` says why and what mends it, `outcome` whether it may have been done all the same.

    Attributes:
        code: a stable name of this kind of error, for the application's own answers.
        outcome: what is known; a class has a default, and an error may know better.
    """

    code: ClassVar[str] = "evolution_failed"
    outcome: Outcome = Outcome.UNKNOWN

    def __init__(self, fault: Fault, outcome: Outcome | None = None) -> None:
        super().__init__(fault.problem)
        self.fault = fault
        if outcome is not None:
            self.outcome = outcome


class EvolutionUnreachableError(EvolutionError):
    """No connection came about, so the request was not sent."""

    code = "evolution_unreachable"
    outcome = Outcome.NOT_DONE


class AnswerLostError(EvolutionUnreachableError):
    """The request was sent, at least in part, and no answer came: the connection broke, or the time was up."""

    code = "evolution_no_answer"
    outcome = Outcome.UNKNOWN


class KeyRefusedError(EvolutionError):
    """The key is not one that Evolution accepts."""

    code = "evolution_key_refused"
    outcome = Outcome.NOT_DONE


class InstanceUnknownError(EvolutionError):
    """Evolution has no instance of that name."""

    code = "instance_unknown"
    outcome = Outcome.NOT_DONE


class InstanceNotLoadedError(EvolutionError):
    """Evolution has the instance in its database and not in its memory: for a while after its start, and while it deletes it."""

    code = "instance_not_loaded"
    outcome = Outcome.NOT_DONE


class NameTakenError(EvolutionError):
    """Evolution has an instance of that name already."""

    code = "instance_name_taken"
    outcome = Outcome.NOT_DONE


class InstanceNotConnectedError(EvolutionError):
    """The instance has no connection to WhatsApp: it was never paired, the phone logged it out, or the connection is being made."""

    code = "instance_not_connected"
    outcome = Outcome.NOT_DONE


class NumberNotOnWhatsAppError(EvolutionError):
    """WhatsApp has no account of that number."""

    code = "number_not_on_whatsapp"
    outcome = Outcome.NOT_DONE


class GroupUnavailableError(EvolutionError):
    """Evolution knows no such group: the instance's account is not in it, or the instance is not connected."""

    code = "group_unavailable"
    outcome = Outcome.NOT_DONE


class RefusedError(EvolutionError):
    """Evolution refuses what was asked, and would refuse it again."""

    code = "refused_by_evolution"
    outcome = Outcome.NOT_DONE


class MediaUnavailableError(EvolutionError):
    """Evolution could not fetch the media from its URL."""

    code = "media_unavailable"
    outcome = Outcome.NOT_DONE


class ConverterRefusedKeyError(EvolutionError):
    """The audio converter refused Evolution's key; Evolution hands its 401 on as its own."""

    code = "converter_refused_key"
    outcome = Outcome.NOT_DONE


class ConverterUnavailableError(EvolutionError):
    """Evolution could not reach the audio converter."""

    code = "converter_down"
    outcome = Outcome.NOT_DONE


class ConverterBrokeOffError(EvolutionError):
    """The audio converter took the file and ended without an answer: it was stopped, or the file kills it."""

    code = "converter_broke_off"
    outcome = Outcome.NOT_DONE


class ConversionFailedError(EvolutionError):
    """The audio converter could not make a voice note of what it got."""

    code = "voice_not_convertible"
    outcome = Outcome.NOT_DONE


class EvolutionFailedError(EvolutionError):
    """Evolution says that it failed: by a status from 500, by a 400 with an exception's text, or by a 200 with `"error": true`."""

    code = "evolution_failed"


class UnexpectedAnswerError(EvolutionError):
    """Something answered, but not as Evolution API 2.2.3 does."""

    code = "evolution_unexpected_answer"


def slow(url: str) -> Fault:
    """Describe an Evolution API that takes a connection, but doesn't answer in time."""
    return Fault(
        State.TIMEOUT,
        f"Evolution API at {url} did not answer in time.",
        "look at the log and the load of the service evolution-api, see that redis, for which it waits, is up; restart it when it hangs.",
    )


def unreachable(url: str, error: httpx.TransportError) -> Fault:
    """Describe an Evolution API to which no connection comes about, or whose connection broke."""
    return Fault(
        State.UNREACHABLE,
        f"Evolution API can't be reached at {url}: {error or type(error).__name__}.",
        "start the service evolution-api, look at its log, and see that EVOLUTION_API_URL is its address.",
    )


def key_refused(url: str) -> Fault:
    """Describe two keys that differ."""
    return Fault(
        State.CREDENTIALS_REFUSED,
        f"Evolution API at {url} refused the key: EVOLUTION_API_KEY (what the application sends) differs from AUTHENTICATION_API_KEY "
        "(what Evolution accepts).",
        "give both settings the same value, or leave both out to have one made for the two, and bring the stack up again.",
    )


def unexpected(answer: httpx.Response, text: str) -> Fault:
    """Describe an answer that isn't Evolution API's."""
    return Fault(
        State.UNEXPECTED_ANSWER,
        _answered(answer, text),
        "look at the log of the service evolution-api, and see that EVOLUTION_API_URL is the address of an Evolution API 2.2.3.",
    )


def failed(answer: httpx.Response, text: str, mend: str = _LOOK_AT_LOG) -> Fault:
    """Describe an error of Evolution's own."""
    return Fault(State.UNEXPECTED_ANSWER, _answered(answer, text), mend)


def not_loaded(answer: httpx.Response, name: str) -> Fault:
    """Describe an instance that Evolution has stored, and can't speak of."""
    return failed(answer, f"the instance {name!r} is not loaded", "wait a moment: Evolution API has just started, or is deleting it.")


def _answered(answer: httpx.Response, text: str) -> str:
    request = answer.request
    base = str(request.url.copy_with(raw_path=b"/")).rstrip("/")
    return f"{base} answered {request.method} {request.url.path} with {answer.status_code}: {text}"

"""What each error of Evolution API means for the message that was to be sent; and the small decisions around it."""

from datetime import UTC, datetime

import httpx
import pytest

from src.events.content import Content
from src.evolution import errors
from src.evolution.diagnosis import diagnose
from src.faults import Fault, State
from src.messages.classify import Action, MessageType, Pause, gave_up, interrupted, judge
from src.messages.matching import chat_variants, is_same
from src.messages.pauses import Pauses, backoff

PATHS: dict[MessageType, str] = {"text": "sendText", "media": "sendMedia", "voice": "sendWhatsAppAudio"}


def answered(kind: MessageType, status: int, message: object, to: str = "5511999990001") -> errors.EvolutionError:
    """The error that Evolution's answer to a request to send becomes."""
    request = httpx.Request("POST", f"http://evolution-api:8080/message/{PATHS[kind]}/support", json={"number": to})
    body = {"status": status, "error": "whatever", "response": {"message": message}}
    return diagnose(httpx.Response(status, json=body, request=request))


@pytest.mark.parametrize(("status", "message"), [(500, "Cannot read properties of undefined (reading 'id')"), (400, ["[object Object]"])])
def test_a_group_that_evolution_does_not_find_is_tried_again_without_a_look_and_holds_up_no_other_chat(
    status: int, message: object
) -> None:
    verdict = judge("text", answered("text", status, message, to="120363040000000000@g.us"))
    assert (verdict.action, verdict.problem.code, verdict.pause) == (Action.RETRY, "group_unavailable", Pause.NONE)
    assert "member of the group" in verdict.problem.mend
    assert judge("text", answered("text", status, message)).problem.code != "group_unavailable", "that is no group"


def test_an_object_in_place_of_a_reason_is_told_as_none() -> None:
    detail = judge("text", answered("text", 400, ["[object Object]"])).problem.detail
    assert "it gave no reason" in detail
    assert "[object" not in detail


@pytest.mark.parametrize(
    ("kind", "status", "message", "action", "code", "pause"),
    [
        ("text", 400, [{"exists": False, "jid": "1@s.whatsapp.net", "number": "1"}], "fail", "number_not_on_whatsapp", "none"),
        ("text", 400, [['instance requires property "text"']], "fail", "refused_by_evolution", "none"),
        ("text", 400, ["Owned media must be a url or base64"], "fail", "refused_by_evolution", "none"),
        ("text", 404, ['The "x" instance does not exist'], "fail", "instance_unknown", "none"),
        ("text", 401, "Unauthorized", "retry", "evolution_key_refused", "all"),
        ("voice", 401, "Unauthorized", "retry", "evolution_key_refused", "all"),
        ("voice", 401, "Request failed with status code 401", "retry", "converter_refused_key", "none"),
        ("voice", 500, "Request failed with status code 500", "retry", "voice_not_convertible", "none"),
        ("voice", 500, "connect ECONNREFUSED 172.18.0.5:4040", "retry", "converter_down", "none"),
        ("voice", 500, "getaddrinfo ENOTFOUND audio-converter", "retry", "converter_down", "none"),
        ("voice", 500, "socket hang up", "retry", "converter_broke_off", "none"),
        ("voice", 500, "read ECONNRESET", "retry", "converter_broke_off", "none"),
        ("text", 500, "Cannot read properties of undefined (reading 'onWhatsApp')", "retry", "instance_not_connected", "instance"),
        (
            "media",
            500,
            ["TypeError: Cannot read properties of undefined (reading 'waUploadToServer')"],
            "retry",
            "instance_not_connected",
            "instance",
        ),
        ("text", 400, ["TypeError: Cannot read properties of undefined (reading 'sendPresenceUpdate')"], "retry", None, "instance"),
        ("text", 500, "Connection Closed", "retry", "instance_not_connected", "instance"),
        ("text", 500, "Cannot read properties of undefined (reading 'textMessage')", "retry", None, "instance"),
        ("text", 400, ["Error: Connection Closed"], "look", "instance_not_connected", "instance"),
        ("text", 400, ["Error: Timed Out"], "look", None, "none"),
        ("text", 400, ["PrismaClientKnownRequestError: \nInvalid `create()`"], "look", "sent_but_not_recorded", "none"),
        ("text", 500, ["PrismaClientKnownRequestError: \nInvalid `findMany()`"], "look", None, "none"),
        ("media", 500, ["Error: Input buffer contains unsupported image format"], "retry", None, "none"),
        ("text", 503, "Service Unavailable", "look", None, "none"),
    ],
)
def test_each_answer_means_what_evolutions_source_says(
    kind: MessageType, status: int, message: object, action: str, code: str | None, pause: str
) -> None:
    verdict = judge(kind, answered(kind, status, message))
    assert verdict.action == Action(action), verdict.problem.detail
    assert code is None or verdict.problem.code == code
    assert verdict.pause == Pause(pause)
    assert verdict.problem.mend, "the problem doesn't say how to mend it"


FAULT = Fault(State.UNREACHABLE, "broken", "mend it")


def test_a_request_that_never_left_is_tried_again_and_one_that_did_is_looked_after() -> None:
    assert judge("text", errors.EvolutionUnreachableError(FAULT)).action is Action.RETRY
    broken = judge("text", errors.AnswerLostError(FAULT))
    late = judge("text", errors.AnswerLostError(errors.slow("http://evolution-api:8080")))
    assert (broken.action, broken.may_be_at_work) == (Action.LOOK, False)
    assert (late.action, late.may_be_at_work) == (Action.LOOK, True)


def test_files_that_can_not_be_used_are_not_tried_for_ever() -> None:
    assert judge("voice", answered("voice", 500, "Request failed with status code 500")).tries == 3
    assert judge("media", answered("media", 500, ["AxiosError: Request failed with status code 404"])).tries == 10


def test_a_problem_is_stored_with_its_time_and_without_what_postgres_can_not_keep() -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    told = judge("text", answered("text", 500, "half a\0text")).problem.as_json(at, times=3)
    assert (told["at"], told["times"]) == (at.isoformat(), 3)
    assert "\0" not in told["detail"]
    assert "broken" in gave_up(24, "broken").detail
    assert interrupted().code == "interrupted"


@pytest.mark.parametrize(
    ("chat", "others"),
    [
        ("4915100000001@s.whatsapp.net", []),
        ("5541999990001@s.whatsapp.net", ["554199990001@s.whatsapp.net"]),
        ("554199990001@s.whatsapp.net", ["5541999990001@s.whatsapp.net"]),
        ("5215512345678@s.whatsapp.net", ["525512345678@s.whatsapp.net"]),
        ("120363040000000000@g.us", []),
    ],
)
def test_a_chat_is_also_known_by_the_other_forms_of_its_number(chat: str, others: list[str]) -> None:
    variants = chat_variants(chat)
    assert variants[0] == chat
    assert len(variants) == len(set(variants))
    assert set(others) <= set(variants), variants
    assert others or variants == [chat]


def image(**more: str | None) -> Content:
    return Content("media", "look", {"kind": "image", "mimetype": "image/png", "file_name": None} | more)


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        (Content("text", "hi"), Content("text", "hi"), True),
        (Content("text", "hi"), Content("text", "Hi"), False),
        (Content("text", "hi"), Content("media", "hi", {"kind": "image"}), False),
        (image(), image(), True),
        (image(), image(kind="video"), False),
        (image(), image(mimetype="image/jpeg"), False),
        (image(file_name="a.png"), image(), True),
        (image(file_name="a.png"), image(file_name="b.png"), False),
        (image(sha256="a1"), image(sha256="a1"), True),
        (image(sha256="a1"), image(sha256="b2"), False),
        (image(sha256="a1"), image(), True),
        (image(), image(sha256="b2"), True),
        (image(), Content("media", None, {"kind": "image"}), False),
        (Content("voice", None, {"kind": "audio"}), Content("voice", None, {"kind": "audio", "seconds": 2}), True),
        (Content("voice"), Content("media", None, {"kind": "audio"}), False),
    ],
)
def test_messages_are_the_same_when_all_that_is_known_of_both_agrees(wanted: Content, found: Content, same: bool) -> None:
    assert is_same(wanted, found) is same


def test_waits_double_up_to_a_minute_less_a_quarter_by_chance() -> None:
    assert [backoff(failures, jitter=lambda: 0).total_seconds() for failures in (1, 2, 3, 7, 500)] == [1, 2, 4, 60, 60]
    assert backoff(3, jitter=lambda: 1).total_seconds() == 3


def test_a_pause_grows_only_by_failures_after_it_and_ends_when_it_works() -> None:
    pauses = Pauses()
    first = pauses.hold("support", now=100.0)
    assert pauses.hold("support", now=100.1) < first, "those that fail together make the pause longer"
    assert pauses.instances(now=100.2) == ["support"]
    assert pauses.hold("support", now=102.0) > first
    pauses.release("support")
    assert pauses.instances(now=102.1) == []
    pauses.hold(None, now=200.0)
    assert pauses.instances(now=200.1) == []
    assert (pauses.all_until(now=200.1) or 0) > 200.1
    assert pauses.all_until(now=300.0) is None

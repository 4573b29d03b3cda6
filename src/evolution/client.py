"""The calls of Evolution API 2.2.3 that this application makes, typed."""

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import SecretStr, TypeAdapter, ValidationError

from src.evolution import answers, errors
from src.evolution.diagnosis import diagnose, says_error, start_of
from src.settings import Settings

REQUEST_TIMEOUT_SECONDS = 10.0
_KEEPALIVE_TIMES = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
SEND_TIMEOUT_SECONDS = 600.0
"""While Redis is away Evolution holds what it was asked to send, and sends it later: who gave up and tried again would send it twice."""
_KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in _KEEPALIVE_TIMES.items() if hasattr(socket, name)),
]
"""An Evolution that is gone without a word is noticed within 25 s, however long an answer may take."""
KEEPALIVE_SECONDS = 2.0
"""Less than the 5 s after which Node closes an idle connection: a request on its way then would have an unknown outcome."""
SPARE_CONNECTIONS = 32
"""What may be asked of Evolution beside sending."""

INSTANCE_EVENTS = (
    "QRCODE_UPDATED",
    "MESSAGES_UPSERT",
    "MESSAGES_UPDATE",
    "MESSAGES_DELETE",
    "SEND_MESSAGE",
    "CONNECTION_UPDATE",
)
"""The events that the application wants of an instance; Evolution refuses a list with names of global events in it."""

SECRET_HEADER = "X-Webhook-Secret"  # noqa: S105  # its name

_WELCOME = TypeAdapter(answers.Welcome)
_INSTANCES = TypeAdapter(list[answers.InstanceSummary])
_CREATED_INSTANCE = TypeAdapter(answers.CreatedInstance)
_CONNECTION = TypeAdapter(answers.Connection)
_CONNECTION_STATE = TypeAdapter(answers.ConnectionState)
_FOUND_WEBHOOK: TypeAdapter[answers.FoundWebhook | None] = TypeAdapter(answers.FoundWebhook | None)
_SENT_MESSAGE = TypeAdapter(answers.SentMessage)
_FOUND_MESSAGES_ANSWER = TypeAdapter(answers.FoundMessagesAnswer)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Webhook:
    """Where an instance's events are posted, and the secret that comes with them in the header X-Webhook-Secret."""

    url: str
    secret: SecretStr

    def headers(self) -> dict[str, str]:
        """Return what comes with each event."""
        return {SECRET_HEADER: self.secret.get_secret_value()}

    def body(self) -> dict[str, Any]:
        """Return it as Evolution takes it."""
        headers = self.headers()
        return {"enabled": True, "url": self.url, "headers": headers, "events": list(INSTANCE_EVENTS), "byEvents": False, "base64": False}


class EvolutionClient:
    """Calls Evolution API with one key over a shared pool of connections, which the context manager closes.

    Every call raises an `EvolutionError` when it did not do what it says; its class tells why, its outcome what may have been
    done all the same.
    """

    def __init__(self, settings: Settings, key: SecretStr | None) -> None:
        self.url = str(settings.evolution_api_url).rstrip("/")
        connections = 2 * settings.outbox_concurrency + SPARE_CONNECTIONS  # half of them may wait for instances that hang
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers={"apikey": key.get_secret_value()} if key else {},
            timeout=REQUEST_TIMEOUT_SECONDS,
            trust_env=False,  # a service of the same network: no proxy of the environment belongs between
            transport=httpx.AsyncHTTPTransport(
                limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=KEEPALIVE_SECONDS),
                verify=_tls(settings),
                socket_options=_KEEPALIVE,
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self._http.aclose()

    async def welcome(self) -> answers.Welcome:
        """Return who answers, from `GET /`: it needs no key, and answers whatever else is wrong with Evolution."""
        return self._read(await self._call("GET", "/"), _WELCOME)

    async def verify_key(self) -> None:
        """Ask whether the key is Evolution's global one, by the cheapest call that says so."""
        await self._call("POST", "/verify-creds")

    async def instances(self) -> list[answers.InstanceSummary]:
        """Return all instances; Evolution asks its database for them."""
        return self._read(await self._call("GET", "/instance/fetchInstances"), _INSTANCES)

    async def create_instance(self, name: str, number: str | None = None, webhook: Webhook | None = None) -> answers.CreatedInstance:
        """Make an instance, which is not connected yet: asking for a QR code at once would make Evolution wait 5 s.

        Raises:
            NameTakenError: there is one of that name.
        """
        body: dict[str, Any] = {"instanceName": name, "integration": "WHATSAPP-BAILEYS", "qrcode": False}
        if number:
            body["number"] = number
        if webhook:
            body["webhook"] = webhook.body()
        return self._read(await self._guarded_call("POST", "/instance/create", body), _CREATED_INSTANCE)

    async def connect(self, name: str, number: str | None = None) -> answers.Connection:
        """Begin to pair, or go on, and return the code to scan; takes 2 s when it begins. With a number there is a pairing code too.

        Raises:
            InstanceNotLoadedError: it can't yet, or not any more; Evolution says so by a 200 without a reason.
        """
        query = {"number": number} if number else {}
        try:
            return self._read(await self._guarded_call("GET", f"/instance/connect/{_segment(name)}", query=query), _CONNECTION)
        except errors.EvolutionFailedError:
            await self.state(name)  # raises, if that is the reason
            raise

    async def state(self, name: str) -> answers.InstanceState:
        """Return how the instance is connected, from Evolution's memory.

        Raises:
            InstanceNotLoadedError: it is not there: Evolution has not loaded it yet after its start, or is deleting it.
        """
        answer = await self._guarded_call("GET", f"/instance/connectionState/{_segment(name)}")
        state = self._read(answer, _CONNECTION_STATE).state
        if state is None:
            raise errors.InstanceNotLoadedError(errors.not_loaded(answer, name))
        return state

    async def restart(self, name: str) -> answers.Connection:
        """Close the instance's connection and make it anew.

        Raises:
            InstanceNotConnectedError: there is none; Evolution says so by a 200 without a reason.
        """
        try:
            return self._read(await self._guarded_call("POST", f"/instance/restart/{_segment(name)}"), _CONNECTION)
        except errors.EvolutionFailedError as error:
            if await self.state(name) == "close":
                raise errors.InstanceNotConnectedError(error.fault) from None
            raise

    async def logout(self, name: str) -> None:
        """Unpair the phone.

        Raises:
            InstanceNotConnectedError: none is paired.
        """
        await self._guarded_call("DELETE", f"/instance/logout/{_segment(name)}")

    async def delete_instance(self, name: str) -> None:
        """Remove the instance. Evolution answers before it is done."""
        await self._guarded_call("DELETE", f"/instance/delete/{_segment(name)}")

    async def send_text(self, name: str, body: Mapping[str, Any]) -> answers.SentMessage:
        """Send a text: `{"number", "text"}`."""
        return await self._send("sendText", name, body)

    async def send_media(self, name: str, body: Mapping[str, Any]) -> answers.SentMessage:
        """Send an image, video, sound or document: `{"number", "mediatype", "media", "mimetype"?, "fileName"?, "caption"?}`."""
        return await self._send("sendMedia", name, body)

    async def send_voice(self, name: str, body: Mapping[str, Any]) -> answers.SentMessage:
        """Send a voice note, which the audio converter makes of `{"number", "audio"}`."""
        return await self._send("sendWhatsAppAudio", name, body)

    async def find_messages(
        self,
        name: str,
        *,
        chat: str | None = None,
        from_me: bool = False,
        message_id: str | None = None,
        between: tuple[datetime, datetime] | None = None,
        page: int = 1,
        page_size: int = 50,
    ) -> answers.FoundMessages:
        """Return a page of the messages that Evolution has stored, newest first.

        Args:
            name: the instance.
            chat: only those with this JID.
            from_me: only those that the instance's account sent; Evolution can't be asked for the others alone.
            message_id: only the one with this `key.id`.
            between: only those with a WhatsApp time from the first to the second; Evolution wants both.
            page: from 1.
            page_size: the most that a page holds.
        """
        key = {"remoteJid": chat, "fromMe": True if from_me else None, "id": message_id}
        where: dict[str, Any] = {"key": {field: value for field, value in key.items() if value is not None}}
        if between:
            where["messageTimestamp"] = {"gte": between[0].isoformat(), "lte": between[1].isoformat()}
        body = {"where": where, "page": page, "offset": page_size}
        answer = await self._guarded_call("POST", f"/chat/findMessages/{_segment(name)}", body)
        return self._read(answer, _FOUND_MESSAGES_ANSWER).messages

    async def webhook(self, name: str) -> answers.FoundWebhook | None:
        """Return the instance's webhook; None when it never had one."""
        return self._read(await self._guarded_call("GET", f"/webhook/find/{_segment(name)}"), _FOUND_WEBHOOK)

    async def set_webhook(self, name: str, webhook: Webhook) -> None:
        """Have the instance's events posted."""
        await self._guarded_call("POST", f"/webhook/set/{_segment(name)}", {"webhook": webhook.body()})

    async def switch_webhook_off(self, name: str, url: str) -> None:
        """Have the instance's events posted no more; Evolution wants the URL all the same."""
        await self._guarded_call("POST", f"/webhook/set/{_segment(name)}", {"webhook": {"enabled": False, "url": url, "events": []}})

    async def _send(self, how: str, name: str, body: Mapping[str, Any]) -> answers.SentMessage:
        answer = await self._guarded_call("POST", f"/message/{how}/{_segment(name)}", body, timeout_seconds=SEND_TIMEOUT_SECONDS)
        return self._read(answer, _SENT_MESSAGE)

    async def _guarded_call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
    ) -> httpx.Response:
        """Call what looks for the instance before the key: what it says of the instance is true only if the key is right."""
        try:
            return await self._call(method, path, body, query=query, timeout_seconds=timeout_seconds)
        except (errors.InstanceUnknownError, errors.NameTakenError):
            await self.verify_key()
            raise

    async def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
    ) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, json=body, params=query, timeout=timeout_seconds)
        except (httpx.ConnectTimeout, httpx.PoolTimeout):
            raise errors.EvolutionUnreachableError(errors.slow(self.url)) from None
        except httpx.TimeoutException:
            raise errors.AnswerLostError(errors.slow(self.url)) from None
        except httpx.ConnectError as error:
            raise errors.EvolutionUnreachableError(errors.unreachable(self.url, error)) from None
        except httpx.TransportError as error:
            raise errors.AnswerLostError(errors.unreachable(self.url, error)) from None
        if not answer.is_success or says_error(answer):
            raise diagnose(answer)
        return answer

    @staticmethod
    def _read(answer: httpx.Response, form: TypeAdapter[_Answer]) -> _Answer:
        try:
            return form.validate_json(answer.content)
        except ValidationError as error:
            first = error.errors()[0]
            # Not the body: it may hold a token or a message.
            what = start_of(answer) if first["type"] == "json_invalid" else f"not the form of that answer ({first['loc']}: {first['msg']})"
            raise errors.UnexpectedAnswerError(errors.unexpected(answer, what)) from None


def _segment(name: str) -> str:
    """Quote a name for a path: Evolution takes any text for one."""
    return quote(name, safe="")


def _tls(settings: Settings) -> ssl.SSLContext:
    """Make the context that httpx wants in any case; the certificate authorities, some MiB, are loaded only where they are used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.evolution_api_url.scheme == "https":
        context.load_default_certs()
    return context

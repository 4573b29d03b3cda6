"""Events to webhooks, as 2.2.3 sends them: an instance's own first, then the global one, each with its own retries."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from simulator.background import Background
from simulator.events.event import Event
from simulator.journal import Journal
from simulator.preferences import Target
from simulator.settings import Webhook as WebhookSettings
from simulator.urls import is_url

ATTEMPTS = 10
RETRY_S = 30.0
"""Ten attempts, half a minute apart (`retryWebhookRequest` of 2.2.3)."""

_HEADERS = {
    "Accept": "application/json, text/plain, */*",
    "Content-Type": "application/json",
    "User-Agent": "axios/1.7.9",
    "Accept-Encoding": "gzip, compress, deflate, br",
}
_REDIRECTS = 21


class Webhooks:
    """The way to webhooks. Nothing limits how long one may take to answer; later events don't wait for earlier ones."""

    def __init__(self, settings: WebhookSettings, background: Background, journal: Journal) -> None:
        self._settings = settings
        self._background = background
        self._journal = journal.named("WebhookController")
        self._open_client: httpx.AsyncClient | None = None

    def deliver(self, event: Event, targets: Mapping[str, Target]) -> None:
        """Send it to the instance's own webhook and to the global one, if they want it."""
        own = targets.get("webhook")
        wanted = own is not None and own.enabled and event.switch in own.events
        wanted_globally = self._settings.enabled and event.switch in self._settings.events
        if wanted or wanted_globally:
            self._background.run(self._send(event, own, wanted, wanted_globally))

    async def report_error(self, error: Mapping[str, Any]) -> None:
        """Send one of the API's own failures to where `WEBHOOK_EVENTS_ERRORS_WEBHOOK` wants it, once."""
        try:
            await self._client.post(self._settings.errors_url, json=error)
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            self._journal.named("unhandledRejection").error(_axios_words(failure, self._settings.errors_url))

    async def close(self) -> None:
        """Drop the connections."""
        if self._open_client is not None:
            await self._open_client.aclose()

    async def _send(self, event: Event, own: Target | None, wanted: bool, wanted_globally: bool) -> None:
        """While the instance's own webhook is tried again and again, the global one waits."""
        url = own.url if own else None
        body = event.webhook_body(url or f"{self._settings.url}/{event.dashed}")
        if own and url and wanted and is_url(url, require_tld=False):
            await self._post(f"{url}/{event.dashed}" if own.by_events else url, body, own.headers or {})
        if wanted_globally:
            url = f"{self._settings.url}/{event.dashed}" if self._settings.by_events else self._settings.url
            if is_url(url, require_tld=True):
                await self._post(url, body, {})

    async def _post(self, url: str, body: bytes, headers: Mapping[str, Any]) -> None:
        own = {name: str(value) for name, value in headers.items()}
        for attempt in range(1, ATTEMPTS + 1):
            failure = await self._try(url, body, own)
            if failure is None:
                if attempt > 1:
                    self._journal.log(f"Sucesso no envio após {attempt} tentativas ({url})")
                return
            self._journal.error(f"Tentativa {attempt}/{ATTEMPTS} falhou: {failure} ({url})")
            if attempt < ATTEMPTS:
                await asyncio.sleep(RETRY_S)
        self._journal.error(f"Todas as tentativas falharam: {failure} ({url})")

    async def _try(self, url: str, body: bytes, headers: dict[str, str]) -> str | None:
        """Post once, and give axios's words for what went wrong."""
        try:
            answer = await self._client.post(url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError) as error:
            return _axios_words(error, url)
        return None if answer.is_success else f"Request failed with status code {answer.status_code}"

    @property
    def _client(self) -> httpx.AsyncClient:
        """One client for all, made when it is needed first."""
        if self._open_client is None:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=5)
            self._open_client = httpx.AsyncClient(
                headers=_HEADERS,
                timeout=httpx.Timeout(None),
                limits=limits,
                follow_redirects=True,
                max_redirects=_REDIRECTS,
                trust_env=False,
            )
        return self._open_client


def _axios_words(error: Exception, url: str) -> str:
    if not isinstance(error, httpx.ConnectError):
        return str(error) or type(error).__name__
    at = httpx.URL(url)
    return f"connect ECONNREFUSED {at.host}:{at.port or (443 if at.scheme == 'https' else 80)} ({error})"

"""Keeps the webhooks of the application's instances, which Evolution API has, as the settings say."""

import logging

from src.evolution import EvolutionError, InstanceUnknownError
from src.evolution.answers import FoundWebhook
from src.evolution.client import INSTANCE_EVENTS, SECRET_HEADER, Webhook
from src.instances import store
from src.resources import Resources
from src.settings import EventsVia, Settings

_log = logging.getLogger("app.instances")


def wanted(settings: Settings) -> Webhook | None:
    """Return what an instance's webhook should be; None where events don't come as webhooks."""
    if settings.events_via is not EventsVia.WEBHOOK or settings.webhook_secret is None:
        return None
    return Webhook(str(settings.webhook_url), settings.webhook_secret)


async def settle_all(resources: Resources) -> None:
    """Settle the webhooks of all instances that the application has; one that fails keeps no other from it.

    Raises:
        EvolutionError: what the last one of those failed with that did.
    """
    failed: EvolutionError | None = None
    for row in await store.every(resources.engine):
        try:
            await settle(resources, row["name"])
        except InstanceUnknownError:
            continue  # deleted meanwhile
        except EvolutionError as error:
            failed = error
    if failed is not None:
        raise failed


async def settle(resources: Resources, name: str) -> None:
    """Set an instance's webhook, mend it, or switch it off. One that leads elsewhere is somebody's own, and left alone."""
    found = await resources.evolution.webhook(name)
    webhook = wanted(resources.settings)
    if found is not None and not _leads_here(found, resources.settings):
        return
    if webhook is not None and not (found is not None and _is_like(found, webhook)):
        await resources.evolution.set_webhook(name, webhook)
        _log.info("the instance's webhook was set", extra={"instance": name})
    elif webhook is None and found is not None and found.enabled:
        await resources.evolution.switch_webhook_off(name, found.url)
        _log.info("the instance's webhook was switched off: APP_EVENTS_VIA is %s", resources.settings.events_via, extra={"instance": name})


def _is_like(found: FoundWebhook, webhook: Webhook) -> bool:
    same = (
        found.enabled
        and found.url == webhook.url
        and found.headers == webhook.headers()
        and set(found.events or []) == set(INSTANCE_EVENTS)
    )
    return same and not found.webhook_by_events and not found.webhook_base64


def _leads_here(found: FoundWebhook, settings: Settings) -> bool:
    """Whether the application has set it: it has the application's URL, or the one from before WEBHOOK_URL was changed."""
    path = settings.webhook_url.path or ""
    return found.url == str(settings.webhook_url) or (SECRET_HEADER in (found.headers or {}) and found.url.endswith(path))

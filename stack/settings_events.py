"""The part of the table of settings that is made from the list of events: which of them Evolution API announces, and how."""

from typing import TYPE_CHECKING, Any

from pydantic import create_model

from stack.settings_table import Section, setting
from stack.settings_types import WebhookUrl
from stack.vocabulary import DEFAULT_EVENTS, Event


def _switches(prefix: str, meaning: str) -> dict[str, Any]:
    return {f"{prefix}_{event.lower()}": (bool, setting(event in DEFAULT_EVENTS, meaning.format(f"`{event.topic}`"))) for event in Event}


if TYPE_CHECKING:

    class _RabbitmqEvents(Section): ...

    class _WebhookEvents(Section): ...

else:
    _RabbitmqEvents = create_model(
        "_RabbitmqEvents", __base__=Section, **_switches("rabbitmq_events", "Publish the event {} through RabbitMQ")
    )
    _WebhookEvents = create_model("_WebhookEvents", __base__=Section, **_switches("webhook_events", "Send the event {} by webhook"))


class RabbitmqEventSettings(_RabbitmqEvents):
    """Events through RabbitMQ."""

    @property
    def rabbitmq_events(self) -> dict[Event, bool]:
        """Whether each event is announced through RabbitMQ."""
        return {event: getattr(self, f"rabbitmq_events_{event.lower()}") for event in Event}


class WebhookEventSettings(_WebhookEvents):
    """Events by webhook."""

    webhook_global_enabled: bool = setting(False, "Call one webhook for the events of all instances")
    webhook_global_url: WebhookUrl = setting("", "URL of that webhook", "http://app.internal:8000/webhooks/evolution")
    webhook_global_webhook_by_events: bool = setting(False, "Append the event's name to the URL")

    @property
    def webhook_events(self) -> dict[Event, bool]:
        """Whether each event is announced by the global webhook."""
        return {event: getattr(self, f"webhook_events_{event.lower()}") for event in Event}

"""What OpenAPI tells of the application beyond its routes."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from src.instances.schemas import QrCode
from src.problems import VALIDATION_FAILED, Problem, responses

DESCRIPTION = """\
Sends and receives WhatsApp messages through Evolution API.

`POST /messages` stores a message and answers 202; it is sent as soon as its instance is connected, in the order of its chat, and
`GET /messages/{id}` tells what became of it. Errors are problems as RFC 9457 has them, with a stable code in `type`, and a `mend` where
there is one.
"""
TAGS = [
    {"name": "messages", "description": "Messages in both directions."},
    {"name": "instances", "description": "Connections to WhatsApp: made, paired by a QR code, looked at, removed."},
    {"name": "webhooks", "description": "Where Evolution API posts its events, beside RabbitMQ."},
    {"name": "metrics", "description": "What Prometheus takes."},
    {"name": "health", "description": "Whether the application lives, and whether it can do its work."},
]

_ONLY_REFERRED_TO = (Problem, QrCode)
"""Models that routes refer to by their name alone, for FastAPI takes them for the form of one media type only."""


def location(of: str) -> dict[str, Any]:
    """Describe the header Location of an answer (of one status in FastAPI's argument `responses`)."""
    return {"headers": {"Location": {"description": f"The {of}'s own path", "schema": {"type": "string"}}}}


def describe(app: FastAPI) -> None:
    """Complete the application's OpenAPI document."""
    generate = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(generate())
        return generate()

    app.openapi = complete  # type: ignore[method-assign]  # FastAPI's documented way


def _complete(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    _, found = models_json_schema([(model, "serialization") for model in _ONLY_REFERRED_TO], ref_template="#/components/schemas/{model}")
    schemas.update(found["$defs"])
    for name in _FASTAPIS_OWN:
        schemas.pop(name, None)
    for operation in [operation for path in document["paths"].values() for operation in path.values()]:
        if _FASTAPIS_OWN[0] in str(operation["responses"].get("422")):
            operation["responses"]["422"] = responses(VALIDATION_FAILED)[422]


_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")
"""What FastAPI answers, and describes where a route doesn't, in place of a problem."""

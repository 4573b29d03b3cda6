"""RabbitMQ's definitions: everything but messages, as it exports them in JSON."""

from __future__ import annotations

import json
from typing import Any, Final

_KINDS: Final = {
    "vhosts": ("name",),
    "users": ("name",),
    "permissions": ("user", "vhost"),
    "topic_permissions": ("user", "vhost"),
    "global_parameters": ("name",),
    "queues": ("vhost", "name"),
    "exchanges": ("vhost", "name"),
    "bindings": ("vhost", "source", "destination", "destination_type", "routing_key"),
    "policies": ("vhost", "name"),
}
"""What is listed, each with the texts that tell one from another."""

_COMPARED = ("vhosts", "users", "queues", "exchanges", "bindings", "policies")
_BOUND_TO_BROKER = ("cluster_name", "internal_cluster_id")


def parsed(text: bytes) -> dict[str, Any]:
    """Definitions from their JSON.

    Raises:
        ValueError: this is none of a broker's exports.
    """
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("RabbitMQ's definitions are not as it exports them")  # noqa: TRY004 - of a file, not of a call
    for kind, names in _KINDS.items():
        listed = found.get(kind, [])
        if not isinstance(listed, list) or not all(isinstance(each, dict) and _has(each, names) for each in listed):
            raise ValueError(f"RabbitMQ's {kind} are not as it exports them")
    return found


def _has(thing: dict[str, Any], names: tuple[str, ...]) -> bool:
    return all(isinstance(thing.get(name), str) for name in names)


def without_user(definitions: dict[str, Any], user: str) -> dict[str, Any]:
    """Definitions without one user and its rights, and without what belongs to this one broker."""
    return {
        **definitions,
        "users": [each for each in definitions.get("users", []) if each["name"] != user],
        "permissions": [each for each in definitions.get("permissions", []) if each["user"] != user],
        "topic_permissions": [each for each in definitions.get("topic_permissions", []) if each["user"] != user],
        "global_parameters": [each for each in definitions.get("global_parameters", []) if each["name"] not in _BOUND_TO_BROKER],
    }


def missing(wanted: dict[str, Any], there: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The first of the wanted definitions that is not there, or is other, with its kind; None when all are."""
    for kind in _COMPARED:
        has = {_identity(kind, each): each for each in there.get(kind, [])}
        for each in wanted.get(kind, []):
            found = has.get(_identity(kind, each))
            if found is None or not _agree(each, found):
                return kind, each
    return None


def _identity(kind: str, thing: dict[str, Any]) -> tuple[str, ...]:
    """What it is known by. A queue can be bound twice with one key, and other arguments."""
    arguments = json.dumps(thing.get("arguments"), sort_keys=True) if kind == "bindings" else ""
    return (*(thing[name] for name in _KINDS[kind]), arguments)


def _agree(one: object, other: object) -> bool:
    """Whether two definitions say the same, as far as both speak of it: each version of RabbitMQ exports things that others don't."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_agree(one[name], other[name]) for name in (one.keys() & other.keys()) - {"metadata", "limits"})
    return one == other

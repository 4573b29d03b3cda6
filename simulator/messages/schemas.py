"""The JSON schemas of the routes, as 2.2.3 has them (`message.schema.ts`, `chat.schema.ts`)."""

from typing import Any

from simulator.messages.validation import Schema

_STRING = {"type": "string"}
_BOOLEAN = {"type": "boolean"}
_NUMBER = {"type": "string", "description": "Invalid format"}
_KEY = {
    "type": "object",
    "properties": {"id": _STRING, "remoteJid": _STRING, "fromMe": _BOOLEAN},
    "required": ["id", "remoteJid", "fromMe"],
    "notEmpty": ["id", "remoteJid"],
}


def _digits(description: str) -> dict[str, Any]:
    return {"type": "string", "pattern": r"^\d+", "description": description}


_OPTIONS: dict[str, Any] = {
    "delay": {"type": "integer", "description": "Enter a value in milliseconds"},
    "quoted": {
        "properties": {
            "key": {**_KEY, "required": ["id"], "notEmpty": ["id"]},
            "message": {"type": "object"},
        }
    },
    "everyOne": _BOOLEAN,
    "mentioned": {
        "type": "array",
        "minItems": 1,
        "uniqueItems": True,
        "items": _digits('"mentioned" must be an array of numeric strings'),
    },
}


def _message(properties: dict[str, Any], required: list[str]) -> Schema:
    return {"type": "object", "properties": {"number": _NUMBER, **properties, **_OPTIONS}, "required": ["number", *required]}


TEXT = _message({"text": _STRING, "linkPreview": _BOOLEAN}, ["text"])
MEDIA = _message(
    {
        "mediatype": {"type": "string", "enum": ["image", "document", "video", "audio"]},
        "mimetype": _STRING,
        "media": _STRING,
        "fileName": _STRING,
        "caption": _STRING,
    },
    ["mediatype"],
)
AUDIO = _message({"audio": _STRING}, [])
STICKER = _message({"sticker": _STRING}, [])
LOCATION = _message(
    {"latitude": {"type": "number"}, "longitude": {"type": "number"}, "name": _STRING, "address": _STRING},
    ["latitude", "longitude", "name", "address"],
)
POLL = _message(
    {
        "name": _STRING,
        "selectableCount": {"type": "integer", "minimum": 0, "maximum": 10},
        "values": {"type": "array", "minItems": 2, "maxItems": 10, "uniqueItems": True, "items": _STRING},
    },
    ["name", "selectableCount", "values"],
)
CONTACT: Schema = {
    "type": "object",
    "properties": {
        "number": _NUMBER,
        "contact": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "fullName": _STRING,
                    "wuid": {"type": "string", "minLength": 10, "pattern": r"\d+", "description": '"wuid" must be a numeric string'},
                    "phoneNumber": {"type": "string", "minLength": 10},
                    "organization": _STRING,
                    "email": _STRING,
                    "url": _STRING,
                },
                "required": ["fullName", "phoneNumber"],
                "notEmpty": ["fullName"],
            },
            "minItems": 1,
            "uniqueItems": True,
        },
    },
    "required": ["number", "contact"],
}
REACTION: Schema = {"type": "object", "properties": {"key": _KEY, "reaction": _STRING}, "required": ["key", "reaction"]}

NUMBERS: Schema = {
    "type": "object",
    "properties": {
        "numbers": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"type": "string", "description": '"numbers" must be an array of numeric strings'},
        }
    },
}
READ: Schema = {
    "type": "object",
    "properties": {
        "readMessages": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {key: value for key, value in _KEY.items() if key != "type"} | {"required": ["id", "fromMe", "remoteJid"]},
        }
    },
    "required": ["readMessages"],
}
DELETE: Schema = {
    "type": "object",
    "properties": {"id": _STRING, "fromMe": _BOOLEAN, "remoteJid": _STRING, "participant": _STRING},
    "required": ["id", "fromMe", "remoteJid"],
    "notEmpty": ["id", "remoteJid", "participant"],
}
UPDATE: Schema = {
    "type": "object",
    "properties": {"number": _STRING, "text": _STRING, "key": {**_KEY, "required": ["id", "fromMe", "remoteJid"]}},
    "notEmpty": ["number", "text", "key"],
}
PRESENCE: Schema = {
    "type": "object",
    "properties": {
        "number": _NUMBER,
        "delay": {"type": "number"},
        "presence": {"type": "string", "enum": ["unavailable", "available", "composing", "recording", "paused"]},
    },
    "required": ["number", "presence", "delay"],
}
PICTURE: Schema = {"type": "object", "properties": {"number": _STRING, "picture": _STRING}}

_FILLED = {"type": "string", "minLength": 1}
_NOT_EMPTY = {**_FILLED, "description": "The property cannot be empty"}
FIND_CONTACTS: Schema = {
    "type": "object",
    "properties": {
        "where": {
            "type": "object",
            "properties": {"_id": _FILLED, "pushName": _FILLED, "id": _FILLED},
            "notEmpty": ["_id", "id", "pushName"],
        }
    },
}
FIND_MESSAGES: Schema = {
    "type": "object",
    "properties": {
        "where": {
            "type": "object",
            "properties": {
                "_id": _FILLED,
                "key": {"type": "object", "properties": {"remoteJid": _NOT_EMPTY, "id": _NOT_EMPTY, "fromMe": _BOOLEAN}},
                "message": {"type": "object"},
            },
            "notEmpty": ["_id"],
        },
        "limit": {"type": "integer"},
    },
}
FIND_STATUSES: Schema = {
    "type": "object",
    "properties": {
        "where": {
            "type": "object",
            "properties": {
                "_id": _STRING,
                "remoteJid": _STRING,
                "id": _STRING,
                "fromMe": _BOOLEAN,
                "participant": _STRING,
                "status": {"type": "string", "enum": ["ERROR", "PENDING", "SERVER_ACK", "DELIVERY_ACK", "READ", "PLAYED"]},
            },
            "notEmpty": ["_id", "remoteJid", "id", "status"],
        },
        "limit": {"type": "integer"},
    },
}

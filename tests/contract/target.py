"""What the suite talks to, and how: Evolution API 2.2.3 or the simulator that stands in for it."""

import contextlib
import re
import ssl
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from tests.app.simulator_support import BAILEYS, Process, eventually

ODD_ENDS = (" 5/ü", "%2F", "?x", " ' \"")
"""What a name may end with: Evolution takes any text."""

_OWN_NAME = re.compile(rf"contract-[0-9a-f]{{8}}({'|'.join(map(re.escape, ODD_ENDS))})?")
"""The names of all instances of this suite, so that what a killed run left behind can be told from a user's."""

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
UNAUTHORIZED = {"status": 401, "error": "Unauthorized", "response": {"message": "Unauthorized"}}
NOBODY = "99900000001"
"""A number that no phone has: country code 999 is not assigned."""

EVENT_LIST = (
    "APPLICATION_STARTUP,QRCODE_UPDATED,MESSAGES_SET,MESSAGES_UPSERT,MESSAGES_EDITED,MESSAGES_UPDATE,MESSAGES_DELETE,SEND_MESSAGE,"
    "CONTACTS_SET,CONTACTS_UPSERT,CONTACTS_UPDATE,PRESENCE_UPDATE,CHATS_SET,CHATS_UPSERT,CHATS_UPDATE,CHATS_DELETE,GROUPS_UPSERT,"
    "GROUP_UPDATE,GROUP_PARTICIPANTS_UPDATE,CONNECTION_UPDATE,LABELS_EDIT,LABELS_ASSOCIATION,CALL,TYPEBOT_START,TYPEBOT_CHANGE_STATUS,"
    "REMOVE_INSTANCE,LOGOUT_INSTANCE"
)
"""What an instance's webhook and RabbitMQ can ask for, as Evolution lists it. Creation and deletion of instances are not among it."""

EVENTS = EVENT_LIST.split(",")

_TLS = ssl.create_default_context()
"""One for all calls: to read the authorities' certificates takes longer than a call."""

_LEFTOVER_AFTER_S = 3600
_GONE_WITHIN_S = 15


@dataclass(frozen=True)
class Target:
    """Where the API is, and its global key; `simulator` is None for a real one."""

    url: str
    key: str
    simulator: Process | None = None

    @property
    def name(self) -> str:
        return "the simulator" if self.simulator else f"Evolution API at {self.url}"


def failure(status: int, error: str, message: object) -> dict[str, Any]:
    """The envelope of every failure."""
    return {"status": status, "error": error, "response": {"message": message}}


def bad(*problems: str) -> dict[str, Any]:
    """What a body gets that the JSON schema refuses: a list in a list."""
    return failure(400, "Bad Request", [list(problems)])


def refused(message: str) -> dict[str, Any]:
    """What a well-formed request gets that is refused all the same."""
    return failure(400, "Bad Request", [message])


def broken(message: object) -> dict[str, Any]:
    """What an exception in the API looks like outside."""
    return failure(500, "Internal Server Error", message)


def new_name() -> str:
    return f"contract-{uuid.uuid4().hex[:8]}"


def is_leftover(row: dict[str, Any], now: datetime, spared: str | None) -> bool:
    """Whether an instance is one that a killed run of this suite has left: old enough, of such a name, and never with a phone.

    Args:
        row: as Evolution lists it.
        now: what its age is measured from.
        spared: the name of the instance with a phone that the suite was given.
    """
    age = now - datetime.fromisoformat(row["createdAt"])
    has_phone = bool(row["ownerJid"]) or row["connectionStatus"] == "open"
    is_own = _OWN_NAME.fullmatch(row["name"]) is not None and row["name"] != spared
    return is_own and not has_phone and age.total_seconds() > _LEFTOVER_AFTER_S


def path_of(name: str) -> str:
    return quote(name, safe="")


@dataclass
class Api:
    """Somebody who calls the API: with the global key, with another, or with none; what they make is deleted in the end."""

    target: Target
    made: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.target.url

    @property
    def key(self) -> str:
        return self.target.key

    def call(
        self, method: str, path: str, key: str | None = None, body: object = None, params: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a request with just this key, or with none."""
        headers = {"apikey": key} if key else {}
        return httpx.request(method, f"{self.url}{path}", headers=headers, json=body, params=params, timeout=30, verify=_TLS)

    def get(self, path: str, **params: str) -> httpx.Response:
        return self.call("GET", path, self.key, params=params)

    def post(self, path: str, body: object = None) -> httpx.Response:
        return self.call("POST", path, self.key, body)

    def delete(self, path: str, body: object = None) -> httpx.Response:
        return self.call("DELETE", path, self.key, body)

    def try_to_create(self, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        """Ask for an instance. None connects: `qrcode` stays away, for Evolution would begin its endless reconnecting."""
        if "instanceName" in body:
            self.made.append(body["instanceName"])
        return self.call("POST", "/instance/create", key or self.key, body)

    def create(self, **body: object) -> dict[str, Any]:
        answer = self.try_to_create({"instanceName": new_name(), "integration": BAILEYS, **body})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def created_name(self, **body: object) -> str:
        return str(self.create(**body)["instance"]["instanceName"])

    def row(self, name: str) -> dict[str, Any]:
        return dict(self.get("/instance/fetchInstances", instanceName=name).json()[0])

    def state(self, name: str) -> str:
        return str(self.get(f"/instance/connectionState/{path_of(name)}").json()["instance"]["state"])

    def is_gone(self, name: str) -> bool:
        return self.get(f"/instance/connectionState/{path_of(name)}").status_code == 404

    def clean_up(self) -> None:
        """Delete what was made, and see it go: the answer to a deletion comes before the deed."""
        for name in dict.fromkeys(self.made):
            self.remove(name)
        self.made.clear()

    def remove(self, name: str) -> None:
        """Delete an instance. Its webhook is switched off first: Evolution waits for that to be told, and tries for minutes."""
        if self.is_gone(name):
            return
        escaped = path_of(name)
        self.post(f"/webhook/set/{escaped}", {"webhook": {"enabled": False, "url": "http://localhost"}})
        self.delete(f"/instance/delete/{escaped}")
        eventually(lambda: self.is_gone(name), f"the instance {name} is gone after its deletion", _GONE_WITHIN_S)

    def remove_leftovers(self, spared: str | None) -> None:
        """Delete what a run that was killed an hour ago or more left behind."""
        now = datetime.now(UTC)
        for row in self.get("/instance/fetchInstances").raise_for_status().json():
            if is_leftover(row, now, spared):
                with contextlib.suppress(httpx.HTTPError):
                    self.remove(row["name"])


@dataclass(frozen=True)
class Paired:
    """An instance with a phone.

    Attributes:
        name: of the instance.
        number: whom it may write to: on the real one itself, so that nobody else is bothered.
        wuid: its own JID.
    """

    api: Api
    name: str
    number: str
    wuid: str

    @property
    def chat(self) -> str:
        return f"{self.number}@s.whatsapp.net"

    def post(self, route: str, **body: object) -> httpx.Response:
        """Call a route of this instance, as in `message/sendText`."""
        return self.api.post(f"/{route}/{self.name}", body)

    def sent(self, route: str, **body: object) -> dict[str, Any]:
        """Send something to the number, and give the answer, which must be 201."""
        answer = self.post(f"message/{route}", number=self.number, **body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

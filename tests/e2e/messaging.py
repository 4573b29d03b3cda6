"""Messages through the published ports of a stack: the application's clients on one side, the simulated phone on the other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from tests.e2e.data import Clients, succeeded
from tests.e2e.environment import Stack, eventually

OWN = "5511988887777"
CONTACT = "5511999990001"
SOON = 20
"""Seconds in which whatever needs no mending is done, on a busy machine."""


@dataclass(frozen=True)
class Messaging:
    """The application and the phone of a stack, for one paired instance."""

    stack: Stack
    clients: Clients
    instance: str

    def app(self, method: str, path: str, **body: object) -> httpx.Response:
        """A request to the application."""
        return httpx.request(method, self.stack.url("APP_PORT", path), json=body or None, timeout=20)

    def phone(self, method: str, path: str, **body: object) -> Any:  # noqa: ANN401  # whatever JSON it answers
        """A request to the simulator's own interface, which must succeed."""
        return succeeded(self.clients.evolution(method, f"/simulator{path}", **body)).json()

    def pair(self) -> None:
        """Make the instance through the application, pair it, and wait until the application knows."""
        succeeded(self.app("POST", "/instances", name=self.instance))
        self.phone("POST", f"/instances/{self.instance}/pair", number=OWN, profileName="Ana")
        self.wait_until_open()

    def wait_until_open(self, seconds: float = SOON) -> None:
        path = f"/instances/{self.instance}/state"
        eventually(seconds, lambda: succeeded(self.app("GET", path)).json()["state"] == "open", f"{self.instance} is open")

    def send(self, **content: object) -> str:
        """Ask the application to send something to the contact; the id of the stored message."""
        answer = self.app("POST", "/messages", instance=self.instance, to=CONTACT, **content)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return str(answer.json()["id"])

    def message(self, identifier: str) -> dict[str, Any]:
        """A message as the application shows it."""
        return dict(succeeded(self.app("GET", f"/messages/{identifier}")).json())

    def wait_for(self, identifier: str, what: str, wanted: Callable[[dict[str, Any]], bool], seconds: float = SOON) -> dict[str, Any]:
        """A message, once it is as wanted."""
        last: dict[str, Any] = {}

        def is_so() -> bool:
            last.clear()
            last.update(self.message(identifier))
            return wanted(last)

        try:
            eventually(seconds, is_so, f"the message is {what}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {last}") from None
        return last

    def wait_for_state(self, identifier: str, *states: str, seconds: float = SOON) -> dict[str, Any]:
        return self.wait_for(identifier, " or ".join(states), lambda message: message["state"] in states, seconds)

    def wait_for_problem(self, identifier: str, code: str, seconds: float = SOON) -> dict[str, Any]:
        """A message that the application can't send, with the problem that it tells of it."""
        message = self.wait_for(identifier, f"held up by {code}", lambda message: (message["problem"] or {}).get("code") == code, seconds)
        return dict(message["problem"])

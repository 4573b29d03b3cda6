"""What can be wrong with something the application depends on, in words that a person can act on."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a dependency is, seen from the application."""

    OK = "ok"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CREDENTIALS_REFUSED = "credentials_refused"
    NOT_MIGRATED = "not_migrated"
    UNEXPECTED_ANSWER = "unexpected_answer"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and what mends it. Neither text ever holds a secret."""

    state: State
    problem: str
    mend: str

    def __str__(self) -> str:
        return f"{self.problem}\n  To mend it: {self.mend}"

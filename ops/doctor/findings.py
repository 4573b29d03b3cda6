"""What a check of the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How well something is."""

    GOOD = "ok"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what was looked at: disk, ports, a service.
        said: what was seen, in one sentence.
        mend: what to do about it; empty when it is good.
    """

    subject: str
    verdict: Verdict
    said: str
    mend: str = ""


def good(subject: str, said: str) -> Finding:
    """Nothing to do."""
    return Finding(subject, Verdict.GOOD, said)


def warning(subject: str, said: str, mend: str) -> Finding:
    """It works, but won't for long, or not well."""
    return Finding(subject, Verdict.WARNING, said, mend)


def bad(subject: str, said: str, mend: str) -> Finding:
    """It doesn't work."""
    return Finding(subject, Verdict.BAD, said, mend)

"""What became of an event."""

from enum import StrEnum


class Outcome(StrEnum):
    """What became of an event; the values are labels of a metric."""

    STORED = "stored"
    """It told something new."""
    DUPLICATE = "duplicate"
    """It told what was known."""
    STALE = "stale"
    """Something later was known."""
    LEFT = "left"
    """The message is one that a sender has in hand; the sender stores it."""
    IGNORED = "ignored"
    """Nothing that is kept."""
    DEAD = "dead"
    """It can't be read or stored, ever."""

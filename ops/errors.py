"""What goes wrong for a user, said once: what, why, and how to mend it."""


class OperatorError(Exception):
    """A failure that the user can understand and mend.

    Attributes:
        what: one sentence, what does not work.
        cause: where it comes from; may be empty when `what` says it already.
        mend: what to do about it; may be empty.
    """

    def __init__(self, what: str, cause: str = "", mend: str = "") -> None:
        super().__init__(what, cause, mend)
        self.what, self.cause, self.mend = what, cause, mend

    @property
    def lines(self) -> tuple[str, ...]:
        """What the user reads, the failure itself first."""
        return tuple(part for part in (self.what, self.cause, self.mend) if part)

    def __str__(self) -> str:
        return "\n".join(self.lines)


class Stopped(Exception):  # noqa: N818 - being asked to stop is no error
    """The user asked to stop, and everything under way has ended."""

"""The one exception of the set-up."""

from ops.errors import OperatorError


class SetupError(OperatorError):
    """A step of the set-up can't be done: `what` is not there, its `cause`, and the `mend`, something that the user can do."""

    @property
    def lines(self) -> tuple[str, ...]:
        """What the user reads."""
        return f"{self.what}: {self.cause}", f"  To mend it: {self.mend}"

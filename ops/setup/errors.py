"""The one exception of the set-up."""


class SetupError(Exception):
    """A step of the set-up can't be done. Its text is for the user: what is missing, why, and how to mend it."""

    def __init__(self, what: str, cause: str, mend: str) -> None:
        """Say `what` is not there, its `cause`, and the `mend`: something the user can do."""
        super().__init__(f"{what}: {cause}\n  To mend it: {mend}")
        self.what = what
        self.cause = cause
        self.mend = mend

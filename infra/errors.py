"""The failures that a user can do something about, of all folders and of infra.

It imports nothing of ours: every folder may import it.
"""


class ExpectedError(Exception):
    """An expected failure: `message` says what happened, `hint` what to do about it.

    A command prints it and exits; a traceback is left for bugs.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.hint}" if self.hint else self.message


class LakehouseError(ExpectedError):
    """A service, a download or the machine is not as it must be."""

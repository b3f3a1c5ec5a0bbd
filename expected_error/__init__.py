"""The base of every failure that a user can do something about; it imports nothing of ours."""


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

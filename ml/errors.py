"""The failures that a user can do something about."""


class MlError(Exception):
    """An expected failure: `message` says what happened, `hint` what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.hint}"

"""What a user can correct, as one message."""

from infra.errors import ExpectedError


class StreamingError(ExpectedError):
    """The job cannot be made from what is there."""

"""The failures that a user can do something about."""

from infra.errors import ExpectedError


class MlError(ExpectedError):
    """A model, its data or a service that it needs is not as it must be."""
